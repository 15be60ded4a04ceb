"""Parses the two formats of a file of respondents.

The UCI format has no header and quantified categories; the decoded CSV has a header and labels, and some copies of it
have quantified categories. Each line is one record and parsed separately, so an error is reported at its own line and
an unbalanced quote affects no other line. Messages name the expected value, and never contain a value of the file.
"""

from __future__ import annotations

import csv
import io
import math
import re
from array import array
from codecs import BOM_UTF8
from contextlib import suppress
from functools import cache, partial
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from drugpred.codebook import CATEGORIES, DRUG_COLUMNS, DRUGS, INPUTS, LAST_USE, SCORES, SEMERON, Category, Score
from drugpred.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence

    from numpy.typing import NDArray

LAST_USES: Final = (*DRUGS, "semeron")  # the columns of last use, by readable name
COLUMNS: Final = (*INPUTS, *LAST_USES)  # the columns that `parse` returns, by readable name

*_first_17, _last = DRUG_COLUMNS.items()
HEADINGS: Final = (
    {"id": "ID"}
    | {column.name: column.column for column in (*CATEGORIES, *SCORES)}
    | dict([*_first_17, ("semeron", SEMERON), _last])
)
"""Headings of the decoded CSV by readable name, in the order of both formats."""

ALIASES: Final = {"impuslive": "impulsivity"}  # misspelt headings of copies in circulation

_SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs"}
_SEP_LINE: Final = re.compile(r'"?sep=([,;\t])"?\r?\n?')  # a line that names the separator for Excel

_ID: Final = re.compile(r"[0-9]{1,18}|sim-[1-9][0-9]{0,17}")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def parse(content: bytes) -> tuple[list[int | str], NDArray[np.float64]]:
    """Parse a file's content in either format.

    Returns
    -------
    ids : list of int or str
        Strings if the id is a simulated one, such as ``sim-1``.
    table : numpy.ndarray of shape (respondents, 31)
        One row of `COLUMNS` per respondent.

    Raises
    ------
    DataError
        The content is malformed: the line and the column of its first problem.
    """
    rows = _rows(content)
    first = next(rows, None)
    if first is None:
        raise DataError("expected respondents, found an empty file", line=1)
    line, fields = first
    if is_uci_form(fields):
        places, category, rows = {name: place for place, name in enumerate(HEADINGS)}, _value, chain([first], rows)
        width = len(places)
    else:
        places, category, width = _places(fields, line), _label_or_value, len(fields)
    # Each distinct text of a column is parsed once.
    cells = [(name, places[name], cache(parser)) for name, parser in _parsers(category).items()]
    ids: dict[int | str, None] = {}
    values = array("d")
    for line, fields in rows:
        if len(fields) != width:
            raise DataError(f"expected {width} fields", line=line)
        column = "id"
        try:
            ids[_new_id(fields[places["id"]], ids)] = None
            for column, place, parser in cells:  # noqa: B007 - errors name the column
                values.append(parser(fields[place]))
        except ValueError as error:
            raise DataError(str(error), line=line, column=column) from None
    if not ids:
        raise DataError("expected at least one respondent below the header", line=line + 1)
    return list(ids), np.frombuffer(values).reshape(len(ids), len(COLUMNS))


def is_uci_form(fields: Sequence[str]) -> bool:
    """Return whether a file's first line is in the UCI format, which starts with an id and not with a heading."""
    return bool(fields) and bool(_ID.fullmatch(fields[0].strip()) or _NUMBER.fullmatch(fields[0].strip()))


def find_delimiter(line: str) -> tuple[str, bool]:
    """Return the delimiter in a file's first line, and whether the line only names it, like ``sep=;``."""
    if match := _SEP_LINE.fullmatch(line):
        return match[1], True
    return max(_SEPARATORS, key=line.count), False


def split_fields(text: str, delimiter: str) -> list[str]:
    """Return a line's fields.

    Raises
    ------
    ValueError
        The line is malformed; the message is the expected value.
    """
    # With an odd number of quotes a cell contains the line break: this is half a record.
    if text.count('"') % 2 == 0:
        with suppress(csv.Error):
            return next(csv.reader((text,), strict=True, delimiter=delimiter), [])
    raise ValueError(f"fields separated by {_SEPARATORS[delimiter]}, every quote closed")


def _rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of each line, without blank lines at the end."""
    delimiter = ""
    for line, raw in enumerate(io.BytesIO(content.rstrip(b"\r\n") or content), 1):
        try:
            text = (raw.removeprefix(BOM_UTF8) if line == 1 else raw).decode()
        except UnicodeDecodeError:
            raise DataError("expected text in UTF-8", line=line) from None
        if "\0" in text:
            raise DataError("expected text, without NUL bytes", line=line)
        if not delimiter:
            delimiter, only_names_it = find_delimiter(text)
            if only_names_it:
                continue
        try:
            yield line, split_fields(text, delimiter)
        except ValueError as error:
            raise DataError(f"expected {error}", line=line) from None


def _places(headings: Sequence[str], line: int) -> dict[str, int]:
    """Return the position of each column by readable name."""
    names = [heading.strip().casefold() for heading in headings]
    names = [HEADINGS[ALIASES[name]].casefold() if name in ALIASES else name for name in names]
    places = {}
    for name, heading in HEADINGS.items():
        if names.count(heading.casefold()) != 1:
            raise DataError(f"expected one column headed {heading}", line=line, column=name)
        places[name] = names.index(heading.casefold())
    return places


def _parsers(category: Callable[[Category, str], float]) -> dict[str, Callable[[str], float]]:
    """Return a cell parser for each of `COLUMNS`: of a category, `_value` or `_label_or_value`."""
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
    # float() alone accepts "nan", "infinity", "1_000" and digits of other scripts.
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError("expected a number")
    return score.bounded(score.unrounded(float(text)))


def _last_use(text: str) -> float:
    try:
        return LAST_USE.index(text.strip())
    except ValueError:
        raise ValueError(f"expected one of {' | '.join(LAST_USE)}") from None


def _new_id(text: str, seen: Container[int | str]) -> int | str:
    text = text.strip()
    if not _ID.fullmatch(text):
        raise ValueError("expected a whole number, or sim- and a whole number")
    identifier = int(text) if text.isdecimal() else text
    if identifier in seen:
        raise ValueError("expected an id that differs from those above")
    return identifier
