"""Rows of a Parquet file: its row groups are the parts."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from drugpred.bulk.headings import Headings, find
from drugpred.bulk.source import Chunk, Part
from drugpred.codebook import AGE, CATEGORIES
from drugpred.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ParquetSource"]

_PART_ROWS: Final = 500_000
"""Row groups are taken together up to here; larger ones stay as they are."""

_CHUNK_ROWS: Final = 1 << 14
_BUFFER: Final = 1 << 20
"""Bytes read at a time of each column: without it, a row group would be read whole."""

_TEXTS: Final = tuple(category.name for category in CATEGORIES)


@dataclass(frozen=True)
class ParquetSource:
    """Rows of a Parquet file, see `Source`."""

    path: Path
    headings: Headings
    id_type: pa.DataType
    parts: tuple[Part, ...]

    @classmethod
    def open(cls, path: Path) -> Self:
        """Look at a file's columns and row groups.

        Raises
        ------
        DataError
            The file cannot be read, or has other columns or types than expected.
        """
        with _open(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
            headings = find(schema.names)
            for name, heading in headings.inputs.items():
                _check(name, heading, schema.field(heading).type)
            rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        id_type = schema.field(headings.id).type if headings.id else pa.int64()
        if pa.types.is_dictionary(id_type):
            id_type = id_type.value_type
        if pa.types.is_nested(id_type):
            raise DataError("expected one value a row", column=headings.id)
        return cls(path, headings, id_type, tuple(_parts(rows)))

    def chunks(self, part: Part) -> Iterator[Chunk]:
        """Read a part."""
        names = {heading: name for name, heading in self.headings.inputs.items()}
        if self.headings.id is not None:
            names[self.headings.id] = "id"
        line = part.line
        with _open(self.path, [self.headings.inputs[name] for name in _TEXTS]) as file:
            groups = range(part.start, part.stop)
            for batch in file.iter_batches(_CHUNK_ROWS, groups, list(names)):
                columns = dict(zip(map(names.__getitem__, batch.schema.names), batch.columns, strict=True))
                lines = np.arange(line, line + len(batch))
                yield Chunk(columns, lines, [], len(batch))
                line += len(batch)


@contextmanager
def _open(path: Path, dictionaries: list[str] | None = None) -> Iterator[parquet.ParquetFile]:
    try:
        with parquet.ParquetFile(path, read_dictionary=dictionaries, buffer_size=_BUFFER) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"cannot read {path}: expected a Parquet file") from error


def _check(name: str, heading: str, kind: pa.DataType) -> None:
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if name not in _TEXTS:
        if not (is_number or pa.types.is_decimal(kind)):
            raise DataError("expected numbers", column=heading)
        return
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if name == AGE.name and not (is_text or is_number):
        raise DataError("expected text or numbers", column=heading)
    if name != AGE.name and not is_text:
        raise DataError("expected text", column=heading)


def _parts(rows: list[int]) -> Iterator[Part]:
    start, line, size = 0, 1, 0
    for i, more in enumerate(rows):
        if size and size + more > _PART_ROWS:
            yield Part(start, i, line, size)
            start, line, size = i, line + size, 0
        size += more
    if size:
        yield Part(start, len(rows), line, size)
