"""Requests and answers of all transports, validated by their types.

No message about a malformed request contains one of its values.
"""

from __future__ import annotations

from contextlib import suppress
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn, Unpack, cast

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    RootModel,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    model_serializer,
)
from pydantic_core import PydanticCustomError
from typing_extensions import NotRequired, TypedDict  # noqa: UP035 - pydantic needs these before Python 3.12

from drugpred import codebook
from drugpred.codebook import Category, DataSource, Drug, RiskLabel, Scale, Score, SupportLevel, Window
from drugpred.errors import Fault
from drugpred.html_repr import Bar, bars
from drugpred.limits import MAX_EXPLANATIONS, MAX_PROFILES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_MAX_FAULTS: Final = 2000  # two for each of a thousand people; a list takes 10 ms
_UNKNOWN: Final = "extra_forbidden"  # pydantic's type of this error

MIN_DRIFT_PROFILES: Final = 100  # profiles needed to measure drift

TOKEN_LENGTH: Final = 96  # characters of a token

LONG_TOKEN_LENGTH: Final = 148  # of one with a challenger's probabilities

TOKEN_PATTERN: Final = rf"^[A-Za-z0-9_-]{{{TOKEN_LENGTH}}}(?:[A-Za-z0-9_-]{{{LONG_TOKEN_LENGTH - TOKEN_LENGTH}}})?$"
"""A regular expression for all tokens: 72 and 111 bytes make exactly 96 and 148 characters, so no two tokens encode the
same bytes."""

_CATEGORIES: Final = {category.name: category for category in codebook.CATEGORIES}
_SCORES: Final = {score.name: score for score in codebook.SCORES}
_CODES: Final = [(name, category.codes) for name, category in _CATEGORIES.items()]
_scores_of: Final = itemgetter(*_SCORES)

Addition = Literal["windows", "explanation", "interval", "support"]
"""Parts of an answer that are added on request."""

ColumnAddition = Literal["interval", "support"]
"""Those that have columns: in streams, data frames, tensors and files."""


class Person(TypedDict):
    """The twelve inputs of a profile, as callers write them."""

    age: int | str
    """In years, or a label."""
    gender: str
    education: str
    country: str
    ethnicity: str
    neuroticism: float
    extraversion: float
    openness: float
    agreeableness: float
    conscientiousness: float
    impulsivity: float
    sensation_seeking: float


class ProfileFields(Person):
    """All fields of a profile, as callers write them."""

    scale: NotRequired[Scale]
    drugs: NotRequired[Iterable[Drug]]
    window: NotRequired[Window]
    include: NotRequired[Iterable[Addition]]


EXAMPLE: Final[Person] = {
    "age": 25,
    "gender": "F",
    "education": "University degree",
    "country": "UK",
    "ethnicity": "White",
    "neuroticism": 0.31,
    "extraversion": -0.58,
    "openness": 1.24,
    "agreeableness": -0.30,
    "conscientiousness": -0.14,
    "impulsivity": 0.53,
    "sensation_seeking": 0.77,
}


def _category_field(category: Category) -> Any:  # noqa: ANN401 - like pydantic's own Field
    enum: list[Any] = [*category.spellings]
    description = "Also accepted: {}.".format(
        "; ".join(f"{', '.join(aliases)} (as {label})" for label, aliases in category.aliases.items())
    )
    if category is not codebook.AGE:
        return Field(description=description, json_schema_extra={"enum": enum})

    def numbers_too(schema: dict[str, Any]) -> None:
        del schema["type"]
        schema["oneOf"] = [
            {"type": "integer", "minimum": codebook.AGES[0], "maximum": codebook.AGES[1]},
            {"type": "string", "enum": enum},
        ]

    return Field(description=description, json_schema_extra=numbers_too)


def _score_field(score: Score) -> Any:  # noqa: ANN401 - like pydantic's own Field
    description = f"Standardized, from {score.lowest} to {score.highest}"
    if score.is_neo:
        description += "; with scale raw a whole NEO-FFI-R total from {} to {}".format(*codebook.NEO_TOTALS)
    return Field(
        validation_alias=AliasChoices(score.name, _alias(score)),
        strict=True,
        allow_inf_nan=False,
        description=f"{description}.",
        json_schema_extra={"minimum": score.lowest, "maximum": score.bounds("raw")[1]},
    )


def _alias(score: Score) -> str:
    return "impulsiveness" if score.name == "impulsivity" else score.column.lower()


