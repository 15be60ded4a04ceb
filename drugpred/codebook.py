"""The vocabulary of the data: inputs, drugs and windows of use, with every published table.

A respondent is a row of twelve floats in the order of `INPUTS`: for the five categories the code of the level (its
index in `Category.labels`), for the seven scores the standardized value. Training, serving and the simulated cohort all
use this row and the tables below, so that there is one encoding.

Labels, values and counts are those of Drug Consumption (Quantified), UCI Machine Learning Repository no. 373,
doi:10.24432/C5TC7S; raw totals are those of E. Fehrman et al., arXiv:1506.06297, with items scored 1 to 5.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AGES: Final = (18, 120)
"""Lowest and highest age in years that a profile may have; the study had adults only."""

SINGLE: Final = 2.0**-23
"""The largest error of rounding a score between -4 and 4 to single precision: the tolerance of every score."""

_MAX_SCORE: Final = 4
"""Bound of the absolute value of all scores."""

Scale = Literal["standardized", "raw"]
"""Scale of the five NEO scores: as published, or raw totals."""

_DIGITS: Final = 5
"""Decimals of the published values."""

_TYPOGRAPHY: Final = str.maketrans({"'": None, "\N{RIGHT SINGLE QUOTATION MARK}": None, "\N{EN DASH}": "-"})
"""What word processors and spreadsheets write in place of plain characters, and apostrophes."""


def _rounding(value: float) -> float:
    """Return the largest error of a rounded value.

    It is half a unit of the last of 1 to 4 decimals; with more decimals it is that of single precision.
    """
    for decimals in range(1, _DIGITS):
        if abs(value - round(value, decimals)) <= SINGLE:
            return float(0.5 * 10**-decimals + SINGLE)
    return SINGLE


def _fold(label: str) -> str:
    """Return a label without spacing, case and apostrophes, for comparison."""
    return "".join(label.split()).translate(_TYPOGRAPHY).casefold()


@dataclass(frozen=True)
class Category:
    """An input with named levels.

    Attributes
    ----------
    name : str
        Name in requests and columns.
    column : str
        Heading in the decoded CSV.
    labels : tuple of str
        Levels; the index of a label is its code.
    values : tuple of float
        Quantified value of each level in the UCI file.
    counts : tuple of int
        Respondents at each level, of 1885.
    aliases : mapping of str to tuple of str
        Other accepted names, by label.
    published : tuple of str
        Spellings of the levels in the decoded CSV; empty if they are the labels.
    """

    name: str
    column: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    counts: tuple[int, ...]
    aliases: Mapping[str, tuple[str, ...]]
    published: tuple[str, ...] = ()

    @cached_property
    def codes(self) -> dict[str, int]:
        """Codes by label, published spelling and alias."""
        codes = {text: code for texts in (self.labels, self.published) for code, text in enumerate(texts)}
        return codes | {alias: codes[label] for label, aliases in self.aliases.items() for alias in aliases}

    @cached_property
    def _folded(self) -> dict[str, int]:
        return {_fold(label): code for label, code in self.codes.items()}

    @property
    def spellings(self) -> tuple[str, ...]:
        """The labels, and published spellings that differ: what schemas and messages name."""
        return self.labels + self.published

    @cached_property
    def one_of(self) -> str:
        """What a label may be, for error messages; aliases would make a long list longer."""
        return f"one of {' | '.join(self.spellings)}"

    @cached_property
    def expected(self) -> str:
        """The accepted values, for error messages: labels, or an age in years."""
        return "a whole number from {} to {}, or {}".format(*AGES, self.one_of) if self is AGE else self.one_of

    def code(self, label: str) -> int:
        """Return the code of a label or alias, in any case and spacing, with or without apostrophes.

        Raises
        ------
        ValueError
            The level is unknown; the message has the known ones, and not the label.
        """
        code = self.codes.get(label)
        if code is None:  # most labels are spelled as published, and need no folding
            code = self._folded.get(_fold(label))
        if code is None:
            raise ValueError(f"expected {self.one_of}")
        return code

    def quantified(self, value: float) -> int:
        """Return the code of a quantified value with at least two decimals; with one, two levels look the same.

        Raises
        ------
        ValueError
            The value is unknown.
        """
        tolerance = min(max(_rounding(value), 0.5 * 10**-_DIGITS), 0.5 * 10**-2 + SINGLE)
        for code, published in enumerate(self.values):
            if abs(value - published) <= tolerance:
                return code
        raise ValueError(f"expected one of {' | '.join(map('{:.5f}'.format, self.values))}")


@dataclass(frozen=True)
class Score:
    """An input on a standardized scale.

    Attributes
    ----------
    name : str
        Name in requests and columns.
    column : str
        Heading in the decoded CSV; in lower case it is also accepted in requests.
    raw : tuple of int
        Raw totals of the respondents (NEO-FFI-R), or ordinal levels if totals were not published.
    values : tuple of float
        Standardized value of each total.
    counts : tuple of int
        Respondents with each total, of 1885.
    is_neo : bool
        Whether `raw` are NEO totals, which a request may have in place of standardized values.
    """

    name: str
    column: str
    raw: tuple[int, ...]
    values: tuple[float, ...]
    counts: tuple[int, ...]
    is_neo: bool

    @property
    def lowest(self) -> float:
        """The lowest standardized value."""
        return self.values[0]

    @property
    def highest(self) -> float:
        """The highest standardized value."""
        return self.values[-1]

    def bounds(self, scale: Scale = "standardized") -> tuple[float, float]:
        """Return the lowest and the highest value on a scale."""
        return NEO_TOTALS if scale == "raw" and self.is_neo else (self.lowest, self.highest)

    def expected(self, scale: Scale = "standardized", value: float | None = None) -> str:
        """Return the accepted values on a scale, for error messages.

        If the rejected value is given and looks like a NEO total, the message names the scale of totals. It does not
        contain the value.
        """
        kind = "a whole number" if scale == "raw" and self.is_neo else "a number"
        expected = f"{kind} from {self.bounds(scale)[0]} to {self.bounds(scale)[1]}"
        if scale == "raw" or not self.is_neo or value is None or not self.highest < value <= NEO_TOTALS[1]:
            return expected
        return expected + _RAW_HINT if value == int(value) else expected

    def bounded(self, value: float) -> float:
        """Return a standardized value, or the bound if an error of single precision exceeds it.

        Raises
        ------
        ValueError
            The value exceeds a bound by more; the message does not contain it.
        """
        if self.lowest - SINGLE <= value <= self.highest + SINGLE:
            return min(max(value, self.lowest), self.highest)
        raise ValueError(f"expected {self.expected()}")

    def unrounded(self, value: float) -> float:
        """Return the published value that was rounded to a value, or the value itself if there is none.

        It is the nearest one, at most half a unit of the last of 1 to 4 decimals away. With at least two decimals every
        published value is recovered; with one, a few are so close that the result may be a neighbour.

        Examples
        --------
        >>> SCORES[0].unrounded(-3.5), SCORES[0].unrounded(0.31), SCORES[0].unrounded(0.25)
        (-3.46436, 0.31287, 0.25)
        """
        if not abs(value) < _MAX_SCORE:
            return value
        nearest = self.values[bisect_left(self._middles, value)]
        return nearest if abs(value - nearest) <= _rounding(value) else value

    @cached_property
    def _middles(self) -> list[float]:
        return [(low + high) / 2 for low, high in pairwise(self.values)]

    @cached_property
    def by_total(self) -> dict[int, float]:
        """Standardized value of every possible NEO total.

        A total between two of the respondents' is interpolated; one beyond them has the value of the nearest.
        """
        return {total: self._interpolated(total) for total in range(NEO_TOTALS[0], NEO_TOTALS[1] + 1)}

    def _interpolated(self, total: int) -> float:
        after = bisect_right(self.raw, total)
        if not 0 < after < len(self.raw):
            return self.values[0 if after == 0 else -1]
        (low, high), (below, above) = self.raw[after - 1 : after + 1], self.values[after - 1 : after + 1]
        return (above - below) / (high - low) * (total - low) + below


def _score(name: str, column: str, table: str, *, is_neo: bool = True) -> Score:
    levels = [level.split(":") for level in table.split()]
    return Score(
        name,
        column,
        raw=tuple(int(raw) for raw, _, _ in levels),
        values=tuple(float(value) for _, value, _ in levels),
        counts=tuple(int(count) for _, _, count in levels),
        is_neo=is_neo,
    )


_ALIASES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "age": {
        "18-24": ("18 to 24",),
        "25-34": ("25 to 34",),
        "35-44": ("35 to 44",),
        "45-54": ("45 to 54",),
        "55-64": ("55 to 64",),
        "65+": ("65 and over", "65 and older", "65 or over", "65 or older"),
    },
    "gender": {"Female": ("Woman",), "Male": ("Man",)},
    "education": {
        "Left school before 16 years": ("Left school before 16",),
        "Left school at 16 years": ("Left school at 16",),
        "Left school at 17 years": ("Left school at 17",),
        "Left school at 18 years": ("Left school at 18",),
        "Some college or university, no certificate or degree": (
            "Some college or university",
            "Some college",
            "Some college, no degree",
            "Some university",
        ),
        "Professional certificate/ diploma": (
            "Professional certificate or diploma",
            "Professional certificate",
            "Professional diploma",
        ),
        "University degree": ("Bachelor's degree", "Bachelor degree", "Bachelor's", "Bachelor", "BA", "BSc"),
        "Masters degree": ("Master degree", "Master's", "Master", "MA", "MSc"),
        "Doctorate degree": ("Doctorate", "Doctoral degree", "PhD", "Ph.D."),
    },
    "country": {
        "Australia": ("AU", "AUS"),
        "Canada": ("CA", "CAN"),
        "New Zealand": ("NZ", "NZL"),
        "Other": ("Other country",),
        "Republic of Ireland": ("Ireland", "IE", "IRL"),
        "UK": (
            "United Kingdom",
            "Great Britain",
            "Britain",
            "U.K.",
            "GB",
            "GBR",
            "England",
            "Scotland",
            "Wales",
            "Northern Ireland",
        ),
        "USA": ("United States", "United States of America", "US", "U.S.", "U.S.A."),
    },
    "ethnicity": {
        "Black": ("African American", "Black or African American"),
        "Mixed-Black/Asian": ("Mixed Black/Asian", "Mixed Black and Asian"),
        "Mixed-White/Asian": ("Mixed White/Asian", "Mixed White and Asian"),
        "Mixed-White/Black": ("Mixed White/Black", "Mixed White and Black"),
        "Other": ("Other ethnicity",),
        "White": ("Caucasian",),
    },
}
"""Other names of levels, by category and label: those of the same meaning, and ISO 3166 codes of countries."""

AGE: Final = Category(
    "age",
    "Age",
    ("18-24", "25-34", "35-44", "45-54", "55-64", "65+"),
    (-0.95197, -0.07854, 0.49788, 1.09449, 1.82213, 2.59171),
    (643, 481, 356, 294, 93, 18),
    _ALIASES["age"],
)
GENDER: Final = Category(
    "gender",
    "Gender",
    ("Female", "Male"),
    (0.48246, -0.48246),
    (942, 943),
    _ALIASES["gender"],
    ("F", "M"),
)
EDUCATION: Final = Category(
    "education",
    "Education",
    (
        "Left school before 16 years",
        "Left school at 16 years",
        "Left school at 17 years",
        "Left school at 18 years",
        "Some college or university, no certificate or degree",
        "Professional certificate/ diploma",
        "University degree",
        "Masters degree",
        "Doctorate degree",
    ),
    (-2.43591, -1.73790, -1.43719, -1.22751, -0.61113, -0.05921, 0.45468, 1.16365, 1.98437),
    (28, 99, 30, 100, 506, 270, 480, 283, 89),
    _ALIASES["education"],
)
COUNTRY: Final = Category(
    "country",
    "Country",
    ("Australia", "Canada", "New Zealand", "Other", "Republic of Ireland", "UK", "USA"),
    (-0.09765, 0.24923, -0.46841, -0.28519, 0.21128, 0.96082, -0.57009),
    (54, 87, 5, 118, 20, 1044, 557),
    _ALIASES["country"],
)
ETHNICITY: Final = Category(
    "ethnicity",
    "Ethnicity",
    ("Asian", "Black", "Mixed-Black/Asian", "Mixed-White/Asian", "Mixed-White/Black", "Other", "White"),
    (-0.50212, -1.10702, 1.90725, 0.12600, -0.22166, 0.11440, -0.31685),
    (26, 33, 3, 20, 20, 63, 1720),
    _ALIASES["ethnicity"],
)
CATEGORIES: Final = (AGE, GENDER, EDUCATION, COUNTRY, ETHNICITY)

NEO_TOTALS: Final = (12, 60)
"""Lowest and highest total of a NEO-FFI-R scale: twelve items scored 1 to 5. Manuals that score 0 to 4 give 12 less."""

_RAW_HINT: Final = ", or with scale raw a total from {} to {}, its items scored 1 to 5".format(*NEO_TOTALS)

# Each entry is raw:standardized:count, the raw total (or ordinal level), its value and its respondents.
SCORES: Final = (
    _score(
        "neuroticism",
        "Nscore",
        """
    12:-3.46436:1 13:-3.15735:1 14:-2.75696:7 15:-2.52197:4 16:-2.42317:3 17:-2.34360:4 18:-2.21844:10
    19:-2.05048:16 20:-1.86962:24 21:-1.69163:31 22:-1.55078:26 23:-1.43907:29 24:-1.32828:35 25:-1.19430:56
    26:-1.05308:57 27:-0.92104:65 28:-0.79151:70 29:-0.67825:60 30:-0.58016:61 31:-0.46725:87 32:-0.34799:78
    33:-0.24649:68 34:-0.14882:76 35:-0.05188:69 36:0.04257:73 37:0.13606:67 38:0.22393:63 39:0.31287:66
    40:0.41667:80 41:0.52135:61 42:0.62967:77 43:0.73545:49 44:0.82562:51 45:0.91093:37 46:1.02119:67 47:1.13281:27
    48:1.23461:49 49:1.37297:40 50:1.49158:24 51:1.60383:27 52:1.72012:17 53:1.83990:20 54:1.98437:15 55:2.12700:11
    56:2.28554:10 57:2.46262:6 58:2.61139:3 59:2.82196:5 60:3.27393:2
        """,
    ),
    _score(
        "extraversion",
        "Escore",
        """
    16:-3.27393:2 18:-3.00537:1 19:-2.72827:6 20:-2.53830:3 21:-2.44904:3 22:-2.32338:8 23:-2.21069:5 24:-2.11437:9
    25:-2.03972:4 26:-1.92173:21 27:-1.76250:23 28:-1.63340:23 29:-1.50796:32 30:-1.37639:38 31:-1.23177:55
    32:-1.09207:52 33:-0.94779:77 34:-0.80615:68 35:-0.69509:58 36:-0.57545:89 37:-0.43999:90 38:-0.30033:106
    39:-0.15487:107 40:0.00332:130 41:0.16767:116 42:0.32197:109 43:0.47617:105 44:0.63779:103 45:0.80523:91
    46:0.96248:69 47:1.11406:64 48:1.28610:62 49:1.45421:37 50:1.58487:25 51:1.74091:34 52:1.93886:21 53:2.12700:15
    54:2.32338:10 55:2.57309:9 56:2.85950:2 58:3.00537:1 59:3.27393:2
        """,
    ),
    _score(
        "openness",
        "Oscore",
        """
    24:-3.27393:2 26:-2.85950:4 28:-2.63199:4 29:-2.39883:11 30:-2.21069:9 31:-2.09015:9 32:-1.97495:13
    33:-1.82919:23 34:-1.68062:25 35:-1.55521:26 36:-1.42424:39 37:-1.27553:51 38:-1.11902:64 39:-0.97631:60
    40:-0.84732:68 41:-0.71727:76 42:-0.58331:87 43:-0.45174:86 44:-0.31776:101 45:-0.17779:103 46:-0.01928:134
    47:0.14143:107 48:0.29338:116 49:0.44585:98 50:0.58331:83 51:0.72330:87 52:0.88309:87 53:1.06238:81
    54:1.24033:57 55:1.43533:63 56:1.65653:38 57:1.88511:34 58:2.15324:19 59:2.44904:13 60:2.90161:7
        """,
    ),
    _score(
        "agreeableness",
        "AScore",
        """
    12:-3.46436:1 16:-3.15735:1 18:-3.00537:1 23:-2.90161:1 24:-2.78793:2 25:-2.70172:1 26:-2.53830:7 27:-2.35413:7
    28:-2.21844:8 29:-2.07848:13 30:-1.92595:18 31:-1.77200:24 32:-1.62090:30 33:-1.47955:34 34:-1.34289:42
    35:-1.21213:45 36:-1.07533:62 37:-0.91699:83 38:-0.76096:82 39:-0.60633:102 40:-0.45321:98 41:-0.30172:114
    42:-0.15487:101 43:-0.01729:105 44:0.13136:118 45:0.28783:112 46:0.43852:100 47:0.59042:100 48:0.76096:104
    49:0.94156:85 50:1.11406:68 51:1.28610:58 52:1.45039:39 53:1.61108:36 54:1.81866:36 55:2.03972:16 56:2.23427:14
    57:2.46262:8 58:2.75696:7 59:3.15735:1 60:3.46436:1
        """,
    ),
    _score(
        "conscientiousness",
        "Cscore",
        """
    17:-3.46436:1 19:-3.15735:1 20:-2.90161:3 21:-2.72827:2 22:-2.57309:5 23:-2.42317:5 24:-2.30408:6 25:-2.18109:9
    26:-2.04506:13 27:-1.92173:13 28:-1.78169:25 29:-1.64101:24 30:-1.51840:29 31:-1.38502:41 32:-1.25773:39
    33:-1.13788:49 34:-1.01450:55 35:-0.89891:55 36:-0.78155:69 37:-0.65253:81 38:-0.52745:77 39:-0.40581:87
    40:-0.27607:97 41:-0.14277:99 42:-0.00665:105 43:0.12331:90 44:0.25953:111 45:0.41594:111 46:0.58489:113
    47:0.75830:95 48:0.93949:95 49:1.13407:76 50:1.30612:47 51:1.46191:43 52:1.63088:34 53:1.81175:28 54:2.04506:27
    55:2.33337:13 56:2.63199:8 57:3.00537:3 59:3.46436:1
        """,
    ),
    # Raw BIS-11 and ImpSS totals were not published, only their order.
    _score(
        "impulsivity",
        "Impulsive",
        """
    0:-2.55524:20 1:-1.37983:276 2:-0.71126:307 3:-0.21712:355 4:0.19268:257 5:0.52975:216 6:0.88113:195
    7:1.29221:148 8:1.86203:104 9:2.90161:7
        """,
        is_neo=False,
    ),
    _score(
        "sensation_seeking",
        "SS",
        """
    0:-2.07848:71 1:-1.54858:87 2:-1.18084:132 3:-0.84637:169 4:-0.52593:211 5:-0.21575:223 6:0.07987:219
    7:0.40148:249 8:0.76540:211 9:1.22470:210 10:1.92173:103
        """,
        is_neo=False,
    ),
)

INPUTS: Final = tuple(column.name for column in (*CATEGORIES, *SCORES))
"""The twelve inputs, in the order of a respondent's row."""

