"""Requests and answers of all transports, validated by the service's own types."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from pydantic import AliasPath, BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import TypedDict

from drugpred import codebook
from drugpred.codebook import DataSource, Drug, Window
from drugpred.errors import Detail, InvalidRequestError, ServiceError
from drugpred.schemas import Batch, ColumnAddition, Explanation, Feedback, Prediction, Profile, column_names

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")
_Checked = TypeVar("_Checked", bound=BaseModel)


class Measure(TypedDict):
    """Metrics of one drug and window."""

    threshold: float
    base_rate: float
    auc: float | None
    """From cross-validation; None if it could not be measured."""
    reliable: bool


class Model(BaseModel):
    """The description of the served model."""

    model_config = ConfigDict(frozen=True)

    model: str
    """Its tag."""
    data_source: DataSource = Field(validation_alias=AliasPath("data", "source"))
    measures: dict[Drug, dict[Window, Measure]] = Field(validation_alias="drugs")
    """By drug and window."""
    card: dict[str, Any]
    """The whole card, as GET /model returns it."""

    @classmethod
    def of(cls, content: bytes | str) -> Self:
        """Return the description in a model card."""
        card = json.loads(content)
        return cls.model_validate({**card, "card": card})


class StreamOptions(BaseModel):
    """Options of a stream, for all its people."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    drugs: list[Drug] = Field(min_length=1)
    window: Window
    include: frozenset[ColumnAddition] = frozenset()

    def columns(self) -> list[str]:
        """Return the names of the columns of an answer."""
        return column_names(self.drugs, self.include)


@dataclass(frozen=True)
class Call(Generic[T]):
    """A call, ready for a transport."""

    name: str
    """The path or the name of the method."""
    request: Any
    """The body or the message."""
    parse: Callable[[Any], T]
    """Converts the response to the answer."""

    def read(self, content: Any) -> T:  # noqa: ANN401 - bytes or a message
        """Return the answer.

        Raises
        ------
        ServiceError
            The response is malformed.
        """
        try:
            return self.parse(content)
        except (ValueError, LookupError, TypeError):  # without the cause, which may hold the response
            raise ServiceError("the answer is malformed, or of another version of drugpred") from None


def as_profile(profile: Profile | Mapping[str, object] | None, fields: Mapping[str, object]) -> Profile:
    """Return a profile that is given as one argument or by its fields."""
    if profile is not None and fields:
        raise TypeError("expected a profile or its fields, not both")
    return _validated(Profile, _plain(fields if profile is None else profile))


def as_explained(profile: Profile) -> Profile:
    """Return a profile whose risks include their explanations."""
    return profile.model_copy(update={"include": profile.include | {"explanation"}})


def explanations(call: Call[Prediction]) -> Call[dict[Drug, Explanation]]:
    """Return the same call with the explanation of each drug as its answer."""

    def parse(content: Any) -> dict[Drug, Explanation]:  # noqa: ANN401 - bytes or a message
        return {risk["drug"]: risk["explanation"] for risk in call.parse(content).risks}

    return Call(call.name, call.request, parse)


def as_feedback(prediction_id: str, outcomes: Mapping[Drug, bool]) -> Feedback:
    """Return validated outcomes of a prediction."""
    return _validated(Feedback, {"prediction_id": prediction_id, "outcomes": _plain(outcomes)})


def as_batch(profiles: Iterable[Profile | Mapping[str, object]]) -> Batch:
    """Return validated profiles."""
    return _validated(Batch, {"profiles": list(map(_plain, profiles))})


def as_stream_options(
    drugs: Iterable[Drug] | None, window: Window, include: Iterable[ColumnAddition] = ()
) -> StreamOptions:
    """Return validated options; None means all drugs."""
    chosen = list(codebook.DRUGS if drugs is None else drugs)
    return _validated(StreamOptions, {"drugs": chosen, "window": window, "include": list(include)})


def _plain(profile: Profile | Mapping[Any, object]) -> Profile | Mapping[Any, object]:
    """Return a profile with Python numbers in place of numpy's, which data frames and arrays contain."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(profile, Mapping):
        return profile
    return {name: value.item() if isinstance(value, numpy.generic) else value for name, value in profile.items()}


def _validated(model: type[_Checked], content: object) -> _Checked:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise InvalidRequestError([Detail(fault["loc"], fault["msg"]) for fault in error.errors()]) from None
