"""Every table of the codebook against both published files, parsed here without our reader."""

import csv
import math
from collections import Counter
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest

from drugpred import codebook
from drugpred.codebook import (
    AGE,
    CATEGORIES,
    COUNTRY,
    DRUG_COLUMNS,
    DRUGS,
    EDUCATION,
    GENDER,
    LAST_USE,
    SCORES,
    SEMERON,
    age_band,
)

HEADINGS = [
    "ID",
    *(column.column for column in (*CATEGORIES, *SCORES)),
    *list(DRUG_COLUMNS.values())[:-1],
    SEMERON,
    DRUG_COLUMNS["volatile_substances"],
]

# drug: CL0..CL6, then users by decade, year, month and week, as the study's authors count them.
DRUG_COUNTS = {
    "alcohol": ((34, 34, 68, 198, 287, 759, 505), (1817, 1749, 1551, 1264)),
    "amphetamines": ((976, 230, 243, 198, 75, 61, 102), (679, 436, 238, 163)),
    "amyl_nitrite": ((1305, 210, 237, 92, 24, 14, 3), (370, 133, 41, 17)),
    "benzodiazepines": ((1000, 116, 234, 236, 120, 84, 95), (769, 535, 299, 179)),
    "caffeine": ((27, 10, 24, 60, 106, 273, 1385), (1848, 1824, 1764, 1658)),
    "cannabis": ((413, 207, 266, 211, 140, 185, 463), (1265, 999, 788, 648)),
    "chocolate": ((32, 3, 10, 54, 296, 683, 807), (1850, 1840, 1786, 1490)),
    "cocaine": ((1038, 160, 270, 258, 99, 41, 19), (687, 417, 159, 60)),
    "crack": ((1627, 67, 112, 59, 9, 9, 2), (191, 79, 20, 11)),
    "ecstasy": ((1021, 113, 234, 277, 156, 63, 21), (751, 517, 240, 84)),
    "heroin": ((1605, 68, 94, 65, 24, 16, 13), (212, 118, 53, 29)),
    "ketamine": ((1490, 45, 142, 129, 42, 33, 4), (350, 208, 79, 37)),
    "legal_highs": ((1094, 29, 198, 323, 110, 64, 67), (762, 564, 241, 131)),
    "lsd": ((1069, 259, 177, 214, 97, 56, 13), (557, 380, 166, 69)),
    "methadone": ((1429, 39, 97, 149, 50, 48, 73), (417, 320, 171, 121)),
    "mushrooms": ((982, 209, 260, 275, 115, 40, 4), (694, 434, 159, 44)),
    "nicotine": ((428, 193, 204, 185, 108, 157, 610), (1264, 1060, 875, 767)),
    "volatile_substances": ((1455, 200, 135, 61, 13, 14, 7), (230, 95, 34, 21)),
}
SEMERON_COUNTS = (1877, 2, 3, 2, 1, 0, 0)


@pytest.fixture(scope="module")
def uci(uci_path):
    """Fields of the UCI file by id and heading."""
    with uci_path.open(newline="", encoding="utf-8") as file:
        return {row[0]: dict(zip(HEADINGS, row, strict=True)) for row in csv.reader(file)}


@pytest.fixture(scope="module")
def decoded(decoded_path):
    """Fields of the decoded CSV by id and heading."""
    with decoded_path.open(newline="", encoding="utf-8") as file:
        return {row["ID"]: {**row, "Ascore": row["AScore"]} for row in csv.DictReader(file)}


def by_name(columns):
    return pytest.mark.parametrize("column", columns, ids=lambda column: column.name)


def test_columns_stand_in_the_file_in_the_codebooks_order(decoded_path):
    header = decoded_path.read_text(encoding="utf-8").splitlines()[0].split(",")
    assert [heading.casefold() for heading in header] == [heading.casefold() for heading in HEADINGS]


@by_name(CATEGORIES)
def test_category_values_and_counts_are_those_of_the_uci_file(column, uci):
    counts = Counter(float(row[column.column]) for row in uci.values())
    assert counts == dict(zip(column.values, column.counts, strict=True))


@by_name(CATEGORIES)
def test_category_labels_and_counts_are_those_of_the_decoded_file(column, uci, decoded):
    counts = Counter(column.code(row[column.column]) for row in decoded.values())
    lost = column.values.index(float(uci["1"][column.column]))
    assert counts + Counter([lost]) == dict(enumerate(column.counts))


