"""Tables: printed, and written as Markdown or CSV."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.table import Table as RichTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from drugpred.codebook import Window
    from drugpred.model_store import Card

_DRUG_COLUMNS: Final = {
    "base_rate": "base rate",
    "auc": "AUC",
    "sensitivity": "sens.",
    "specificity": "spec.",
    "log_loss": "log-loss",
    "calibration_error": "calib. error",
}
"""Columns that fit into a terminal of 80 columns."""


@dataclass(frozen=True)
class Table:
    """A table of text: the name of each row, then numbers.

    Attributes
    ----------
    title : str
    headings : sequence of str
        With line breaks if they would be wider than the cells below.
    rows : sequence of sequence of str
    note : str
        An explanation for the reader.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def markdown(self) -> str:
        """Return the table with its title and note as Markdown."""
        headings = [heading.replace("\n", " ") for heading in self.headings]
        lines = [headings, ["---", *["---:"] * (len(self.headings) - 1)], *self.rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return "\n\n".join(part for part in (f"## {self.title}", table, self.note) if part)

    def rich(self) -> RichTable:
        """Return the table for a terminal."""
        table = RichTable(title=self.title, caption=self.note or None, box=box.SIMPLE_HEAD, padding=0)
        for i, heading in enumerate(self.headings):
            table.add_column(heading, justify="right" if i else "left", no_wrap=True)
        for row in self.rows:
            table.add_row(*row)
        return table


def format_number(value: float | None, digits: int = 4) -> str:
    """Return a number as tables show it, a dash for None."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def drug_table(card: Card, window: Window) -> Table:
    """Return the main metrics of every drug within a window."""
    rows = [
        (drug, *(format_number(getattr(windows[window], name), 3) for name in _DRUG_COLUMNS))
        for drug, windows in card.drugs.items()
    ]
    return Table(f"use within a {window}, cross-validated", ("drug", *_DRUG_COLUMNS.values()), rows)


def headline_table(card: Card) -> Table:
    """Return the headline metrics with their intervals."""
    rows = []
    for name, value in card.overall.items():
        low, high = card.overall_intervals.get(name, (None, None))
        rows.append((name.replace("_", " "), format_number(value), f"{format_number(low)} to {format_number(high)}"))
    reference = card.reference_split or {}
    rows += [(f"reference split: {name}", format_number(value), "-") for name, value in reference.items()]
    return Table("headline figures", ("figure", "value", "95% interval"), rows)


def flatten(values: Mapping[str, Any], separator: str = ".", prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings, each with its keys joined by the separator."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, separator, f"{prefix}{key}{separator}")
        else:
            yield f"{prefix}{key}", value


def to_csv(headings: Iterable[str], rows: Iterable[Iterable[object]]) -> bytes:
    """Return rows as CSV; None is an empty field."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows(rows)
    return file.getvalue().encode()
