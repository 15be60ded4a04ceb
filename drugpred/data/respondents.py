"""Respondents as a table: reading, simulating and writing."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, LAST_USE, SCORES, Category, DataSource
from drugpred.data.files import open_input
from drugpred.data.parsing import COLUMNS, HEADINGS, LAST_USES, parse
from drugpred.data.simulator import Cohort

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from _typeshed import SupportsWrite
    from numpy.typing import NDArray

_REAL_DIGESTS: Final = {
    "f8319ee1cf3ee961d316d3cd7b7e2a2f98d1cd51d5bbd75527e0c227fec3a20e",  # 1885 respondents, as in the UCI format
    "94add21b2753f2dd0c1e974330a10c4e153237c39f95fde7afd21ee702572328",  # 1884: the decoded CSV lost id 1
}
"""Digests of the parsed real records, independent of the file's format, spelling and line ends."""


@dataclass(frozen=True, eq=False)
class Respondents:
    """The respondents of one file.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per respondent: the twelve inputs as float64 (code of the category, standardized score), then the
        class of last use, 0 to 6, of the eighteen drugs and of "semeron" as int8. The index, "id", holds integers, or
        strings if any id is a simulated one such as ``sim-1``.
    source : {"uci", "simulated", "file"}
        The real data, the simulated cohort, or another file.
    sha256 : str
        Hash of the file's decompressed bytes.
    """

    frame: pd.DataFrame
    source: DataSource
    sha256: str

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def X(self) -> NDArray[np.float64]:  # noqa: N802 - the usual name in scikit-learn
        """Inputs, shape (respondents, 12), C-contiguous."""
        return np.array(self.frame[list(INPUTS)], dtype=np.float64, order="C")

    @property
    def last_use(self) -> NDArray[np.int8]:
        """Class of last use of each drug, shape (respondents, 18), C-contiguous."""
        return np.array(self.frame[list(DRUGS)], dtype=np.int8, order="C")

    def without_overclaimers(self) -> Respondents:
        """Return a copy without respondents who claim to have used Semeron, which does not exist."""
        return replace(self, frame=self.frame[self.frame["semeron"] == 0].copy())


def read(path: Path) -> Respondents:
    """Read a file of respondents in the UCI format or as decoded CSV, which its first field distinguishes.

    Parameters
    ----------
    path : pathlib.Path
        The file, which may be gzipped. A decoded CSV may have its columns in any order; others are ignored.

    Raises
    ------
    DataError
        The file cannot be read or is malformed: the line and the column of its first problem.
    """
    with open_input(path) as file:
        content = file.read()
    ids, table = parse(content)
    simulated = any(isinstance(identifier, str) for identifier in ids)
    index = pd.Index([str(identifier) for identifier in ids] if simulated else ids, name="id")
    frame = pd.DataFrame(table, columns=list(COLUMNS), index=index).astype(dict.fromkeys(LAST_USES, np.int8))
    source: DataSource = "simulated"
    if not simulated:
        records = np.array(ids, dtype="<i8").tobytes() + table.astype("<f8").tobytes()
        source = "uci" if hashlib.sha256(records).hexdigest() in _REAL_DIGESTS else "file"
    return Respondents(frame, source, hashlib.sha256(content).hexdigest())


def simulate(n: int, seed: int) -> Respondents:
    """Draw respondents from the simulated cohort."""
    rows, last_use = (np.concatenate(chunks) for chunks in zip(*Cohort.load().draw(n, seed), strict=True))
    digest = hashlib.sha256(rows.tobytes() + last_use.tobytes()).hexdigest()
    return Respondents(simulated_frame(rows, last_use), "simulated", digest)


def simulated_frame(rows: NDArray[np.float64], last_use: NDArray[np.integer[Any]], *, first: int = 1) -> pd.DataFrame:
    """Return drawn respondents like `Respondents.frame`, with ids from ``sim-<first>``; none claims Semeron."""
    index = pd.Index([f"sim-{i}" for i in range(first, first + len(rows))], name="id")
    drugs = pd.DataFrame(last_use, columns=list(DRUGS), index=index, dtype=np.int8)
    return pd.DataFrame(rows, columns=list(INPUTS), index=index).join(drugs.assign(semeron=np.int8(0)))


def write_csv(frame: pd.DataFrame, file: SupportsWrite[str], *, header: bool) -> None:
    """Write respondents as decoded CSV, from which `read` returns the same rows.

    Parameters
    ----------
    frame : pandas.DataFrame
        Like `Respondents.frame`. Scores are written with five decimals, as published.
    file : text file
        Opened as UTF-8, without translation of line ends.
    header : bool
        Whether to write the headings first.
    """
    spell: dict[str, Callable[[float], str]] = {category.name: _label_of(category) for category in CATEGORIES}
    spell |= {score.name: "{:.5f}".format for score in SCORES}
    spell |= {name: lambda value: LAST_USE[int(value)] for name in LAST_USES}
    columns = [frame.index.tolist()]
    for name in list(HEADINGS)[1:]:
        texts = {value: spell[name](value) for value in frame[name].unique().tolist()}
        columns.append(frame[name].map(texts).tolist())
    writer = csv.writer(file, lineterminator="\n")
    if header:
        writer.writerow(HEADINGS.values())
    writer.writerows(zip(*columns, strict=True))


def _label_of(category: Category) -> Callable[[float], str]:
    """Return a function from codes to the labels of the published CSV."""
    labels = category.published or category.labels
    return lambda code: labels[int(code)]