Drug = Literal[
    "alcohol",
    "amphetamines",
    "amyl_nitrite",
    "benzodiazepines",
    "caffeine",
    "cannabis",
    "chocolate",
    "cocaine",
    "crack",
    "ecstasy",
    "heroin",
    "ketamine",
    "legal_highs",
    "lsd",
    "methadone",
    "mushrooms",
    "nicotine",
    "volatile_substances",
]

DRUG_COLUMNS: Final[dict[Drug, str]] = {
    "alcohol": "Alcohol",
    "amphetamines": "Amphet",
    "amyl_nitrite": "Amyl",
    "benzodiazepines": "Benzos",
    "caffeine": "Caff",
    "cannabis": "Cannabis",
    "chocolate": "Choc",
    "cocaine": "Coke",
    "crack": "Crack",
    "ecstasy": "Ecstasy",
    "heroin": "Heroin",
    "ketamine": "Ketamine",
    "legal_highs": "Legalh",
    "lsd": "LSD",
    "methadone": "Meth",
    "mushrooms": "Mushrooms",
    "nicotine": "Nicotine",
    "volatile_substances": "VSA",
}
"""The eighteen drugs and their headings in the decoded CSV. `Meth` is methadone, not methamphetamine."""

DRUGS: Final = tuple(DRUG_COLUMNS)