@by_name(CATEGORIES)
def test_value_and_label_of_a_respondent_have_one_code(column, uci, decoded):
    assert uci.keys() - decoded.keys() == {"1"}
    assert all(
        column.values[column.code(row[column.column])] == float(uci[key][column.column]) for key, row in decoded.items()
    )


@by_name(CATEGORIES)
def test_labels_are_spelled_as_in_the_decoded_file(column, decoded):
    assert {row[column.column] for row in decoded.values()} == set(column.published or column.labels)


@by_name(SCORES)
def test_score_values_and_counts_are_those_of_both_files(column, uci, decoded):
    counts = Counter(float(row[column.column]) for row in uci.values())
    assert counts == dict(zip(column.values, column.counts, strict=True))
    lost = Counter([float(uci["1"][column.column])])
    assert Counter(float(row[column.column]) for row in decoded.values()) == counts - lost


@by_name((AGE, EDUCATION, *SCORES))
def test_values_follow_from_counts_by_the_published_formula(column):
    total = sum(column.counts)
    below = [sum(column.counts[:level]) for level in range(len(column.counts))]
    expected = [
        NormalDist().inv_cdf((lower + count / 2) / total) for lower, count in zip(below, column.counts, strict=True)
    ]
    # The furthest, by 5.02e-4, are the ends of three scales, where a single respondent stands.
    assert column.values == pytest.approx(expected, abs=5.1e-4)


@by_name((*CATEGORIES, *SCORES))
def test_counts_add_up_to_all_respondents(column):
    assert sum(column.counts) == 1885


@by_name(SCORES)
def test_scores_rise_with_raw_totals(column):
    assert all(low < high for low, high in pairwise(column.raw))
    assert all(low < high for low, high in pairwise(column.values))
    assert (column.lowest, column.highest) == (min(column.values), max(column.values))


@by_name([score for score in SCORES if score.is_neo])
def test_every_neo_total_has_a_value(column):
    table = column.by_total
    assert list(table) == list(range(12, 61))
    assert all(table[raw] == value for raw, value in zip(column.raw, column.values, strict=True))
    assert all(low <= high for low, high in pairwise(table.values()))
    gaps = [total for total in table if total not in column.raw and column.raw[0] < total < column.raw[-1]]
    assert all(table[total - 1] < table[total] < table[total + 1] for total in gaps)
    assert {table[total] for total in table if total <= column.raw[0]} == {column.lowest}
    assert {table[total] for total in table if total >= column.raw[-1]} == {column.highest}


@pytest.mark.parametrize("column", SCORES, ids=lambda column: column.name)
def test_published_scores_are_found_again_when_they_were_rounded(column):
    for decimals in (2, 3, 4, 5):
        assert [column.unrounded(round(value, decimals)) for value in column.values] == [*column.values]
    single = np.array(column.values, np.float32).tolist()
    assert [column.unrounded(value) for value in single] == [*column.values]
    assert math.isnan(column.unrounded(math.nan))
    assert [column.unrounded(value) for value in (math.inf, -math.inf, 1e300, 36.0)] == [
        math.inf,
        -math.inf,
        1e300,
        36.0,
    ]


def test_one_decimal_is_ambiguous_for_two_of_all_published_scores():
    pairs = [(score, value) for score in SCORES for value in score.values]
    wrong = [value for score, value in pairs if score.unrounded(round(value, 1)) != value]
    assert (len(wrong), len(pairs)) == (1, 229)
    assert all(abs(score.unrounded(round(value, 1)) - value) < 0.1 for score, value in pairs)


def test_totals_that_nobody_had_are_those_of_the_study():
    missing = {
        score.name: [total for total in range(score.raw[0], score.raw[-1]) if total not in score.raw]
        for score in SCORES
        if score.is_neo
    }
    assert missing == {
        "neuroticism": [],
        "extraversion": [17, 57],
        "openness": [25, 27],
        "agreeableness": [13, 14, 15, 17, 19, 20, 21, 22],
        "conscientiousness": [18, 58],
    }


@pytest.mark.parametrize("drug", DRUGS)
def test_drug_counts_are_those_of_the_study_and_of_both_files(drug, uci, decoded):
    heading = DRUG_COLUMNS[drug]
    classes, users = DRUG_COUNTS[drug]
    counts = Counter(row[heading] for row in uci.values())
    assert tuple(counts[label] for label in LAST_USE) == classes
    assert tuple(sum(classes[k:]) for k in (2, 3, 4, 5)) == users
    assert Counter(row[heading] for row in decoded.values()) == counts - Counter([uci["1"][heading]])


