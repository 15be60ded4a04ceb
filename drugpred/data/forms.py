"""The two forms of a file of respondents, as numbers.

The UCI form has no header and quantified categories; the decoded CSV has a header and labels, and some copies of it
have quantified categories. One line is one record and is parsed on its own: whatever is malformed is found at its own
line, and a stray quote swallows nothing. Messages name what was expected, never what stood there.
"""

from __future__ import annotations

import csv
import io
import math
import re
from array import array
from codecs import BOM_UTF8
from contextlib import suppress
from functools import partial
from itertools import chain
from operator import getitem, itemgetter
from typing import TYPE_CHECKING, Final

import numpy as np

from drugpred.codebook import CATEGORIES, DRUG_COLUMNS, DRUGS, INPUTS, LAST_USE, SCORES, SEMERON, Category, Score
from drugpred.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["ALIASES", "COLUMNS", "HEADINGS", "LAST_USES", "fields_of", "is_uci", "parse", "separator"]

LAST_USES: Final = (*DRUGS, "semeron")
"""The columns of last use, by readable name."""

COLUMNS: Final = (*INPUTS, *LAST_USES)
"""What `parse` returns of each respondent, by readable name."""

*_most, _last = DRUG_COLUMNS.items()
HEADINGS: Final = (
    {"id": "ID"}
    | {column.name: column.column for column in (*CATEGORIES, *SCORES)}
    | dict([*_most, ("semeron", SEMERON), _last])
)
"""Headings of the decoded CSV by readable name, in the order that both forms have."""

ALIASES: Final = {"impuslive": "impulsivity"}
"""Misspelt headings of copies in circulation."""

_SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs"}
_NAMED: Final = re.compile(r'"?sep=([,;\t])"?\r?\n?')
"""The line that names the separator to Excel."""

_ID: Final = re.compile(r"[0-9]{1,18}|sim-[1-9][0-9]{0,17}")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def parse(content: bytes) -> tuple[list[int | str], NDArray[np.float64]]:
    """Parse a file's content in either form.

    Returns
    -------
    ids : list of int or str
        A string where the id is a simulated one, ``sim-1``.
    table : numpy.ndarray of shape (respondents, 31)
        A row of `COLUMNS` for each.

    Raises
    ------
    DataError
        The content is malformed: the line and the column of its first problem.
    """
    rows = _rows(content)
    first = next(rows, None)
    if first is None:
        raise DataError("expected respondents, not an empty file", line=1)
    line, fields = first
    if is_uci(fields):
        places, category, rows = {name: place for place, name in enumerate(HEADINGS)}, _value, chain([first], rows)
        width = len(places)
    else:
        places, category, width = _places(fields, line), _label_or_value, len(fields)
    pick = itemgetter(*(places[name] for name in COLUMNS))
    cells = [_Cells(name, parser) for name, parser in _parsers(category).items()]
    ids: dict[int | str, None] = {}
    values = array("d")
    for line, fields in rows:
        if len(fields) != width:
            raise DataError(f"expected {width} fields", line=line)
        try:
            ids[_new_id(fields[places["id"]], ids)] = None
            values.extend(map(getitem, cells, pick(fields)))
        except _CellError as error:
            raise DataError(error.expected, line=line, column=error.column) from None
    if not ids:
        raise DataError("expected at least one respondent below the header", line=line + 1)
    return list(ids), np.frombuffer(values).reshape(len(ids), len(COLUMNS))


def is_uci(fields: Sequence[str]) -> bool:
    """Return whether a file of that first line is in the UCI form, which begins with an id; others have a heading."""
    return bool(fields) and bool(_ID.fullmatch(fields[0].strip()) or _NUMBER.fullmatch(fields[0].strip()))


def separator(line: str) -> tuple[str, bool]:
    """Return what separates a file's fields, and whether its first line does nothing but name it, as ``sep=;`` does.

    Parameters
    ----------
    line : str
        The first line. What separates most fields there does so everywhere.
    """
    if named := _NAMED.fullmatch(line):
        return named[1], True
    return max(_SEPARATORS, key=line.count), False


