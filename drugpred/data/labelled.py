"""Respondents as a DataFrame with labels, to look at: `drugpred.load_data` and `drugpred.simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drugpred.codebook import AGE, CATEGORIES, EDUCATION, LAST_USE_LABELS, SCORES
from drugpred.data.parsing import LAST_USES
from drugpred.errors import needs

with needs("train"):
    import pandas as pd

    from drugpred.data import download, respondents

if TYPE_CHECKING:
    import os


def load_data(path: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """Return the respondents of a file, of DRUGPRED_DATA, or of UCI, with labels.

    Parameters
    ----------
    path : str or path, optional
        In the UCI form or as decoded CSV.

    Returns
    -------
    pandas.DataFrame
        One row per respondent by "id": the twelve inputs (categories, then standardized scores), and when each of the
        18 drugs and the invented "semeron" was last used, an ordered category of `codebook.LAST_USE_LABELS`.

    Raises
    ------
    DataError
        The file cannot be read or is malformed.
    DownloadError
        No file was given and none could be downloaded.
    """
    return labelled(download.load(None if path is None else Path(path)).frame)


def simulate(n: int, seed: int = 42) -> pd.DataFrame:
    """Draw respondents from the simulated cohort, as `load_data` returns the real ones.

    Parameters
    ----------
    n, seed : int
        The same seed draws the same; a longer draw begins with the shorter one.
    """
    return labelled(respondents.simulate(n, seed).frame)


def labelled(frame: pd.DataFrame) -> pd.DataFrame:
    """Return respondents with labels in place of codes.

    Parameters
    ----------
    frame : pandas.DataFrame
        As `drugpred.data.respondents.Respondents.frame`; may lack the drugs.
    """

    def category(name: str, labels: tuple[str, ...], *, ordered: bool) -> pd.Categorical[str]:
        return pd.Categorical.from_codes(frame[name].to_numpy(np.intp), pd.Index(labels), ordered=ordered)

    columns: dict[str, Any] = {
        of.name: category(of.name, of.labels, ordered=of in (AGE, EDUCATION)) for of in CATEGORIES
    }
    columns |= {score.name: frame[score.name] for score in SCORES}
    columns |= {name: category(name, LAST_USE_LABELS, ordered=True) for name in LAST_USES if name in frame}
    return pd.DataFrame(columns, index=frame.index)