def _refuse(expected: str) -> NoReturn:
    raise PydanticCustomError("unexpected", "expected {expected}", {"expected": expected})


def _label_of(category: Category) -> BeforeValidator:
    """Return the validator that replaces what callers write by the label."""
    known = {text: category.labels[code] for text, code in category.codes.items()}  # most values are among these
    ages = range(codebook.AGES[0], codebook.AGES[1] + 1) if category is codebook.AGE else ()
    bands = {years: codebook.age_band(years) for years in ages}

    def label_of(value: object) -> str:
        if isinstance(value, str):
            if value in known:
                return known[value]
            with suppress(ValueError):
                return category.labels[category.code(value)]
        elif isinstance(value, int | float) and not isinstance(value, bool) and value in bands:
            return bands[value]  # type: ignore[index]  # a whole float is the same key
        _refuse(category.expected)

    return BeforeValidator(label_of)


def _bounded(name: str) -> AfterValidator:
    """Return the validator of a score within its bounds."""
    score = _SCORES[name]
    lowest, highest = score.bounds()

    def standardized(value: float) -> float:
        if lowest <= value <= highest:
            return value
        try:  # single precision may have rounded it beyond a bound
            return score.bounded(value)
        except ValueError:
            _refuse(score.expected(value=value))

    def on_scale(value: float, info: ValidationInfo) -> float:
        if info.data.get("scale") != "raw":
            return value if lowest <= value <= highest else standardized(value)
        if value not in score.by_total:
            _refuse(score.expected("raw"))
        return value

    return AfterValidator(on_scale if score.is_neo else standardized)


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Profile(_Request):
    """A person, and the options of the prediction.

    Labels may be written in any case and spacing, and have aliases. The twelve inputs have no default.
    """

    model_config = ConfigDict(json_schema_extra={"example": {**cast("dict[str, str | float]", EXAMPLE)}})

    # First, because the bounds of the scores depend on it.
    scale: Scale = Field(
        "standardized",
        description="Scale of the five NEO scores: as published, or raw totals. Impulsivity and sensation seeking, "
        "whose raw totals were never published, are always standardized.",
    )
    age: Annotated[str, _label_of(codebook.AGE)] = _category_field(codebook.AGE)
    gender: Annotated[str, _label_of(codebook.GENDER)] = _category_field(codebook.GENDER)
    education: Annotated[str, _label_of(codebook.EDUCATION)] = _category_field(codebook.EDUCATION)
    country: Annotated[str, _label_of(codebook.COUNTRY)] = _category_field(codebook.COUNTRY)
    ethnicity: Annotated[str, _label_of(codebook.ETHNICITY)] = _category_field(codebook.ETHNICITY)
    neuroticism: Annotated[float, _bounded("neuroticism")] = _score_field(_SCORES["neuroticism"])
    extraversion: Annotated[float, _bounded("extraversion")] = _score_field(_SCORES["extraversion"])
    openness: Annotated[float, _bounded("openness")] = _score_field(_SCORES["openness"])
    agreeableness: Annotated[float, _bounded("agreeableness")] = _score_field(_SCORES["agreeableness"])
    conscientiousness: Annotated[float, _bounded("conscientiousness")] = _score_field(_SCORES["conscientiousness"])
    impulsivity: Annotated[float, _bounded("impulsivity")] = _score_field(_SCORES["impulsivity"])
    sensation_seeking: Annotated[float, _bounded("sensation_seeking")] = _score_field(_SCORES["sensation_seeking"])
    drugs: Annotated[frozenset[Drug], FailFast()] = Field(
        frozenset(codebook.DRUGS), min_length=1, description="Drugs to predict; by default all."
    )
    window: Window = Field("decade", description="Time window of use.")
    include: Annotated[frozenset[Addition], FailFast()] = Field(
        frozenset(),
        description="Parts to add. To each risk: windows, the probability within every window; explanation, the "
        "contribution of each input to the log-odds (10 ms per person); interval, the 90% interval of the probability, "
        "with windows also within every window. To the prediction: support, how many respondents are like the person.",
    )

    if TYPE_CHECKING:

        def __init__(self, **fields: Unpack[ProfileFields]) -> None: ...

    def row(self) -> list[float]:
        """Return the person's row, as `drugpred.codebook` describes it."""
        values = self.__dict__
        scores = _scores_of(values)
        if self.scale == "raw":
            pairs = zip(_SCORES.values(), scores, strict=True)
            scores = tuple(score.by_total[value] if score.is_neo else value for score, value in pairs)
        return [*(codes[values[name]] for name, codes in _CODES), *scores]