def test_semeron_counts_are_those_of_the_study_and_of_both_files(uci, decoded):
    counts = Counter(row[SEMERON] for row in uci.values())
    assert tuple(counts[label] for label in LAST_USE) == SEMERON_COUNTS
    assert Counter(row[SEMERON] for row in decoded.values()) == counts - Counter([uci["1"][SEMERON]])


def test_inputs_are_the_five_categories_then_the_seven_scores():
    assert [*codebook.INPUTS] == [column.name for column in (*CATEGORIES, *SCORES)]
    assert (len(CATEGORIES), len(SCORES), len(DRUGS), len(codebook.WINDOWS)) == (5, 7, 18, 6)


@pytest.mark.parametrize(
    ("years", "band"),
    [
        (18, "18-24"),
        (24, "18-24"),
        (25, "25-34"),
        (34, "25-34"),
        (35, "35-44"),
        (44, "35-44"),
        (45, "45-54"),
        (54, "45-54"),
        (55, "55-64"),
        (64, "55-64"),
        (65, "65+"),
        (110, "65+"),
    ],
)
def test_age_band(years, band):
    assert age_band(years) == band


@pytest.mark.parametrize("years", [17, 0, -1, 121, 25.5, float("nan"), float("inf")])
def test_age_band_is_for_whole_years_of_adults(years):
    with pytest.raises(ValueError, match="18 to 120"):
        age_band(years)


@by_name(CATEGORIES)
@pytest.mark.parametrize(
    "spell",
    [
        str,
        str.upper,
        str.lower,
        lambda label: f"  {label}\t",
        lambda label: label.replace(" ", ""),
        lambda label: label.replace(" ", "   "),
        lambda label: label.replace("/ ", "/"),
    ],
    ids=["as published", "upper", "lower", "padded", "unspaced", "spaced", "slash"],
)
def test_labels_match_in_any_case_and_spacing(column, spell):
    assert [column.code(spell(label)) for label in column.labels] == list(range(len(column.labels)))
    for label, aliases in column.aliases.items():
        assert {column.code(spell(alias)) for alias in aliases} == {column.labels.index(label)}


@by_name(CATEGORIES)
@pytest.mark.parametrize("label", ["zebra", "", " ", "0"])
def test_an_unknown_label_is_refused_and_not_repeated(column, label):
    with pytest.raises(ValueError, match="expected one of") as caught:
        column.code(label)
    assert "zebra" not in str(caught.value)
    assert all(known in str(caught.value) for known in column.labels)


@pytest.mark.parametrize(
    ("category", "label", "expected"),
    [
        (AGE, "25\N{EN DASH}34", "25-34"),
        (EDUCATION, "Bachelor's degree", "University degree"),
        (EDUCATION, "bachelor\N{RIGHT SINGLE QUOTATION MARK}s degree", "University degree"),
        (EDUCATION, "Master's degree", "Masters degree"),
        (COUNTRY, "United States", "USA"),
        (COUNTRY, "United Kingdom", "UK"),
        (COUNTRY, "Ireland", "Republic of Ireland"),
        (GENDER, "f", "Female"),
    ],
)
def test_labels_that_people_use(category, label, expected):
    assert category.labels[category.code(label)] == expected


@by_name(CATEGORIES)
def test_no_alias_names_two_levels(column):
    spellings = [*column.labels, *column.published, *(alias for names in column.aliases.values() for alias in names)]
    assert len({codebook._fold(spelling) for spelling in spellings}) == len(spellings)
    assert set(column.aliases) <= set(column.labels)


@by_name([score for score in SCORES if score.is_neo])
def test_an_impossible_score_that_looks_like_a_total_is_met_with_the_scale_of_totals(column):
    expected = f"a number from {column.lowest} to {column.highest}"
    hint = ", or with scale raw a total from 12 to 60, its items scored 1 to 5"
    first = math.floor(column.highest) + 1
    assert {column.expected(value=total) for total in range(first, 61)} == {expected + hint}
    others = [None, column.lowest - 1, -12, 20.5, 61, math.nan, math.inf]
    assert {column.expected(value=value) for value in others} == {expected}
    assert column.expected("raw", 61) == "a whole number from 12 to 60"


@by_name([score for score in SCORES if not score.is_neo])
def test_scores_without_totals_have_no_scale_of_them(column):
    assert "raw" not in column.expected(value=30)
