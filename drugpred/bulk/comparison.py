"""How two models' predictions for a file differ: `drugpred compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from rich.table import Table

from drugpred import codebook
from drugpred.bulk.encoding import encode
from drugpred.bulk.formats import open_source
from drugpred.data.files import path_text
from drugpred.errors import DataError
from drugpred.monitoring.challenger import disagreement
from drugpred.monitoring.comparison import compare_losses
from drugpred.tabular import validate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from drugpred.codebook import Drug, Window
    from drugpred.model_store import StoredModel
    from drugpred.schemas import Comparison, Disagreement

_ROWS: Final = 10_000  # scored at once
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
    people = rejected = 0
    for rows, malformed in _valid(path):
        rejected += malformed
        people += len(rows)
        p, q = (model.predictor.predict_proba(rows)[:, :, index] for model in models)
        absolute += np.abs(q - p).sum(0)
        squared += ((q - p) ** 2).sum(0)
        flips += ((q >= thresholds[1]) != (p >= thresholds[0])).sum(0)
    if not people:
        raise DataError(f"expected at least one valid profile in {path_text(path)}, found {rejected} invalid rows")
    sums = zip(codebook.DRUGS, absolute.tolist(), squared.tolist(), flips.tolist(), strict=True)
    found = {drug: disagreement(people, *of) for drug, *of in sums}
    return Compared(people, rejected, found, *_losses(path, models, index))


def _valid(path: Path) -> Iterator[tuple[NDArray[np.float64], int]]:
    """Yield the rows of valid profiles, and the number of invalid rows."""
    source = open_source(path)
    for chunk in (chunk for part in source.parts for chunk in source.chunks(part)):
        values, possible = validate(encode(chunk.columns), "standardized")
        good = possible.all(axis=0)
        rows = values.T[good]
        yield rows[:_ROWS], len(chunk.malformed) + int((~good).sum())
        for start in range(_ROWS, len(rows), _ROWS):
            yield rows[start : start + _ROWS], 0


def _losses(
    path: Path, models: tuple[StoredModel, StoredModel], window: int
) -> tuple[Comparison, Comparison] | tuple[None, None]:
    from drugpred.data.respondents import read

    try:
        respondents = read(path)
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
