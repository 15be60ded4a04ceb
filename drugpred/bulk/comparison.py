"""How two models' predictions for a file differ: `drugpred compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from rich.table import Table

from drugpred import codebook
from drugpred.bulk.people import read
from drugpred.data.files import path_text
from drugpred.errors import DataError
from drugpred.monitoring.challenger import disagreement
from drugpred.monitoring.comparison import compare_losses

if TYPE_CHECKING:
    from pathlib import Path

    from drugpred.codebook import Drug, Window
    from drugpred.model_store import StoredModel
    from drugpred.schemas import Comparison, Disagreement

_NEAREST: Final = 2.0**-17  # smallest distance of a probability from 0 and 1, as in a prediction_id


class Compared(NamedTuple):
    """The comparison of two models over a file."""

    people: int
    rejected: int  # rows that are no valid profile
    disagreement: dict[Drug, Disagreement]
    brier: Comparison | None  # None if the file has no outcomes
    log_loss: Comparison | None


def compare(path: Path, served: StoredModel, challenger: StoredModel, window: Window) -> Compared:
    """Compare two models over the profiles of a file, and over their outcomes if they are respondents.

    Parameters
    ----------
    path : pathlib.Path
        As for `drugpred.bulk.drift.measure`. The file has outcomes if it has the columns of all drugs.
    served, challenger : StoredModel
    window : str

    Raises
    ------
    DataError
        The file cannot be read, has unexpected columns, or has no valid profile.
    ConfigurationError
        Its name has an unknown ending.
    """
    models, index = (served, challenger), codebook.WINDOWS.index(window)
    thresholds = [model.card.thresholds[:, index] for model in models]
    absolute, squared, flips = np.zeros((3, len(codebook.DRUGS)))
    n = rejected = 0
    for people in read(path):
        rejected += people.rejected
        n += len(people.rows)
        for rows in people.blocks():
            p, q = (model.predictor.predict_proba(rows)[:, :, index] for model in models)
            absolute += np.abs(q - p).sum(0)
            squared += ((q - p) ** 2).sum(0)
            flips += ((q >= thresholds[1]) != (p >= thresholds[0])).sum(0)
    if not n:
        raise DataError(f"expected at least one valid profile in {path_text(path)}, found {rejected} invalid rows")
    sums = zip(codebook.DRUGS, absolute.tolist(), squared.tolist(), flips.tolist(), strict=True)
    found = {drug: disagreement(n, *of) for drug, *of in sums}
    return Compared(n, rejected, found, *_losses(path, models, index))


def _losses(
    path: Path, models: tuple[StoredModel, StoredModel], window: int
) -> tuple[Comparison, Comparison] | tuple[None, None]:
    from drugpred.data.respondents import read as read_respondents

    try:
        respondents = read_respondents(path)
    except DataError:  # profiles, which have no outcomes
        return None, None
    used = respondents.last_use > window
    probabilities = [
        model.predictor.predict_proba(respondents.X)[:, :, window].clip(_NEAREST, 1 - _NEAREST) for model in models
    ]
    brier = [((p - used) ** 2).mean(1) for p in probabilities]
    log_loss = [-np.log(np.where(used, p, 1 - p)).mean(1) for p in probabilities]
    return compare_losses(*brier), compare_losses(*log_loss)


def table(compared: Compared) -> Table:
    """Return a table of the disagreement by drug."""
    result = Table("", "mean difference", "root mean square", "other label", box=None)
    for drug, of in compared.disagreement.items():
        result.add_row(drug, f"{of.mean_absolute:.4f}", f"{of.root_mean_square:.4f}", f"{of.flips:.1%}")
    return result


def verdict(name: str, of: Comparison) -> str:
    """Return a comparison of losses in one line."""
    bounds = f"{of.difference:+.5f} ({of.low:+.5f} to {of.high:+.5f})"
    word = "" if of.verdict is None else f": {of.verdict}"
    return f"{name} {of.served:.5f}, the challenger's {of.challenger:.5f}, {bounds}{word}"
