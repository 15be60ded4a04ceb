"""Row groups of a Parquet file."""

from itertools import chain

import numpy as np
import pyarrow as pa
import pytest

from drugpred.bulk import parquet_source
from drugpred.bulk.parquet_source import ParquetSource
from drugpred.codebook import INPUTS
from drugpred.errors import DataError


def read(source):
    return list(chain.from_iterable(map(source.chunks, source.parts)))


@pytest.mark.parametrize(("group", "parts"), [(5000, 1), (1000, 3), (700, 4), (100, 3)])
def test_every_row_is_in_one_part(people, table, write, monkeypatch, group, parts):
    monkeypatch.setattr(parquet_source, "_PART_ROWS", 2000)
    monkeypatch.setattr(parquet_source, "_CHUNK_ROWS", 300)
    source = ParquetSource.open(write("in.parquet", table(people), row_group_size=group))
    assert len(source.parts) == parts
    chunks = read(source)
    assert np.concatenate([chunk.lines for chunk in chunks]).tolist() == list(range(1, 5001))
    for i, name in enumerate(INPUTS[5:], 5):
        assert np.array_equal(np.concatenate([chunk.columns[name] for chunk in chunks]), people[:, i])
    assert max(len(chunk.lines) for chunk in chunks) <= 300
    assert sum(part.size for part in source.parts) == sum(chunk.size for chunk in chunks) == 5000


def test_labels_come_encoded_however_they_are_stored(people, table, write):
    encoded = table(people)
    for kind in (pa.string(), pa.large_string()):
        plain = encoded.set_column(1, "gender", encoded["gender"].cast(kind))
        (chunk,) = read(ParquetSource.open(write("in.parquet", plain)))
        assert pa.types.is_dictionary(chunk.columns["gender"].type)
        assert chunk.columns["gender"].to_pylist() == encoded["gender"].to_pylist()


def test_a_file_without_rows_has_no_parts(people, table, write):
    assert ParquetSource.open(write("in.parquet", table(people[:0]))).parts == ()


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("gender", pa.array([1]), "column gender: expected text"),
        ("gender", pa.array([b"F"]), "column gender: expected text"),
        ("age", pa.array([True]), "column age: expected text or numbers"),
        ("openness", pa.array(["0.5"]), "column openness: expected numbers"),
        ("openness", pa.array([True]), "column openness: expected numbers"),
        ("id", pa.array([[1]]), "column id: expected one value a row"),
    ],
)
def test_columns_of_another_type_are_refused(people, table, write, name, column, message):
    path = write("in.parquet", table(people[:1], **{name: column}))
    with pytest.raises(DataError, match=f"^{message}$"):
        ParquetSource.open(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"age,gender\n" * 100, None])
def test_what_is_no_parquet_is_refused(tmp_path, content):
    path = tmp_path / "in.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read .*in.parquet: expected a Parquet file"):
        ParquetSource.open(path)


def test_damage_below_the_surface_is_told(people, table, write):
    path = write("in.parquet", table(people), compression="none")
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 5000 + content[5004:])
    source = ParquetSource.open(path)
    with pytest.raises(DataError, match="expected a Parquet file"):
        read(source)
