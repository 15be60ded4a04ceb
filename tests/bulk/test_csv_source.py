"""Lines of a CSV file."""

import csv
import gzip
import os
import socket
from itertools import chain

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drugpred.bulk import csv_source
from drugpred.bulk.csv_source import CsvSource
from drugpred.codebook import INPUTS
from drugpred.errors import DataError

QUOTES = "fields separated by commas, every quote closed"
WIDTH = f"{len(INPUTS)} fields"


@pytest.fixture
def content(tmp_path):
    """Write a file and read it back: the cells of each line, and the malformed lines."""

    def content(text):
        path = tmp_path / "in.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        source = CsvSource.open(path)
        rows, malformed, size = {}, {}, 0
        for chunk in chain.from_iterable(map(source.chunks, source.parts)):
            columns = {name: column.to_pylist() for name, column in chunk.columns.items()}
            assert {len(column) for column in columns.values()} == {len(chunk.lines)}
            rows |= {line: [columns[name][i] for name in columns] for i, line in enumerate(chunk.lines.tolist())}
            malformed |= dict(chunk.malformed)
            size += chunk.size
        assert size == sum(part.size for part in source.parts)
        return rows, malformed

    return content


def test_each_line_is_a_row(content, line):
    rows, malformed = content(line.header + line() + line(age="26") + line(gender="M"))
    assert [(n, row[:2]) for n, row in rows.items()] == [(2, ["25", "F"]), (3, ["26", "F"]), (4, ["25", "M"])]
    assert rows[2][-1] == 0.5
    assert malformed == {}


@pytest.mark.parametrize(
    "change", [lambda text: text.rstrip("\n"), lambda text: text.replace("\n", "\r\n"), lambda text: "\ufeff" + text]
)
def test_ways_to_write_the_same_file(content, line, change):
    text = line.header + line() + line(age="26")
    assert content(change(text)) == content(text)


def test_quoted_fields_may_hold_commas_and_quotes(content, line):
    rows, malformed = content(line.header + line(education='"Some college, or "" university"', country='"UK"'))
    assert rows[2][2:4] == ['Some college, or " university', "UK"]
    assert malformed == {}


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ("1,2,3\n", WIDTH),
        (",\n", WIDTH),
        ("," * len(INPUTS) + "\n", WIDTH),
        ('25,"F,University degree,UK,White,0,0,0,0,0,0,0\n', QUOTES),
        ('x","y\n', QUOTES),
        ('"25"6,F,University degree,UK,White,0,0,0,0,0,0,0\n', QUOTES),
        ("25\r,F,University degree,UK,White,0,0,0,0,0,0,0\n", QUOTES),
        (b"\xff,F,University degree,UK,White,0,0,0,0,0,0,0\n", "text in UTF-8"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_malformed_line_is_reported_and_affects_no_other(content, line, bad, expected, place):
    lines = [line(age='"26"').encode(), line().encode()]
    lines.insert(place, bad if isinstance(bad, bytes) else bad.encode())
    rows, malformed = content(line.header.encode() + b"".join(lines))
    assert malformed == {place + 2: expected}
    assert [row[0] for row in rows.values()] == ["26", "25"]
    assert {*rows, place + 2} == {2, 3, 4}


def test_behind_a_malformed_line_lines_are_counted_on_in_the_next_block(content, line, monkeypatch):
    monkeypatch.setattr(csv_source, "_BLOCK_BYTES", 1)
    rows, malformed = content(line.header + line() + "1,2\n" + line(age="26") + "1,2\n" + line())
    assert list(rows) == [2, 4, 6]
    assert list(malformed) == [3, 5]


@pytest.mark.parametrize("blank", ["\n", "\r\n"])
def test_blank_lines_are_malformed_but_at_the_end(content, line, blank, monkeypatch):
    text = line.header + line() + blank + line(age="26")
    for part in (1 << 24, 1):
        monkeypatch.setattr(csv_source, "_PART_BYTES", part)
        for end in ("", blank, 3 * blank):
            rows, malformed = content(text + end)
            assert list(rows) == [2, 4]
            assert malformed == {3: WIDTH}


@pytest.mark.parametrize(
    "cell", ["ward 3\nbed 4", "ward 3\n", "\nbed 4", 'ward ""3""\nbed', "ward, 3\nroom 9\nbed, 4", "a\r\nb"]
)
def test_of_a_record_with_an_end_of_line_in_a_cell_no_half_is_taken(content, line, cell):
    record = f'"{cell}",' + line(education='"Some college or university, no certificate or degree"')
    rows, malformed = content("ID," + line.header + "a," + line() + record + "b," + line())
    last = 3 + cell.count("\n")
    assert [row[0] for row in rows.values()] == ["a", "b"]
    assert list(rows) == [2, last + 1]
    assert list(malformed) == list(range(3, last + 1))
    assert malformed[3] == malformed[last] == QUOTES


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize("named", ["", "sep={}\n", '\ufeff"sep={}"\r\n'])
@pytest.mark.parametrize("bad", ["", 'x"y;\n'])
def test_separators_of_spreadsheets(content, line, delimiter, named, bad):
    text = line.header + line(country='"a b"') + line(age="26") + bad
    first = 3 if named else 2
    rows, malformed = content(named.format(delimiter) + text.replace(",", delimiter).replace("a b", "a,b"))
    assert [(n, row[0], row[3], row[-1]) for n, row in rows.items()] == [
        (first, "25", "a,b", "0.5" if bad else 0.5),
        (first + 1, "26", "UK", "0.5" if bad else 0.5),
    ]
    assert list(malformed) == [first + 2] * bool(bad)


@pytest.mark.parametrize("change", [lambda text: text, lambda text: b"\xef\xbb\xbf" + text + b"\n\n"])
def test_the_uci_form_begins_with_a_person(content, uci_path, change):
    rows, malformed = content(change(uci_path.read_bytes()))
    assert malformed == {}
    assert len(rows) == 1885
    assert rows[1][:3] == ["1", "0.49788", "0.48246"]


def test_a_compressed_file_has_the_same_rows_in_one_part(content, line, tmp_path, monkeypatch):
    text = (line.header + "".join(line(age=str(18 + i % 90)) for i in range(500)) + "\n\n").encode()
    whole = content(text)
    monkeypatch.setattr(csv_source, "_PART_BYTES", 1000)
    monkeypatch.setattr(csv_source, "_BLOCK_BYTES", 3000)
    assert content(gzip.compress(text)) == whole
    assert len(CsvSource.open(tmp_path / "in.csv").parts) == 1
    (tmp_path / "in.csv").write_bytes(gzip.compress(text)[:-9])
    with pytest.raises(DataError, match="expected a complete gzip file"):
        CsvSource.open(tmp_path / "in.csv")


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device"])
def test_an_irregular_file_is_refused_without_waiting(tmp_path, kind):
    path = tmp_path / "in.csv"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "socket":
            listening.bind(str(path))
        with pytest.raises(DataError, match=f"cannot read .*in.csv: expected a regular file, found a {kind}"):
            CsvSource.open(path)


def test_a_quote_left_open_at_the_end_of_the_file_is_malformed(content, line):
    rows, malformed = content(line.header + line() + line()[:-1].removesuffix("0.5") + '"0.5')
    assert list(rows) == [2]
    assert malformed == {3: QUOTES}


def test_cells_that_are_no_numbers_stay_text(content, line):
    rows, _ = content(line.header + line() + line(openness="zebra") + line(openness=""))
    assert [row[7] for row in rows.values()] == ["0.5", "zebra", None]


def test_an_id_may_be_any_text(content, line):
    rows, _ = content("ID," + line.header + "".join(f"{key}," + line() for key in ("007", "NA", "null", "", "é")))
    assert [row[0] for row in rows.values()] == ["007", "NA", "null", None, "é"]


def test_a_file_without_rows_has_no_parts(content, line):
    assert content(line.header) == ({}, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "line 1: expected columns for age"),
        (b"\xff\n", "line 1: expected text in UTF-8"),
        (b'"age\n', "line 1: expected fields separated by commas"),
        (b"\0" * 100, "line 1: expected columns for"),
    ],
)
def test_a_file_without_a_header_is_refused(tmp_path, text, message):
    (tmp_path / "in.csv").write_bytes(text)
    with pytest.raises(DataError) as caught:
        CsvSource.open(tmp_path / "in.csv")
    assert str(caught.value).startswith(message)


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*in.csv: No such file"):
        CsvSource.open(tmp_path / "in.csv")


