"""The drift of a file of profiles: `drugpred drift`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow.compute as pc
from rich.table import Table

from drugpred import codebook
from drugpred.bulk.people import read
from drugpred.data.files import path_text
from drugpred.errors import DataError
from drugpred.monitoring import drift
from drugpred.monitoring.binning import Binning
from drugpred.schemas import MIN_DRIFT_PROFILES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from drugpred.model_store import Bins, StoredModel
    from drugpred.schemas import Drift, Shift

MEANING: Final = (
    "PSI, the population stability index, is 0 if each bin has the share that it has in the training data; "
    "it is drift above a threshold that chance rarely exceeds."
)


class Gap(NamedTuple):
    """Share of rows without a valid value of an input."""

    missing: float  # share of rows without a value
    unseen: float  # share of rows with a value that no respondent of the training data could have
    drifted: bool  # whether either share is higher than by chance

    def __str__(self) -> str:
        shares = {"missing": self.missing, "unseen": self.unseen}
        return ", ".join(f"{share:.1%} {name}" for name, share in shares.items() if share)


class Measured(NamedTuple):
    """The drift of a file."""

    drift: Drift
    inputs: dict[str, list[int]]  # counts of each input's bins
    scores: dict[str, list[int]]  # counts of each drug's bins
    rejected: int  # rows that are no valid profile; they are not counted
    gaps: dict[str, Gap]  # reasons, by input

    @property
    def drifted(self) -> bool | None:
        """Whether any input or probability has drifted; None if there are too few profiles."""
        return True if any(gap.drifted for gap in self.gaps.values()) else self.drift.drifted

    @property
    def moved(self) -> list[str]:
        """Names of the inputs and probabilities that have drifted."""
        gaps = {name for name, gap in self.gaps.items() if gap.drifted}
        return [name for name, shift in self.shifts.items() if shift.drifted or name in gaps]

    @property
    def profiles(self) -> int:
        """Number of valid profiles."""
        return self.drift.inputs[codebook.INPUTS[0]].n

    @property
    def shifts(self) -> dict[str, Shift]:
        """Drift of each input and of each probability, as ``P(drug)``."""
        return self.drift.inputs | {f"P({drug})": shift for drug, shift in self.drift.scores.items()}


def measure(path: Path, model: StoredModel) -> Measured:
    """Measure the drift of a file's profiles from a model's training data.

    Parameters
    ----------
    path : pathlib.Path
        CSV or Parquet, with the columns of profiles or of the decoded CSV, or in the UCI format.
    model : StoredModel

    Raises
    ------
    DataError
        The file cannot be read, has unexpected columns, or has no valid profile.
    ConfigurationError
        Its name has an unknown ending.
    """
    input_bins, score_bins = Binning(model.card.input_bins), Binning(model.card.probability_bins)
    inputs, scores = (np.zeros(len(bins.series), np.int64) for bins in (input_bins, score_bins))
    rejected = n_rows = 0
    missing, impossible = (np.zeros(len(codebook.INPUTS), np.int64) for _ in range(2))
    for people in read(path):
        rejected += people.rejected
        n_rows += people.possible.shape[1]
        impossible += (~people.possible).sum(axis=1)
        columns = people.chunk.columns
        empty = [pc.sum(pc.is_null(columns[name], nan_is_null=True)).as_py() for name in codebook.INPUTS]
        missing += np.array([count or 0 for count in empty])
        for block in people.blocks():
            inputs += input_bins.count(block.T)
            scores += score_bins.count(model.predictor.predict_proba(block)[:, :, codebook.DECADE].T)
    gaps = {}
    for name, *counts in zip(codebook.INPUTS, missing.tolist(), (impossible - missing).tolist(), strict=True):
        missing_share, unseen_share = (count / max(n_rows, 1) for count in counts)
        drifted = any(drift.is_new(count, n_rows, model.card.data.respondents) for count in counts)
        gaps[name] = Gap(missing_share, unseen_share, drifted)
    if not inputs.any() and n_rows < MIN_DRIFT_PROFILES:
        raise DataError(f"expected at least one valid profile in {path_text(path)}, found {rejected} invalid rows")
    by_input, by_drug = input_bins.by_name(inputs), score_bins.by_name(scores)
    return Measured(drift.measure(model.card, by_input, by_drug), by_input, by_drug, rejected, gaps)


def headline(measured: Measured) -> str:
    """Return a summary in one line."""
    gaps = {name: f" ({gap})" for name, gap in measured.gaps.items() if gap.drifted}
    return verdict(measured, [f"{name}{gaps.get(name, '')}" for name in measured.moved])


def verdict(measured: Measured, moved: Sequence[str]) -> str:
    """Return a summary in one line, with these names of the variables that have drifted."""
    if measured.drifted is None:
        return f"{measured.profiles} profiles, too few to measure drift"
    names = f": {', '.join(moved)}" if moved else ""
    return f"{measured.profiles} profiles, {len(moved) or 'none'} of {len(measured.shifts)} drifted{names}"


def report(measured: Measured, model: StoredModel) -> dict[str, Any]:
    """Return all figures, and the shares of each bin, for JSON."""

    def variable(shift: Shift, bins: Bins, counts: Sequence[int]) -> dict[str, Any]:
        rows = zip(bins.labels, bins.shares, counts, strict=True)
        return shift.model_dump() | {
            "bins": [
                {"label": label, "training": share, "profiles": count / max(shift.n, 1)} for label, share, count in rows
            ]
        }

    inputs, scores = (
        {name: variable(shift, bins[name], counts[name]) for name, shift in shifts.items()}
        for shifts, bins, counts in (
            (measured.drift.inputs, model.card.input_bins, measured.inputs),
            (measured.drift.scores, model.card.probability_bins, measured.scores),
        )
    )
    for name, gap in measured.gaps.items():
        inputs[name] |= {
            "missing": gap.missing,
            "unseen": gap.unseen,
            "drifted": inputs[name]["drifted"] or gap.drifted,
        }
    return {
        "model": str(model.tag),
        "profiles": measured.profiles,
        "rejected": measured.rejected,
        "drifted": measured.drifted,
        "inputs": inputs,
        "scores": scores,
    }


def table(measured: Measured) -> Table:
    """Return a table of all figures."""
    result = Table("", "PSI", "drift above", "", "", box=None)
    moved = set(measured.moved)
    for name, shift in measured.shifts.items():
        figures = (f"{shift.psi:.4f}", f"{shift.threshold:.4f}") if shift.psi is not None else ("", "")
        result.add_row(name, *figures, str(measured.gaps.get(name, "")), "drift" if name in moved else "")
    return result
