"""Maps a file's columns to inputs: by the names of a profile's fields, or by the headings of the decoded CSV.

An index column of pandas and the drugs' columns are ignored.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import AliasChoices

from drugpred.codebook import INPUTS
from drugpred.data.parsing import ALIASES, HEADINGS
from drugpred.errors import DataError
from drugpred.schemas import Profile

if TYPE_CHECKING:
    from collections.abc import Sequence

ID: Final = "id"


def _names(field: str) -> set[str]:
    alias: Any = Profile.model_fields[field].validation_alias
    return {field, HEADINGS[field].casefold(), *(alias.choices if isinstance(alias, AliasChoices) else ())}


_FIELDS: Final = {name: field for field in INPUTS for name in _names(field)} | ALIASES
_INDEX: Final = re.compile(r"|index|level_[0-9]+|unnamed: [0-9]+|__index_level_[0-9]+__")
# Columns of the decoded CSV that are no inputs.
_IGNORED: Final = {heading.casefold() for field, heading in HEADINGS.items() if field not in (ID, *INPUTS)}


def input_of(heading: str) -> str | None:
    """Return the input of a column by its heading, or None."""
    return _FIELDS.get(heading.strip().casefold())


class ColumnMapping(NamedTuple):
    """The headings of a file's columns, spelled as in the file."""

    inputs: dict[str, str]  # heading of each input, in the order of `codebook.INPUTS`
    id: str | None  # heading of the column that identifies rows, if there is one
    keep: tuple[str, ...] = ()  # headings of the columns to carry over; they may be inputs too

    def names(self) -> dict[str, str]:
        """Return the names in a chunk, by heading: inputs, `ID`, and the headings of other columns to carry over."""
        names = {heading: name for name, heading in self.inputs.items()}
        return {heading: heading for heading in self.keep} | names | ({} if self.id is None else {self.id: ID})


def map_columns(headings: Sequence[str], keep: Sequence[str] = ()) -> ColumnMapping:
    """Map a file's columns to inputs and the id.

    Parameters
    ----------
    headings : sequence of str
    keep : sequence of str
        Headings of columns to carry over.

    Raises
    ------
    DataError
        An input is missing or occurs twice, or a column is neither an input, nor the id, nor one of the decoded CSV,
        nor one to carry over, which is missing or occurs twice.
    """
    columns: dict[str, list[str]] = {}
    for heading in headings:
        name = heading.strip().casefold()
        is_other = heading in keep and name not in _FIELDS and name != ID
        if name not in _IGNORED and not _INDEX.fullmatch(name) and not is_other:
            columns.setdefault(_FIELDS.get(name, name), []).append(heading)
    # Checked first: without a heading the first line is a person, whose values must not be in a message.
    missing = [field for field in INPUTS if field not in columns]
    if missing:
        raise DataError(f"expected columns for {', '.join(missing)}", line=1)
    twice = [field for field, spellings in columns.items() if len(spellings) > 1]
    if twice:
        raise DataError(f"expected one column for {', '.join(twice)}, found several", line=1)
    unknown = [heading for name, spellings in columns.items() if name not in (ID, *INPUTS) for heading in spellings]
    if unknown:
        raise DataError(f"expected only the inputs and an id, found {', '.join(map(repr, unknown))}", line=1)
    absent = [heading for heading in keep if headings.count(heading) != 1]
    if absent:
        raise DataError(f"expected one column {', '.join(map(repr, absent))} to keep", line=1)
    return ColumnMapping({field: columns[field][0] for field in INPUTS}, columns.get(ID, [None])[0], tuple(keep))
