"""The drift of a file of profiles: what `drugpred drift` does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow.compute as pc
from rich.table import Table

from drugpred import codebook
from drugpred.bulk import drift_plot
from drugpred.bulk.encoding import encode
from drugpred.bulk.formats import open_source
from drugpred.data.files import shown, written
from drugpred.errors import DataError
from drugpred.monitoring import drift
from drugpred.monitoring.binning import Binning
from drugpred.tabular import validate

if TYPE_CHECKING:
    from pathlib import Path

    from drugpred.model_store import StoredModel
    from drugpred.monitoring.drift import Drift

__all__ = ["PICTURES", "Gap", "Measured", "draw", "headline", "measure", "table"]

PICTURES: Final = (".html", ".svg")
"""Endings of the names of pictures, which tell the format."""

_ROWS: Final = 10_000
"""Scored at a time."""


class Gap(NamedTuple):
    """Rows that have no value of an input, or one that no respondent trained on could have."""

    missing: float
    """Their share of all rows."""
    unseen: float
    """Likewise."""
    drifted: bool
    """Whether either is so frequent that it is no chance that no respondent is such a one."""

    def __str__(self) -> str:
        shares = {"missing": self.missing, "unseen": self.unseen}
        return ", ".join(f"{share:.1%} {name}" for name, share in shares.items() if share)


class Measured(NamedTuple):
    """What was found in a file."""

    drift: Drift
    inputs: dict[str, list[int]]
    """By input, the count of each bin."""
    scores: dict[str, list[int]]
    """By drug, likewise."""
    rejected: int
    """Rows that are no possible profile; they are not counted."""
    gaps: dict[str, Gap]
    """By input, why they are none."""

    @property
    def drifted(self) -> bool | None:
        """Whether anything has moved; None where there are too few profiles to tell."""
        return True if any(gap.drifted for gap in self.gaps.values()) else self.drift.drifted


def measure(path: Path, model: StoredModel) -> Measured:
    """Measure how far a file's profiles have moved from the respondents that a model was trained on.

    Parameters
    ----------
    path : pathlib.Path
        In CSV or Parquet, with the columns of profiles or of the decoded CSV, or in the UCI form.
    model : StoredModel

    Raises
    ------
    DataError
        The file cannot be read, has other columns than expected, or not a single possible profile.
    ConfigurationError
        Its name tells no format.
    """
    source = open_source(path)
    input_bins, score_bins = Binning(model.card.input_bins), Binning(model.card.probability_bins)
    inputs, scores = (np.zeros(len(bins.series), np.int64) for bins in (input_bins, score_bins))
    rejected = n_rows = 0
    missing, impossible = (np.zeros(len(codebook.INPUTS), np.int64) for _ in range(2))
    for chunk in (chunk for part in source.parts for chunk in source.chunks(part)):
        values, possible = validate(encode(chunk.columns), "standardized")
        good = possible.all(axis=0)
        rejected += len(chunk.malformed) + int((~good).sum())
        n_rows += good.size
        impossible += (~possible).sum(axis=1)
        empty = [pc.sum(pc.is_null(chunk.columns[name], nan_is_null=True)).as_py() for name in codebook.INPUTS]
        missing += np.array([count or 0 for count in empty])
        rows = values.T[good]
        for start in range(0, len(rows), _ROWS):
            some = rows[start : start + _ROWS]
            inputs += input_bins.count(some.T)
            scores += score_bins.count(model.predictor.predict_proba(some)[:, :, codebook.DECADE].T)
    respondents = model.card.data.respondents
    gaps = {
        name: Gap(
            n_missing / max(n_rows, 1),
            n_unseen / max(n_rows, 1),
            any(drift.is_new(count, n_rows, respondents) for count in (n_missing, n_unseen)),
        )
        for name, n_missing, n_unseen in zip(
            codebook.INPUTS, missing.tolist(), (impossible - missing).tolist(), strict=True
        )
    }
    if not inputs.any() and n_rows < drift.MIN_PROFILES:
        raise DataError(f"expected at least one possible profile in {shown(path)}, and {rejected} rows are none")
    by_input, by_drug = input_bins.by_name(inputs), score_bins.by_name(scores)
    return Measured(drift.measure(model.card, by_input, by_drug), by_input, by_drug, rejected, gaps)


def headline(measured: Measured) -> str:
    """Return what was found, in a line."""
    shifts = measured.drift.inputs | {f"P({drug})": shift for drug, shift in measured.drift.scores.items()}
    gaps = {name: f" ({gap})" for name, gap in measured.gaps.items() if gap.drifted}
    moved = [f"{name}{gaps.get(name, '')}" for name, shift in shifts.items() if shift.drifted or name in gaps]
    n = shifts[codebook.INPUTS[0]].n
    if measured.drifted is None:
        return f"{n} profiles, too few to tell drift from"
    return f"{n} profiles: drift of {', '.join(moved)}" if moved else f"{n} profiles: no drift"


def table(measured: Measured) -> Table:
    """Return all figures, to print."""
    result = Table("", "stability index", "drift above", "", "", box=None)
    for kind, shifts in (("{}", measured.drift.inputs), ("P({})", measured.drift.scores)):
        for name, shift in shifts.items():
            figures = (f"{shift.psi:.4f}", f"{shift.threshold:.4f}") if shift.psi is not None else ("", "")
            gap = measured.gaps.get(name) if kind == "{}" else None
            drifted = shift.drifted or (gap is not None and gap.drifted)
            result.add_row(kind.format(name), *figures, str(gap or ""), "drift" if drifted else "")
    return result


def draw(measured: Measured, title: str, model: StoredModel, output: Path) -> None:
    """Write a picture of it, as a page or as SVG by its name.

    Raises
    ------
    OSError
        It cannot be written.
    """
    gaps = {name: str(gap) for name, gap in measured.gaps.items()}
    svg = drift_plot.draw(title, model.card, measured.inputs, measured.scores, measured.drift, gaps)
    with written(output) as file:
        file.write((drift_plot.page(title, svg) if output.suffix.lower() == ".html" else svg).encode())