SEMERON: Final = "Semer"
"""Heading of the invented drug that detects over-claimers. It is between nicotine and volatile substances."""

LAST_USE: Final = ("CL0", "CL1", "CL2", "CL3", "CL4", "CL5", "CL6")
"""Classes of last use: never, over a decade ago, in the last decade, year, month, week, day."""

LAST_USE_LABELS: Final = (
    "never",
    "over a decade ago",
    "last decade",
    "last year",
    "last month",
    "last week",
    "last day",
)
"""The same in words."""

Window = Literal["ever", "decade", "year", "month", "week", "day"]

WINDOWS: Final[tuple[Window, ...]] = get_args(Window)
"""Windows of use. Window k means last use of class k + 1 or more recent, so each window contains the next."""

WINDOW_INDEX: Final[dict[Window, int]] = {window: i for i, window in enumerate(WINDOWS)}

DECADE: Final = WINDOW_INDEX["decade"]
"""The window in which models are evaluated and drift is measured."""

RiskLabel = Literal["High Risk", "Low Risk"]

RISK_LABELS: Final[tuple[RiskLabel, ...]] = get_args(RiskLabel)[::-1]
"""Labels of predictions: of 0, no use, and of 1."""

SupportLevel = Literal["usual", "thin", "unusual"]
"""How many respondents are like a person: as many as usual, few, or none to speak of."""

