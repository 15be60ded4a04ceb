"""Requests and answers of all transports, validated by the service's own types."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

import numpy as np
from pydantic import AliasPath, BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import TypedDict

from drugpred import codebook, tabular
from drugpred.codebook import DataSource, Drug, Window
from drugpred.errors import Detail, InvalidRequestError, ServiceError
from drugpred.schemas import Batch, Profile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

T = TypeVar("T")
_Checked = TypeVar("_Checked", bound=BaseModel)

_CATEGORIES: Final = len(codebook.CATEGORIES)


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


def as_batch(profiles: Iterable[Profile | Mapping[str, object]]) -> Batch:
    """Return validated profiles."""
    return _validated(Batch, {"profiles": list(map(_plain, profiles))})


def as_stream_options(drugs: Iterable[Drug] | None, window: Window) -> StreamOptions:
    """Return validated options; None means all drugs."""
    return _validated(StreamOptions, {"drugs": list(codebook.DRUGS if drugs is None else drugs), "window": window})


def as_rows(chunk: ArrayLike) -> NDArray[np.float64]:
    """Return people's rows, as `drugpred.codebook` describes them, validated."""
    try:
        # Scores in float32 may be rounded beyond a bound; validation allows for it in columns of that type.
        rows = np.array(chunk, np.float32 if getattr(chunk, "dtype", None) == np.float32 else np.float64)
    except (ValueError, TypeError):
        raise InvalidRequestError([Detail((), "expected rows of numbers")]) from None
    if rows.shape[1:] != (len(codebook.INPUTS),):
        raise InvalidRequestError([Detail((), f"expected rows of {len(codebook.INPUTS)} numbers")])
    codes = rows[:, :_CATEGORIES]
    codes[codes != np.trunc(codes)] = -1  # no level has this code
    try:
        return tabular.encode(dict(zip(codebook.INPUTS, rows.T, strict=True)))
    except tabular.ColumnError as error:
        loc = (error.field,) if error.row is None else (error.row, error.field)
        raise InvalidRequestError([Detail(loc, f"expected {error.expected}")]) from None


def _plain(profile: Profile | Mapping[str, object]) -> Profile | Mapping[str, object]:
    """Return a profile with Python numbers in place of numpy's, which data frames and arrays contain."""
    if isinstance(profile, Mapping):
        return {name: value.item() if isinstance(value, np.generic) else value for name, value in profile.items()}
    return profile


def _validated(model: type[_Checked], content: object) -> _Checked:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise InvalidRequestError([Detail(fault["loc"], fault["msg"]) for fault in error.errors()]) from None
