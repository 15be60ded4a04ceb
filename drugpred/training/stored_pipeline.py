"""The scikit-learn pipeline of a stored model: `drugpred.load_pipeline`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drugpred.errors import needs
from drugpred.model import load

with needs("train"):
    import skops.io

    from drugpred.training.estimators import TRUSTED

if TYPE_CHECKING:
    import os

    from sklearn.pipeline import Pipeline


def load_pipeline(model: str | os.PathLike[str] | None = None) -> Pipeline:
    """Return the fitted scikit-learn pipeline of a stored model, from rows of shape (n, 12) to probabilities.

    Of the file it trusts scikit-learn's types and those of `drugpred.training` that a stored pipeline consists of, and
    no others.

    Parameters
    ----------
    model : str or path, optional
        As for `drugpred.load`.

    Raises
    ------
    StoredModelError
        There is no such model, or it is incomplete or altered.
    """
    pipeline: Pipeline = skops.io.load(load(model).path / "pipeline.skops", trusted=TRUSTED)
    return pipeline
