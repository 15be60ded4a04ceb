"""Rows of a Parquet file; its row groups are the parts."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet
from typing_extensions import override

from drugpred.bulk.column_mapping import ID, map_columns
from drugpred.bulk.encoding import VIEWED
from drugpred.bulk.source import Chunk, Part, Source
from drugpred.bulk.storage import location, open_arrow
from drugpred.codebook import AGE, CATEGORIES
from drugpred.data.files import require_regular
from drugpred.errors import DataError, reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from drugpred.bulk.storage import File

_PART_ROWS: Final = 500_000  # smaller row groups are merged up to this many rows; larger ones stay as they are

_CHUNK_ROWS: Final = 3 << 13  # a multiple of the blocks of networks, and columns that fit in a core's cache
_BUFFER: Final = 1 << 20  # bytes read at a time for each column; without it a whole row group would be read

_DICTIONARIES: Final = {"PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "RLE", "BIT_PACKED"}
"""Encodings of text and of missing values that pyarrow reads as dictionaries; others it reads as text."""

_STRINGS: Final = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BINARIES: Final = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
_IDS: Final = (
    *_STRINGS,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_boolean,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_timestamp,
    pa.types.is_duration,
    pa.types.is_null,
)
_TEXTS: Final = tuple(category.name for category in CATEGORIES)


@dataclass(frozen=True)
class ParquetSource(Source):
    """Rows of a Parquet file."""

    dictionaries: tuple[str, ...]
    """Headings of text columns that can be read as dictionaries."""

    @classmethod
    def open(cls, path: File, keep: Sequence[str] = ()) -> Self:
        """Read a file's schema and its row groups.

        Raises
        ------
        DataError
            The file cannot be read, or has unexpected columns or types.
        """
        if isinstance(path, Path):
            require_regular(path)
        with _open(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
            mapping = map_columns(schema.names, keep)
            for name, heading in mapping.inputs.items():
                _check(name, heading, schema.field(heading).type)
            groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
            others = {
                column.path_in_schema
                for group in groups
                for column in map(group.column, range(group.num_columns))
                if not _DICTIONARIES.issuperset(column.encodings)
            }
        id_type = pa.null() if mapping.id is None else _id_type(mapping.id, schema.field(mapping.id).type)
        kept_types = tuple(_id_type(heading, schema.field(heading).type) for heading in keep)
        dictionaries = {mapping.inputs[name] for name in _TEXTS} - others
        parts = tuple(_parts([group.num_rows for group in groups]))
        return cls(path, mapping, id_type, kept_types, parts, tuple(dictionaries))

    @override
    def chunks(self, part: Part) -> Iterator[Chunk]:
        names = self.mapping.names()
        types = {names[heading]: kind for heading, kind in zip(self.mapping.keep, self.kept_types, strict=True)}
        if self.mapping.id is not None:
            types[ID] = self.id_type
        line = part.line
        with _open(self.path, self.dictionaries) as file:
            groups = range(part.start, part.stop)
            for batch in file.iter_batches(_CHUNK_ROWS, groups, list(names), use_threads=False):
                columns = dict(zip(map(names.__getitem__, batch.schema.names), batch.columns, strict=True))
                for name, kind in types.items():
                    columns[name] = _ids(columns[name], kind)
                lines = np.arange(line, line + len(batch))
                yield Chunk(columns, lines, [], len(batch))
                line += len(batch)


@contextmanager
def _open(path: File, dictionaries: Sequence[str] = ()) -> Iterator[parquet.ParquetFile]:
    try:
        with (
            open_arrow(path) as content,
            # At a URL, fewer and parallel requests for a whole part are faster.
            parquet.ParquetFile(
                content, read_dictionary=dictionaries, buffer_size=_BUFFER, pre_buffer=not isinstance(path, Path)
            ) as file,
        ):
            yield file
    except (OSError, pa.ArrowException) as error:
        if not isinstance(path, Path) and not isinstance(error, pa.ArrowInvalid):
            raise DataError(f"cannot read {location(path)}: {reason(error)}") from error
        raise DataError(f"cannot read {location(path)}: expected a Parquet file") from error
    except ValueError as error:  # of a web server that does not send ranges
        raise DataError(f"cannot read {location(path)}: {reason(error)}") from error


def _check(name: str, heading: str, kind: pa.DataType) -> None:
    """Raise DataError unless `encode` accepts the type of a column."""
    expected = "text or numbers" if name == AGE.name else "text" if name in _TEXTS else "numbers"
    if pa.types.is_dictionary(kind) and name in _TEXTS:
        kind = kind.value_type
    if not (
        (name in _TEXTS and _is_text(kind))
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or (pa.types.is_integer(kind) and expected != "text")  # a quantified category is never an integer
    ):
        raise DataError(f"expected {expected}", column=heading)


def _is_text(kind: pa.DataType) -> bool:
    """Return whether values are text, or bytes, in which some programs write text."""
    return any(is_kind(kind) for is_kind in (*_STRINGS, *_BINARIES))


def _id_type(heading: str, kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_nested(kind):
        raise DataError("expected one value in each row", column=heading)
    if kind == pa.uuid():
        return pa.string()
    if not any(is_kind(kind) for is_kind in _IDS):
        raise DataError("expected text, numbers, times or UUIDs", column=heading)
    return VIEWED.get(kind, kind)


def _ids(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.type == pa.uuid():
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], kind)
    return pc.cast(column, kind)


def _parts(rows: list[int]) -> Iterator[Part]:
    start, line, size = 0, 1, 0
    for i, more in enumerate(rows):
        if size and size + more > _PART_ROWS:
            yield Part(start, i, line, size)
            start, line, size = i, line + size, 0
        size += more
    if size:
        yield Part(start, len(rows), line, size)