SUPPORT_LEVELS: Final[tuple[SupportLevel, ...]] = get_args(SupportLevel)

DataSource = Literal["uci", "file", "simulated"]
"""The source of respondents: the real data, another file, or the simulated cohort."""


def display_name(name: str) -> str:
    """Return the name of an input, a drug or a figure as a reader writes it.

    Examples
    --------
    >>> display_name("legal_highs"), display_name("lsd")
    ('legal highs', 'LSD')
    """
    return "LSD" if name == "lsd" else name.replace("_", " ")


def age_band(years: float) -> str:
    """Return the age band of an age in years.

    Raises
    ------
    ValueError
        The age is not a whole number from 18 to 120.

    Examples
    --------
    >>> age_band(25)
    '25-34'
    """
    if not AGES[0] <= years <= AGES[1] or years != int(years):
        raise ValueError("expected a whole number from {} to {}".format(*AGES))
    return AGE.labels[min((int(years) - 15) // 10, len(AGE.labels) - 1)]


def describe(row: Sequence[float]) -> dict[str, str | float]:
    """Return a respondent's row as in a request: inputs by name, categories by label."""
    described: dict[str, str | float] = dict(zip(INPUTS, row, strict=True))
    return described | {
        category.name: category.labels[int(code)] for category, code in zip(CATEGORIES, row, strict=False)
    }