def fields_of(text: str, delimiter: str) -> list[str]:
    """Return a line's fields.

    Raises
    ------
    ValueError
        It is malformed; the message is what was expected.
    """
    # An odd quote is of a cell that holds an end of line: this is half a record.
    if text.count('"') % 2 == 0:
        with suppress(csv.Error):
            return next(csv.reader((text,), strict=True, delimiter=delimiter), [])
    raise ValueError(f"fields separated by {_SEPARATORS[delimiter]}, every quote closed")


def _rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield each line with its number, as fields; blank lines at the end are none."""
    delimiter = ""
    for line, raw in enumerate(io.BytesIO(content.rstrip(b"\r\n") or content), 1):
        try:
            text = (raw.removeprefix(BOM_UTF8) if line == 1 else raw).decode()
        except UnicodeDecodeError:
            raise DataError("expected text in UTF-8", line=line) from None
        if "\0" in text:
            raise DataError("expected text, without NUL bytes", line=line)
        if not delimiter:
            delimiter, only_named = separator(text)
            if only_named:
                continue
        try:
            yield line, fields_of(text, delimiter)
        except ValueError as error:
            raise DataError(f"expected {error}", line=line) from None


def _places(headings: Sequence[str], line: int) -> dict[str, int]:
    """Return where each column stands, by readable name."""
    found = [heading.strip().casefold() for heading in headings]
    found = [HEADINGS[ALIASES[heading]].casefold() if heading in ALIASES else heading for heading in found]
    places = {}
    for name, heading in HEADINGS.items():
        if found.count(heading.casefold()) != 1:
            raise DataError(f"expected one column headed {heading}", line=line, column=name)
        places[name] = found.index(heading.casefold())
    return places


class _CellError(Exception):
    """A cell is malformed."""

    def __init__(self, expected: str, column: str) -> None:
        super().__init__(expected, column)
        self.expected = expected
        self.column = column


class _Cells(dict[str, float]):
    """The cells of a column: each distinct text is parsed once, however many rows have it."""

    def __init__(self, name: str, parser: Callable[[str], float]) -> None:
        super().__init__()
        self._name = name
        self._parser = parser

    def __missing__(self, text: str) -> float:
        try:
            value = self[text] = self._parser(text)
        except ValueError as error:
            raise _CellError(str(error), self._name) from None
        return value


def _parsers(category: Callable[[Category, str], float]) -> dict[str, Callable[[str], float]]:
    """Return what parses a cell of each of `COLUMNS`; a category's by `_value` or `_label_or_value`."""
    parsers: dict[str, Callable[[str], float]] = {column.name: partial(category, column) for column in CATEGORIES}
    parsers |= {column.name: partial(_score, column) for column in SCORES}
    return parsers | dict.fromkeys(LAST_USES, _last_use)


def _label_or_value(category: Category, text: str) -> float:
    if _NUMBER.fullmatch(text.strip()):
        with suppress(ValueError):
            return category.quantified(float(text))
    return category.code(text)


def _value(category: Category, text: str) -> float:
    return category.quantified(float(text) if _NUMBER.fullmatch(text.strip()) else math.nan)


def _score(score: Score, text: str) -> float:
    return score.bounded(score.unrounded(_number(text)))


def _number(text: str) -> float:
    # float() alone would take "nan", "infinity", "1_000" and the digits of other scripts.
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError("expected a number")
    return float(text)


def _last_use(text: str) -> float:
    try:
        return LAST_USE.index(text.strip())
    except ValueError:
        raise ValueError(f"expected one of {' | '.join(LAST_USE)}") from None


def _new_id(text: str, seen: Container[int | str]) -> int | str:
    text = text.strip()
    if not _ID.fullmatch(text):
        raise _CellError("expected a whole number, or sim- and a whole number", "id")
    identifier = int(text) if text.isdecimal() else text
    if identifier in seen:
        raise _CellError("expected an id that no line above has", "id")
    return identifier
