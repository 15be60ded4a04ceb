"""Row groups of a Parquet file."""

import os
from decimal import Decimal
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from drugpred.bulk import parquet_source
from drugpred.bulk.encoding import encode
from drugpred.bulk.parquet_source import ParquetSource
from drugpred.codebook import INPUTS
from drugpred.errors import DataError

TEXTS = INPUTS[:5]
BINARIES = [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(1)]


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
        ("age", pa.array([True]), "column age: expected text or numbers"),
        ("openness", pa.array(["0.5"]), "column openness: expected numbers"),
        ("openness", pa.array([True]), "column openness: expected numbers"),
        ("id", pa.array([[1]]), "column id: expected one value in each row"),
        *(("id", pa.array([b"\xff"], kind), "column id: expected text, numbers, times or UUIDs") for kind in BINARIES),
    ],
)
def test_columns_of_another_type_are_refused(people, table, write, name, column, message):
    path = write("in.parquet", table(people[:1], **{name: column}))
    with pytest.raises(DataError, match=f"^{message}$"):
        ParquetSource.open(path)


@pytest.mark.parametrize(
    "encoding", ["PLAIN", "RLE_DICTIONARY", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "BYTE_STREAM_SPLIT"]
)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_every_encoding_is_read(people, table, write, encoding, version):
    made = table(people[:500])
    made = made.cast(pa.schema([(name, pa.string() if name in TEXTS else pa.float64()) for name in INPUTS]))
    columns = INPUTS[5:] if encoding == "BYTE_STREAM_SPLIT" else TEXTS
    how = dict.fromkeys(columns, encoding)
    options = {"use_dictionary": False, "column_encoding": how}
    if encoding == "RLE_DICTIONARY":
        options = {"use_dictionary": True}
    chunks = read(ParquetSource.open(write("in.parquet", made, data_page_version=version, **options)))
    for name in INPUTS:
        assert [value for chunk in chunks for value in chunk.columns[name].to_pylist()] == made[name].to_pylist()


def test_one_row_group_of_another_encoding_is_enough(people, table, tmp_path):
    made = table(people[:500])
    plain = made.set_column(1, "gender", made["gender"].cast(pa.string()))
    for number, encoding in enumerate(("PLAIN", "DELTA_BYTE_ARRAY")):
        how = {"use_dictionary": False, "column_encoding": {"gender": encoding}}
        parquet.write_table(plain, tmp_path / f"{number}.parquet", **how)
    with parquet.ParquetWriter(tmp_path / "in.parquet", plain.schema, use_dictionary=["age"]) as writer:
        writer.write_table(plain, row_group_size=100)
    for path in tmp_path.iterdir():
        chunks = read(ParquetSource.open(path))
        found = [value for chunk in chunks for value in chunk.columns["gender"].to_pylist()]
        assert found == made["gender"].to_pylist()


@pytest.mark.parametrize("kind", [pa.string_view(), pa.binary_view(), pa.binary(), pa.large_binary()], ids=str)
def test_views_and_bytes_are_text(people, table, write, kind):
    made = table(people[:500])
    given = made["gender"].cast(pa.string())
    given = given.cast(kind) if "string" in str(kind) else given.cast(pa.binary()).cast(kind)
    for options in ({}, {"use_dictionary": False, "column_encoding": {"gender": "DELTA_BYTE_ARRAY"}}):
        (chunk,) = read(ParquetSource.open(write("in.parquet", made.set_column(1, "gender", given), **options)))
        assert np.array_equal(encode(chunk.columns)["gender"], people[:500, 1])


@pytest.mark.parametrize("kind", [pa.decimal128(38, 0), pa.decimal128(20, 5), pa.decimal256(40, 2)], ids=str)
def test_whole_ages_may_be_decimals(people, table, write, kind):
    made = table(people[:3]).set_column(0, "age", pa.array(map(Decimal, (25, 70, 17)), kind))
    (chunk,) = read(ParquetSource.open(write("in.parquet", made)))
    assert encode(chunk.columns)["age"].tolist() == [1, 5, -1]


def test_a_name_may_be_no_utf8(people, table, write, tmp_path):
    path = Path(os.fsdecode(bytes(tmp_path) + b"/M\xe4rz.parquet"))
    write("in.parquet", table(people[:10])).rename(path)
    assert len(read(ParquetSource.open(path))[0].lines) == 10
    path.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        ParquetSource.open(path)
    assert str(caught.value).encode().decode().endswith("M\ufffdrz.parquet: expected a Parquet file")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "in.parquet")
    with pytest.raises(DataError, match="expected a regular file, found a pipe"):
        ParquetSource.open(tmp_path / "in.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"age,gender\n" * 100])
def test_invalid_parquet_is_refused(tmp_path, content):
    path = tmp_path / "in.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read .*in.parquet: expected a Parquet file"):
        ParquetSource.open(path)


def test_damage_inside_a_file_is_reported(people, table, write):
    path = write("in.parquet", table(people), compression="none")
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 5000 + content[5004:])
    source = ParquetSource.open(path)
    with pytest.raises(DataError, match="expected a Parquet file"):
        read(source)
