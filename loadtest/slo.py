"""Service levels: the results that a load test needs to pass, read from a file and checked."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, model_validator

from drugpred.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_Positive = Annotated[float, Field(gt=0)]


class Levels(BaseModel):
    """Levels of one endpoint, at least one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    p50_ms: _Positive | None = None
    """Upper bound of the median response time in milliseconds."""
    p95_ms: _Positive | None = None
    p99_ms: _Positive | None = None
    error_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    """Largest share of failed requests."""
    requests_per_second: _Positive | None = None
    """Lowest number of requests per second, over the whole run."""

    @model_validator(mode="after")
    def _any(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError("expected at least one level")
        return self


class _File(RootModel[Annotated[dict[str, Levels], Field(min_length=1)]]):
    pass


class Verdict(NamedTuple):
    """Whether one level was met."""

    level: str
    wanted: str
    measured: str
    met: bool


class _Kind(NamedTuple):
    name: str
    bound: str
    text: Callable[[float], str]
    meets: Callable[[float, float], bool]


_KINDS: Final = {
    **{f"{p}_ms": _Kind(p, "under", lambda ms: f"{ms:g} ms", operator.lt) for p in ("p50", "p95", "p99")},
    "error_rate": _Kind("errors", "at most", lambda rate: f"{100 * rate:.3g}%", operator.le),
    "requests_per_second": _Kind("requests/s", "at least", lambda rate: f"{round(rate, 1):,g}", operator.ge),
}


def read(path: Path) -> dict[str, Levels]:
    """Read a file of service levels, by endpoint.

    Raises
    ------
    ConfigurationError
        The file is missing, is not YAML, or has other content.
    """
    try:
        return _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).root
    except ValidationError as error:
        faults = "; ".join(": ".join([*map(str, fault["loc"]), fault["msg"]]) for fault in error.errors())
        expected = "expected for each endpoint, such as POST /predict, or for Aggregated, one or more of"
        raise ConfigurationError(f"{path}: {faults}; {expected} {' | '.join(Levels.model_fields)}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: expected a YAML file of service levels: {error}") from error


def check(wanted: Mapping[str, Levels], measured: Mapping[str, Mapping[str, float]]) -> list[Verdict]:
    """Compare every level with the measurement of the same name; a level without a measurement is missed."""
    verdicts = []
    for endpoint, levels in wanted.items():
        figures = measured.get(endpoint, {})
        for field, level in levels.model_dump(exclude_none=True).items():
            kind, figure = _KINDS[field], figures.get(field, math.nan)
            text = kind.text(figure) if endpoint in measured else "no request"
            bound = f"{kind.bound} {kind.text(level)}"
            # Comparisons with nan are False.
            verdicts.append(Verdict(f"{endpoint} {kind.name}", bound, text, kind.meets(figure, level)))
    return verdicts


def table(verdicts: list[Verdict]) -> str:
    """Return verdicts as a table to print."""
    rows = [("level", "wanted", "measured", "met")]
    rows += [(*verdict[:3], "yes" if verdict.met else "NO") for verdict in verdicts]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
