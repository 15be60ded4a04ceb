"""The training configuration: configs/train.yaml, validated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from drugpred import codebook
from drugpred.errors import ConfigurationError
from drugpred.training.estimators import CumulativeNetwork
from drugpred.training.per_drug import PerDrug, Sampler, logistic

if TYPE_CHECKING:
    from pathlib import Path

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


def _some_inputs(names: tuple[str, ...]) -> tuple[str, ...]:
    if not set(names) < set(codebook.INPUTS):
        raise ValueError(f"expected some but not all of {' | '.join(codebook.INPUTS)}")
    return names


Inputs = Annotated[tuple[str, ...], AfterValidator(_some_inputs)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NetworkConfiguration(_Strict):
    """The joint cumulative network, see `CumulativeNetwork`."""

    kind: Literal["network"]
    hidden_units: Count
    penalty: Positive
    networks: Count
    linear_share: Share
    linear_drugs: tuple[codebook.Drug, ...]
    linear_penalty: Positive
    iterations: Count
    forest_share: Share
    trees: Count
    leave_out: Inputs = ()
    """Inputs that the model must not use."""

    def make_estimator(self, seed: int) -> CumulativeNetwork:
        """Return an unfitted estimator."""
        return CumulativeNetwork(**self.model_dump(exclude={"kind"}), random_state=seed)


class LogisticConfiguration(_Strict):
    """Logistic regression for each drug and window, see `PerDrug`; always recalibrated if a sampler is used."""

    kind: Literal["logistic"]
    penalty: Positive
    sampler: Sampler
    leave_out: Inputs = ()
    """Inputs that the model must not use."""

    @property
    def linear_penalty(self) -> float:
        """L2 penalty on the weights, by the name that it has for a network."""
        return self.penalty

    def make_estimator(self, seed: int) -> PerDrug:
        """Return an unfitted estimator."""
        resampled = self.sampler != "none"
        return PerDrug(logistic(self.penalty), self.sampler, resampled, leave_out=self.leave_out, random_state=seed)


class CrossValidationConfiguration(_Strict):
    """Repeated stratified cross-validation."""

    folds: Annotated[int, Field(ge=2)]
    repeats: Count


class Configuration(_Strict):
    """All settings of a training run."""

    seed: Annotated[int, Field(ge=0)]
    overclaimers: Literal["keep", "drop"]
    """Respondents who claim the invented drug Semeron."""
    estimator: Annotated[NetworkConfiguration | LogisticConfiguration, Field(discriminator="kind")]
    cross_validation: CrossValidationConfiguration
    simulated_respondents: Annotated[int, Field(ge=1000)]
    """Number of respondents to draw if there are no data."""

    def make_estimator(self) -> CumulativeNetwork | PerDrug:
        """Return an unfitted estimator with the seed of the run."""
        return self.estimator.make_estimator(self.seed)


def read(path: Path) -> Configuration:
    """Read a configuration file.

    Raises
    ------
    ConfigurationError
        The file is missing, is not YAML, or is not a valid `Configuration`.
    """
    try:
        return Configuration.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