def _limit_explanations(profiles: list[Profile]) -> list[Profile]:
    if sum("explanation" in profile.include for profile in profiles) > MAX_EXPLANATIONS:
        _refuse(f"at most {MAX_EXPLANATIONS} profiles with an explanation")
    return profiles


Profiles = Annotated[list[Profile], Field(min_length=1, max_length=MAX_PROFILES), AfterValidator(_limit_explanations)]
"""Up to 1000 people."""


class Batch(_Request):
    """Up to 1000 people."""

    profiles: Profiles


def column_names(drugs: Iterable[str], include: Collection[ColumnAddition]) -> list[str]:
    """Return the names of the columns of many predictions: of the drugs, of their bounds, and of the support.

    Examples
    --------
    >>> column_names(["lsd"], ["interval", "support"])
    ['lsd', 'lsd_low', 'lsd_high', 'similar', 'percentile', 'level']
    """
    names = list(drugs)
    if "interval" in include:
        names = [name for drug in names for name in (drug, f"{drug}_low", f"{drug}_high")]
    return names + (list(Support.__annotations__) if "support" in include else [])


class Explanation(TypedDict):
    """Explanation of a probability: its log-odds are the sum of base and contributions."""

    base: float
    """Mean log-odds of simulated respondents who represent the sample."""
    contributions: dict[str, float]
    """Shapley value of each input: how much the person's value changes the model's answer on average."""


class Interval(TypedDict):
    """The 90% interval of a probability, which is always inside. It is not an interval of the person's use."""

    low: float
    high: float


class Support(TypedDict):
    """How many respondents are like the person."""

    similar: int
    """The number of respondents whose answers would make an estimate for the person as sure as it is."""
    percentile: int
    """Percent of the respondents who have less support, from 0 to 99."""
    level: SupportLevel
    """Thin if 95% of the respondents have more; unusual if 99% have more, or if the scores are further from the mean
    than those of 99%."""


class Risk(TypedDict):
    """The probability of use of one drug within the window."""

    drug: Drug
    probability: float
    prediction: Literal[0, 1]
    """1 if the probability reaches the threshold."""
    label: RiskLabel
    threshold: float
    """Share of users in the training data, equal to `base_rate`: higher probabilities are above average."""
    base_rate: float
    auc: float | None
    """From cross-validation; None if it could not be measured."""
    reliable: bool
    """False if there were too few users or non-users to learn from, or the model barely separates them."""
    windows: NotRequired[dict[Window, float]]
    """Probability of use within every window, never rising from ever to day."""
    interval: NotRequired[Interval]
    """Of the probability; conditional on the sample, like the probability itself."""
    window_intervals: NotRequired[dict[Window, Interval]]
    """Of the probability within every window; neither bound rises from ever to day."""
    explanation: NotRequired[Explanation]
    """Of the model's answer, not of the person: an input is not shown to be a cause."""


