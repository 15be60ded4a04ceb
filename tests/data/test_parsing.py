"""Malformed files: each is refused once, at its line and column, without repeating what stood there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drugpred.data.parsing import COLUMNS, HEADINGS, parse
from drugpred.data.respondents import read
from drugpred.errors import DataError

UCI = """\
5,0.49788,0.48246,1.98437,0.96082,-0.31685,0.73545,-1.63340,-0.45174,-0.30172,1.30612,-0.21712,-0.21575\
,CL4,CL1,CL1,CL0,CL6,CL3,CL6,CL0,CL0,CL1,CL0,CL0,CL1,CL0,CL0,CL2,CL2,CL0,CL0
6,2.59171,0.48246,-1.22751,0.24923,-0.31685,-0.67825,-0.30033,-1.55521,2.03972,1.63088,-1.37983,-1.54858\
,CL2,CL0,CL0,CL0,CL6,CL0,CL4,CL0,CL0,CL0,CL0,CL0,CL0,CL0,CL0,CL0,CL6,CL0,CL0
7,1.09449,-0.48246,-0.61113,-0.57009,-0.31685,-0.46725,-1.09207,-0.45174,-0.30172,0.93949,-0.21712,0.07987\
,CL6,CL0,CL0,CL0,CL6,CL1,CL5,CL0,CL0,CL0,CL0,CL0,CL0,CL0,CL0,CL0,CL6,CL0,CL0
"""
HEADER = (
    "ID,Age,Gender,Education,Country,Ethnicity,Nscore,Escore,Oscore,AScore,Cscore,Impulsive,SS,Alcohol,Amphet,Amyl,"
    "Benzos,Caff,Cannabis,Choc,Coke,Crack,Ecstasy,Heroin,Ketamine,Legalh,LSD,Meth,Mushrooms,Nicotine,Semer,VSA\n"
)
LABELS = {
    "5,0.49788,0.48246,1.98437,0.96082,-0.31685": "5,35-44,F,Doctorate degree,UK,White",
    "6,2.59171,0.48246,-1.22751,0.24923,-0.31685": "6,65+,F,Left school at 18 years,Canada,White",
    "7,1.09449,-0.48246,-0.61113,-0.57009,-0.31685": (
        '7,45-54,M,"Some college or university, no certificate or degree",USA,White'
    ),
}
DECODED = HEADER + UCI
for value, label in LABELS.items():
    DECODED = DECODED.replace(value, label)

MARKS = ("zebra", "7.77777", "CL7", "nan", "inf", "1_0")
"""What malformed files below hold, and no message may repeat."""


def row(n, form=UCI):
    """Return one line of a form, so that it can be replaced."""
    return form.splitlines(keepends=True)[n - 1]


def refused(content, line, column, expected="expected"):
    with pytest.raises(DataError, match=expected) as caught:
        parse(content if isinstance(content, bytes) else content.encode())
    assert (caught.value.line, caught.value.column) == (line, column)
    message = str(caught.value)
    assert not any(mark in message for mark in MARKS)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_both_forms_of_the_small_file_are_the_same():
    ids, table = parse(UCI.encode())
    assert ids == [5, 6, 7]
    assert table.shape == (3, len(COLUMNS))
    assert parse(DECODED.encode())[0] == ids
    assert (parse(DECODED.encode())[1] == table).all()


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "expected"),
    [
        ("6,2.59171", "6,7.77777", 2, "age", "one of -0.95197 "),
        ("6,2.59171", "6,zebra", 2, "age", "one of -0.95197 "),
        ("6,2.59171", "6,nan", 2, "age", "one of -0.95197 "),
        ("6,2.59171", "6,", 2, "age", "one of -0.95197 "),
        ("-1.22751", "7.77777", 2, "education", "one of -2.43591 "),
        ("-0.67825", "zebra", 2, "neuroticism", "a number"),
        ("-0.67825", "", 2, "neuroticism", "a number"),
        ("-0.67825", "nan", 2, "neuroticism", "a number"),
        ("-0.67825", "-inf", 2, "neuroticism", "a number"),
        ("-0.67825", "1_0", 2, "neuroticism", "a number"),
        ("-0.67825", "0x1", 2, "neuroticism", "a number"),
        ("-0.67825", "\N{ARABIC-INDIC DIGIT ONE}", 2, "neuroticism", "a number"),
        ("-0.67825", "1e999", 2, "neuroticism", "from -3.46436 to 3.27393"),
        ("-0.67825", "7.77777", 2, "neuroticism", "from -3.46436 to 3.27393"),
        ("-0.67825", "-7.77777", 2, "neuroticism", "from -3.46436 to 3.27393"),
        ("-1.54858", "7.77777", 2, "sensation_seeking", "from -2.07848 to 1.92173"),
        ("CL2,CL0,CL0,CL0,CL6,CL0,CL4", "CL7,CL0,CL0,CL0,CL6,CL0,CL4", 2, "alcohol", "CL0 | CL1"),
        ("CL2,CL0,CL0,CL0,CL6,CL0,CL4", "CL,CL0,CL0,CL0,CL6,CL0,CL4", 2, "alcohol", "CL0 | CL1"),
        ("CL2,CL0,CL0,CL0,CL6,CL0,CL4", "2,CL0,CL0,CL0,CL6,CL0,CL4", 2, "alcohol", "CL0 | CL1"),
        ("CL2,CL0,CL0,CL0,CL6,CL0,CL4", "NA,CL0,CL0,CL0,CL6,CL0,CL4", 2, "alcohol", "CL0 | CL1"),
        ("7,1.09449", "6,1.09449", 3, "id", "differs from those above"),
        ("7,1.09449", "006,1.09449", 3, "id", "differs from those above"),
        ("7,1.09449", "zebra,1.09449", 3, "id", "whole number"),
        ("7,1.09449", "7.0,1.09449", 3, "id", "whole number"),
        ("7,1.09449", "-7,1.09449", 3, "id", "whole number"),
        ("7,1.09449", ",1.09449", 3, "id", "whole number"),
        ("7,1.09449", f"{'7' * 5000},1.09449", 3, "id", "whole number"),
        ("7,1.09449", "sim-0,1.09449", 3, "id", "whole number"),
        ("7,1.09449", "sim-zebra,1.09449", 3, "id", "whole number"),
        ("5,0.49788", "5.5,0.49788", 1, "id", "whole number"),
        ("6,2.59171", "6,2.59171,zebra", 2, None, "32 fields"),
        ("6,2.59171", "6", 2, None, "32 fields"),
        ("6,2.59171", "\n6,2.59171", 2, None, "32 fields"),
        ("6,2.59171", '6,"2.59171', 2, None, "quote closed"),
        ("6,2.59171", '6,"2.59171"zebra', 2, None, "quote closed"),
        ("6,2.59171", "6,2.59171\r", 2, None, "separated by commas"),
        ("6,2.59171", "6,2.59171\0", 2, None, "NUL"),
        ("6,2.59171", f"6,{'zebra' * 50_000}", 2, None, "separated by commas"),
    ],
)
def test_malformed_uci_form(old, new, line, column, expected):
    assert UCI.count(old) >= 1
    refused(UCI.replace(old, new, 1), line, column, expected.replace("|", r"\|"))


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "expected"),
    [
        (",65+,", ",zebra,", 3, "age", "one of 18-24 "),
        (",65+,", ",,", 3, "age", "one of 18-24 "),
        (",65+,", ",7.77777,", 3, "age", "one of 18-24 "),
        (",65+,", ",3,", 3, "age", "one of 18-24 "),
        (",Canada,", ",1,", 3, "country", "New Zealand"),
        (",Canada,", ",0.2,", 3, "country", "New Zealand"),
        (",M,", ",zebra,", 4, "gender", "Female"),
        (",Canada,", ",zebra,", 3, "country", "New Zealand"),
        ("Doctorate degree", '"Doctorate degree', 2, None, "quote closed"),
        ('degree",', "degree,", 4, None, "quote closed"),
        ('no certificate or degree"', 'no certificate\nor degree"', 4, None, "quote closed"),
        ("-0.67825", "7.77777", 3, "neuroticism", "from -3.46436 to 3.27393"),
        ("6,65+", "5,65+", 3, "id", "differs from those above"),
        ("6,65+", "6,65+,zebra", 3, None, "32 fields"),
        ("ID,", "zebra,", 1, "id", "headed ID"),
        ("AScore", "zebra", 1, "agreeableness", "headed AScore"),
        ("Nscore", "AScore", 1, "neuroticism", "headed Nscore"),
        ("Escore", "Nscore", 1, "neuroticism", "headed Nscore"),
        ("Semer", "zebra", 1, "semeron", "headed Semer"),
        (HEADER, "\n", 1, "id", "headed ID"),
        (HEADER, HEADER[:60], 1, "openness", "headed Oscore"),
    ],
)
def test_malformed_decoded_form(old, new, line, column, expected):
    assert DECODED.count(old) >= 1
    refused(DECODED.replace(old, new, 1), line, column, expected)


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [
        (b"", 1, None),
        (b"\xef\xbb\xbf", 1, "id"),
        (b"\n", 1, "id"),
        (b"zebra", 1, "id"),
        (HEADER, 2, None),
        (HEADER.rstrip(), 2, None),
        (HEADER * 2, 2, "id"),
        (UCI[:-1] + "\n\n" + UCI, 4, None),
        (UCI[:-1] + "\n \n", 4, None),
        ("sep=;\n" + DECODED, 2, "id"),
        ("sep=;", 1, None),
        (UCI[:-2], 3, "volatile_substances"),
        (UCI[:-3], 3, "volatile_substances"),
        (UCI[:-6], 3, None),
        (UCI.encode().replace(b"6,2.59171", b"6,\xff2.59171"), 2, None),
        (UCI.encode("utf-16"), 1, None),
        (b"\0" * 100, 1, None),
        (b"PK\x03\x04\x80\x81", 1, None),
    ],
)
def test_malformed_whole(content, line, column):
    refused(content, line, column)


@pytest.mark.parametrize("second", ["6,zebra", '6,"2.59171', "6,\0", "6"])
def test_the_first_problem_is_reported(second):
    content = UCI.replace("6,2.59171", second).replace("7,1.09449", "6,7.77777").encode() + b"\xff\n"
    with pytest.raises(DataError) as caught:
        parse(content)
    assert caught.value.line == 2


def test_columns_in_any_order_and_others_besides():
    lines = [line.split(",") for line in UCI.splitlines()]
    labels = [label.split(",") for label in list(LABELS.values())[:2]]
    table = [HEADER.strip().split(","), *(label + line[6:] for label, line in zip(labels, lines, strict=False))]
    shuffled = "".join(f"{','.join(reversed(fields))},zebra{n}\n" for n, fields in enumerate(table))
    ids, values = parse(shuffled.encode())
    assert ids == [5, 6]
    assert (values == parse(UCI.encode())[1][:2]).all()


def test_spelling_of_headings_labels_and_numbers_does_not_matter():
    content = DECODED.replace(HEADER, HEADER.upper()).replace("35-44", " 35 - 44 ").replace("Doctorate", "DOCTORATE")
    content = content.replace("0.73545", " +0.735450 ").replace("CL4", " CL4 ").replace("5,", " 5 ,", 1)
    ids, values = parse(content.encode())
    assert ids == [5, 6, 7]
    assert (values == parse(UCI.encode())[1]).all()


def test_quantified_categories_are_distinguished_to_five_digits():
    _, values = parse(UCI.replace("0.49788", "0.497880001").encode())
    assert (values == parse(UCI.encode())[1]).all()


def test_headings_may_stand_above_quantified_categories():
    for heading in ("Impulsive", "impuslive"):
        ids, values = parse((HEADER.lower().replace("impulsive", heading) + UCI).encode())
        assert ids == [5, 6, 7]
        assert (values == parse(UCI.encode())[1]).all()


def test_pandas_index_is_passed_over():
    lines = DECODED.splitlines()
    numbered = "\n".join([f",{lines[0]}", *(f"{n},{line}" for n, line in enumerate(lines[1:]))])
    assert parse(numbered.encode())[0] == [5, 6, 7]


@pytest.mark.parametrize("end", ["\n", "\n\n\n", "\r\n", "\n\r\n"])
@pytest.mark.parametrize("form", [UCI, DECODED])
def test_blank_lines_at_the_end_are_none(form, end):
    assert parse((form + end).encode())[0] == [5, 6, 7]


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize("named", ["", "sep={}\n", '\ufeff"sep={}"\r\n'])
@pytest.mark.parametrize("form", [UCI, DECODED.replace("college or university, no", "college or university no")])
def test_separators_of_spreadsheets(form, delimiter, named):
    text = named.format(delimiter) + form.replace(",", delimiter).replace("university no", "university, no")
    assert (parse(text.encode())[1] == parse(UCI.encode())[1]).all()


@pytest.mark.parametrize("decimals", [2, 3, 4])
def test_rounded_scores_stand_for_the_published_ones(decimals):
    fields = [line.split(",") for line in UCI.splitlines()]
    rounded = [f[:1] + [str(round(float(x), decimals)) for x in f[1:13]] + f[13:] for f in fields]
    content = "\n".join(map(",".join, rounded)).encode()
    assert (parse(content)[1] == parse(UCI.encode())[1]).all()


def test_headings_are_those_of_the_published_file():
    assert ",".join(HEADINGS.values()) + "\n" == HEADER


@pytest.mark.parametrize("name", ["absent", "."])
def test_an_unreadable_file_is_a_data_error(tmp_path, name):
    with pytest.raises(DataError, match="cannot read"):
        read(tmp_path / name)


@given(
    form=st.sampled_from([UCI.encode(), DECODED.encode()]),
    edits=st.lists(st.tuples(st.integers(0, 1100), st.binary(max_size=3), st.integers(0, 3)), max_size=4),
    length=st.none() | st.integers(0, 1100),
)
def test_corruption_raises_nothing_but_data_errors(form, edits, length):
    content = bytearray(form)
    for start, new, removed in edits:
        content[start : start + removed] = new
    try:
        ids, table = parse(bytes(content[:length]))
    except DataError:
        return
    assert len(ids) == len(table) > 0
