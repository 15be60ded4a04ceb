"""The training configuration: configs/train.yaml, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drugpred.errors import ConfigurationError
from drugpred.training.estimators import CumulativeNetwork

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Configuration", "NetworkConfiguration", "read"]

Count = Annotated[int, Field(ge=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NetworkConfiguration(_Strict):
    """The joint cumulative network, see `CumulativeNetwork`."""

    kind: Literal["network"]
    hidden_units: Count
    penalty: Annotated[float, Field(gt=0)]
    networks: Count
    linear_share: Annotated[float, Field(ge=0, le=1)]
    linear_penalty: Annotated[float, Field(gt=0)]
    iterations: Count

    def estimator(self, seed: int) -> CumulativeNetwork:
        """Return the estimator, not yet fitted."""
        return CumulativeNetwork(**self.model_dump(exclude={"kind"}), random_state=seed)


class CrossValidationConfiguration(_Strict):
    """Repeated stratified cross-validation."""

    folds: Annotated[int, Field(ge=2)]
    repeats: Count


class Configuration(_Strict):
    """All that decides a training run, besides the data."""

    seed: Annotated[int, Field(ge=0)]
    overclaimers: Literal["keep", "drop"]
    """Respondents who claim the invented drug Semeron."""
    estimator: NetworkConfiguration
    cross_validation: CrossValidationConfiguration
    simulated_respondents: Annotated[int, Field(ge=1000)]
    """How many to draw where there is no data."""


def read(path: Path) -> Configuration:
    """Read a configuration file.

    Raises
    ------
    ConfigurationError
        The file is missing, is not YAML, or holds something else than `Configuration`.
    """
    try:
        return Configuration.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