class Prediction(BaseModel):
    """The prediction for one person."""

    prediction_id: str
    model: str
    window: Window
    data_source: DataSource
    """The training data: real respondents of UCI, another file, or simulated ones."""
    risks: list[Risk]
    support: Support | None = None
    """Absent unless included."""

    @model_serializer(mode="wrap")
    def _without_none(self, serialize: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a type would replace the schema
        content = serialize(self)
        if self.support is None:
            content.pop("support", None)
        return content

    def _repr_html_(self) -> str:
        """Return the drugs, ranked by probability, as bars, for a notebook."""
        time = "ever" if self.window == "ever" else f"within a {self.window}"
        ranked = sorted(self.risks, key=lambda risk: -risk["probability"])
        return bars(
            f"Probability of use {time}",
            [
                Bar(
                    codebook.display_name(of["drug"]),
                    of["probability"],
                    f"{of['probability']:.0%}",
                    of["label"],
                    not of["reliable"],
                    of["base_rate"],
                )
                for of in ranked
            ],
            f"{self.model}, data: {self.data_source}. Line: share of users in the sample. Pale: barely predictable.",
        )


class Predictions(RootModel[list[Prediction]]):
    """The predictions for the people of a batch, in its order."""


class Feedback(BaseModel):
    """The outcomes of a prediction, all that are known: each prediction accepts feedback once."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    prediction_id: str = Field(pattern=TOKEN_PATTERN, description="The id of the prediction, at most 90 days old.")
    outcomes: dict[Drug, bool] = Field(
        min_length=1,
        max_length=len(codebook.DRUGS),
        description="By drug, whether the person had used it within the prediction's window, as of the prediction.",
    )


class Accepted(BaseModel):
    """Feedback was counted."""

    accepted: int
    """Number of outcomes."""


class Shift(BaseModel):
    """Drift of one variable."""

    n: int
    """Profiles counted."""
    psi: float | None
    """Population stability index; None without a profile."""
    threshold: float | None
    """Threshold of the index: exceeded by chance in 1 of 3000 checks; for probabilities at least .05."""
    drifted: bool | None
    """Whether the index exceeds the threshold; None if there are too few profiles."""


class Comparison(BaseModel):
    """The losses of two models on the same people; None without people."""

    served: float | None
    """Mean loss of the model served."""
    challenger: float | None
    """Mean loss of the challenger."""
    difference: float | None
    """Mean difference: below 0 if the challenger's loss is lower."""
    error: float | None
    """Standard error of the mean difference."""
    low: float | None
    """Lower bound of the mean difference: all bounds, looked at any number of times, hold with 95% confidence."""
    high: float | None
    """Upper bound."""
    verdict: Literal["better", "worse", "undecided"] | None
    """Whether the challenger is better, by the bounds; None under 100 people."""


class Disagreement(BaseModel):
    """How far two models' predictions of a drug differ, over the windows that were requested."""

    predictions: int
    mean_absolute: float | None
    """Mean absolute difference of the probabilities; None without a prediction."""
    root_mean_square: float | None
    """Root of the mean squared difference."""
    flips: float | None
    """Share of predictions with another label."""


class Challenge(BaseModel):
    """A challenger compared with the model served."""

    model: str
    """Tag of the model served."""
    challenger: str
    """Tag of the challenger."""
    failed: bool
    """Whether a worker has dropped the challenger, because it failed."""
    disagreement: dict[Drug, Disagreement]
    people: int
    """People with feedback on both models."""
    brier: Comparison
    """Squared error, the mean over a person's drugs; its verdict counts."""
    log_loss: Comparison
    """Minus the logarithm of the probability of the outcome, likewise."""


class Drift(BaseModel):
    """Drift of the profiles and of their probabilities, compared with the training data."""

    drifted: bool | None
    """Whether any variable has drifted; by chance in 1 of 100 checks. None if there are too few profiles."""
    fewest: int = MIN_DRIFT_PROFILES
    """Profiles needed to measure drift."""
    inputs: dict[str, Shift]
    scores: dict[str, Shift]
    """By drug, for the probability of use within a decade."""


class Health(BaseModel):
    """Health of the service and, with the scope read or without configured API keys, the model it serves."""

    status: Literal["ok"] = "ok"
    version: str | None = None
    model: str | None = None
    data_source: DataSource | None = None
    uptime_seconds: float | None = None


class ErrorDetail(BaseModel):
    """A mistake in a request."""

    loc: list[str | int]
    """Location: names and indices from the body down."""
    msg: str
    """The expected value."""
    type: str


class Error(BaseModel):
    """The body of every error."""

    error: str
    detail: list[ErrorDetail]


def faults(error: ValidationError) -> list[Fault]:
    """Return the mistakes in a request.

    Only the position of an unknown field is reported: its name may hold a value. If there are more than 2000 mistakes,
    only that is reported: the list would be longer than any request.
    """
    if error.error_count() > _MAX_FAULTS:
        return [Fault((), f"expected at most {_MAX_FAULTS} mistakes", "too_many")]
    if _is_no_utf8(error):
        return [Fault((), "expected JSON in UTF-8", "json_invalid")]
    return [
        Fault(each["loc"][:-1], "expected no unknown field", _UNKNOWN)
        if each["type"] == _UNKNOWN
        else Fault(each["loc"], each["msg"], each["type"])
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _is_no_utf8(error: ValidationError) -> bool:
    """Return whether a text was rejected for its encoding; UTF-16 and UTF-32 contain zeros."""
    if error.error_count() > 1:
        return False
    (only,) = error.errors(include_url=False, include_context=False)
    content = only["input"]
    if only["type"] != "json_invalid" or not isinstance(content, bytes):
        return False
    try:
        content.decode()
    except UnicodeDecodeError:
        return True
    return b"\0" in content[:4]
