"""Tables that are printed, and written as Markdown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table as RichTable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Table", "number"]


@dataclass(frozen=True)
class Table:
    """A table of text: what each row is of, then numbers.

    Attributes
    ----------
    title : str
    headings : sequence of str
        With line breaks where they would be wider than what stands below.
    rows : sequence of sequence of str
    note : str
        What a reader has to know of it.
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


def number(value: float | None, digits: int = 4) -> str:
    """Return a number as tables show it: a dash where it is not known."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"