def test_parts_and_blocks_leave_no_seam(content, line, monkeypatch):
    text = line.header + "".join(line(age=str(18 + i % 90)) for i in range(500))
    whole = content(text)
    # The first ends exactly where a line does.
    for part, block in ((len(line()) * 7, len(line())), (1000, 333), (1, 1), (10**6, 1000)):
        monkeypatch.setattr(csv_source, "_PART_BYTES", part)
        monkeypatch.setattr(csv_source, "_BLOCK_BYTES", block)
        assert content(text) == whole


PIECES = st.sampled_from(["a", '"', '"', ",", ",", "\r", "é", " ", "b", "\0", '""', ',"', '",'])
LINES = st.one_of(
    st.lists(PIECES, max_size=8).map("".join),
    st.lists(
        st.sampled_from(["a", '"b"', '"c,d"', "", '"e""f"', 'g"', '"h"i', "\r", '"']), min_size=12, max_size=12
    ).map(",".join),
)


@given(st.lists(LINES, max_size=6), st.sampled_from(["\n", "\r\n"]))
@example(['a,a,a,a,a,","c,d",","c,d",a,a,a'], "\n")  # after a closing quote comes text
def test_every_line_is_parsed_as_it_is_alone(tmp_path_factory, lines, end):
    path = tmp_path_factory.mktemp("lines") / "in.csv"
    path.write_bytes((",".join(INPUTS) + "\n" + "".join(line + end for line in lines)).encode())
    source = CsvSource.open(path)
    while lines and not lines[-1].strip("\r"):
        lines.pop()
    expected_rows, expected_malformed = {}, []
    for n, text in enumerate(lines, 2):
        try:
            assert text.count('"') % 2 == 0
            row = next(csv.reader((text + end.strip("\n"),), strict=True), [])
            assert len(row) == len(INPUTS)
            expected_rows[n] = [cell or None for cell in row]
        except (csv.Error, AssertionError):
            expected_malformed.append(n)
    rows, malformed = {}, []
    for chunk in chain.from_iterable(map(source.chunks, source.parts)):
        columns = [column.to_pylist() for column in chunk.columns.values()]
        rows |= dict(zip(chunk.lines.tolist(), map(list, zip(*columns, strict=True)), strict=True))
        malformed += [line for line, _ in chunk.malformed]
    assert rows == expected_rows
    assert list(rows) == list(expected_rows)
    assert malformed == expected_malformed
