"""Writes, reads and checks a trained model in the BentoML model store.

::

    pipeline.skops   the fitted scikit-learn pipeline, readable without running its code
    network.npz      the arrays that `Predictor` serves
    background.npy   simulated respondents that `Explainer` compares a person with
    uncertainty.npz  the arrays of `Uncertainty`, made over simulated respondents
    card.json        the model card, see `Card`
    report/          the card as HTML with its plots
    model.yaml       BentoML's metadata: tag, labels, and the headline figures again
    SHA256SUMS       checksums of all of them, for `sha256sum --check`

No file contains a respondent's row. The checksums detect accidents, not an attacker who can write all of the files.

BentoML takes most of a second to import, so only the functions that use the store import it.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from drugpred import codebook
from drugpred.errors import StoredModelError, reason
from drugpred.explanation import Explainer
from drugpred.html_repr import Bar, bars
from drugpred.predictor import Predictor
from drugpred.uncertainty import Uncertainty

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import bentoml
    from bentoml._internal.models import ModelStore  # as below
    from numpy.typing import NDArray

NAME = "drug_consumption"  # the model's name in the store

_SUMS: Final = "SHA256SUMS"
_AGAIN: Final = "train again with `python train.py`"
_MAX_LISTED: Final = 10


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WindowCard(_Frozen):
    """A drug and window; cross-validated metrics are None if they cannot be measured."""

    base_rate: float
    """Share of users in the training data."""
    threshold: float
    """Probability from which use is predicted."""
    auc: float | None
    average_precision: float | None
    sensitivity: float | None
    specificity: float | None
    balanced_accuracy: float | None
    log_loss: float | None
    brier: float | None
    calibration_error: float
    intervals: dict[str, tuple[float, float]]
    """95% confidence intervals of these metrics, corrected for shared training rows; only the computable ones."""
    reliable: bool
    """Whether there were enough users and non-users to learn from, and the model separates them."""


class DataCard(_Frozen):
    """The training data."""

    source: codebook.DataSource
    sha256: str
    """Hash of the file, or of the drawn rows if there was none."""
    respondents: int
    overclaimers: Literal["keep", "drop"]
    """Whether respondents who claim the invented drug Semeron are included."""


class Bins(_Frozen):
    """Shares of the training data in each bin: the reference of drift."""

    labels: tuple[str, ...]
    edges: tuple[float, ...] = ()
    """Upper bounds of all bins except the last; none for a category."""
    shares: tuple[float, ...]


class UncertaintyCard(_Frozen):
    """How intervals and support were made: see `drugpred.training.laplace`."""

    confidence: float
    """The chance of an interval to hold the probability of use; it is not an interval of the person's use."""
    variance_factor: float
    """The squared standard error of the log-odds is this times the variance of a linear model, and the square of the
    next."""
    model_error: float
    """The standard error, in log-odds, of the misfit that the variance does not measure."""
    penalty: float
    """L2 penalty of the linear model."""
    simulated: int
    """Simulated respondents over whom it was made: with the trained respondents' distribution of each input, and the
    correlations of the simulated cohort. No respondent's row was used."""
    seed: int
    thin_percentile: int
    """Percentile of the respondents' support below which a person's is thin."""
    unusual_percentile: int
    """Below it a person is unusual; also if the scores are further from their mean than those of all but this percent
    of the respondents."""
    median_similar: int
    """The median of the respondents' support."""
    support_shares: dict[codebook.SupportLevel, float]
    """Share of the respondents of each level."""
    coverage: dict[str, float] | None
    """Share of the known probabilities of simulated people that their intervals held (decade, 18 drugs), by the kind of
    population; None if it was not measured for such a configuration and such data."""


class Card(_Frozen):
    """The model card."""

    data: DataCard
    inputs: tuple[str, ...]
    windows: tuple[str, ...]
    drugs: dict[str, dict[str, WindowCard]]
    """By drug and window."""
    ranked_probability_scores: dict[str, float]
    """By drug."""
    overall: dict[str, float]
    """Headline metrics of cross-validation."""
    overall_intervals: dict[str, tuple[float, float]]
    """Their 95% confidence intervals."""
    folds: dict[str, tuple[float, ...]]
    """The same by test fold, for a comparison of later models on the same folds."""
    reference_split: dict[str, float] | None
    """Cannabis (decade) on the split of the reference system; None if the data are not those of UCI."""
    input_bins: dict[str, Bins]
    probability_bins: dict[str, Bins]
    """By drug, for the cross-validated probabilities of use within a decade."""
    uncertainty: UncertaintyCard | None = None
    """None until the model is fitted to all respondents."""
    estimator: str
    configuration: dict[str, object]
    seed: int
    versions: dict[str, str]
    git_commit: str | None
    """None outside of a checkout; ends in -dirty if files differ from the commit."""
    created: str
    run_id: str | None
    """Id of the run in MLflow; None if it was not tracked."""

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """Probabilities from which use is predicted, shape (18, 6)."""
        drugs = self.drugs
        return np.array([[drugs[drug][window].threshold for window in codebook.WINDOWS] for drug in codebook.DRUGS])

    def _repr_html_(self) -> str:
        """Return each drug's share of users and its AUC within a decade, for a notebook."""
        return self.html("Model card")

    def html(self, title: str) -> str:
        """Return the card as HTML under a title."""
        decade = {drug: windows["decade"] for drug, windows in self.drugs.items()}
        return bars(
            f"{title}: {self.data.respondents} respondents, source: {self.data.source}, {self.created[:10]}",
            [
                Bar(
                    codebook.display_name(drug),
                    of.base_rate,
                    f"{of.base_rate:.0%}",
                    "" if of.auc is None else f"AUC {of.auc:.3f}",
                    not of.reliable,
                )
                for drug, of in decade.items()
            ],
            "Bar: share of users within a decade. AUC: cross-validated. Pale: barely predictable.",
        )


class TaggedCard(Card):
    """The card of a stored model, with its tag."""

    model: str


@dataclass(frozen=True)
class StoredModel:
    """A stored model, read for serving."""

    tag: str
    path: Path
    card: Card
    predictor: Predictor
    explainer: Explainer
    uncertainty: Uncertainty

    def columns(
        self, rows: NDArray[np.float64], drugs: Sequence[int], windows: Sequence[int], include: Collection[str] = ()
    ) -> NDArray[np.float64]:
        """Return the columns of many predictions, in the order of `drugpred.schemas.column_names`.

        Parameters
        ----------
        rows : ndarray of shape (n, 12)
        drugs, windows : sequence of int
            Indices in the codebook; the windows of a drug are next to each other.
        include : collection of str
            Some of `drugpred.schemas.ColumnAddition`.

        Returns
        -------
        ndarray of shape (columns, n)
        """
        probabilities = self.predictor.predict_proba(rows)
        figures = [probabilities]
        if "interval" in include:
            figures += [*self.uncertainty.intervals(rows, probabilities)]
        selected = np.stack([figure[:, drugs][:, :, windows] for figure in figures], axis=-1)
        columns: NDArray[np.float64] = selected.reshape(len(rows), -1).T
        return np.vstack([columns, *self.uncertainty.support(rows)]) if "support" in include else columns

    @cached_property
    def card_json(self) -> str:
        """The card with the model's tag: `TaggedCard` as JSON."""
        return TaggedCard(model=self.tag, **dict(self.card)).model_dump_json()


def disable_telemetry() -> None:
    """Turn off BentoML's usage telemetry when a model is saved or served, unless an environment variable is set.

    BentoML reads the variable once, when it first saves or serves.
    """
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")


def home() -> Path:
    """Return BentoML's folder, BENTOML_HOME, created if missing.

    Raises
    ------
    StoredModelError
        It is not a folder and cannot be created.
    """
    from bentoml._internal.configuration.containers import BentoMLContainer  # only it creates the folder
    from bentoml.exceptions import BentoMLException

    try:
        return Path(BentoMLContainer.bentoml_home.get())
    except (OSError, BentoMLException) as error:
        raise StoredModelError(f"BENTOML_HOME: {reason(error)}") from error


def write(
    pipeline: bytes, network: bytes, background: bytes, uncertainty: bytes, card: Card, report: Mapping[str, bytes]
) -> str:
    """Store a model as the newest version and return its tag.

    The model is stored completely or not at all.

    Parameters
    ----------
    pipeline : bytes
        The fitted pipeline, as skops.
    network : bytes
        The arrays of `Predictor`, as npz.
    background : bytes
        The background of `Explainer`, as npy: simulated respondents, never real ones.
    uncertainty : bytes
        The arrays of `Uncertainty`, as npz.
    card : Card
    report : mapping of str to bytes
        Files of the report by name.
    """
    disable_telemetry()
    import bentoml

    files = {
        "pipeline.skops": pipeline,
        "network.npz": network,
        "background.npy": background,
        "uncertainty.npz": uncertainty,
        "card.json": card.model_dump_json(indent=1).encode(),
        **{f"report/{name}": content for name, content in report.items()},
    }
    labels = {"data_source": card.data.source, "estimator": card.estimator}
    with bentoml.models.create(NAME, labels=labels, metadata={"overall": dict(card.overall)}) as model:
        for name, content in files.items():
            path = Path(model.path_of(name))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        model.flush()  # type: ignore[no-untyped-call]  # writes the final model.yaml
        Path(model.path_of(_SUMS)).write_bytes(_sums(_checksums(Path(model.path))))
    return str(model.tag)


def read(model: bentoml.Model) -> StoredModel:
    """Read and check a stored model.

    Raises
    ------
    StoredModelError
        A file is missing, altered or unexpected, or the model has other inputs, drugs or windows.
    """
    path = Path(model.path)
    return _read(path, str(model.tag), f"{NAME}:{path.name}", model.tag.version)


def read_folder(path: Path) -> StoredModel:
    """Read and check the folder of a stored model, which may have been moved, without BentoML.

    Raises
    ------
    StoredModelError
        It is not such a folder, or as for `read`.
    """
    try:
        metadata = yaml.safe_load((path / "model.yaml").read_bytes())
        tag = f"{metadata['name']}:{metadata['version']}"
    except OSError as error:
        raise StoredModelError(f"expected the folder of a stored model: {reason(error)}") from None
    except (ValueError, TypeError, KeyError, yaml.YAMLError):
        raise StoredModelError(f"{path}: model.yaml has changed") from None
    return _read(path, tag, str(path))


def _read(path: Path, tag: str, where: str, name: str | None = None) -> StoredModel:
    try:
        _check(path, tag, name)
        card = Card.model_validate_json((path / "card.json").read_bytes())
    except StoredModelError as error:
        raise StoredModelError(f"{where}: {error}; {_AGAIN}") from None
    except OSError as error:
        raise StoredModelError(f"{tag}: expected to be able to read {path}: {error}") from None
    except ValidationError as error:
        raise StoredModelError(f"{tag}: card.json is of another version; {_AGAIN}") from error
    if (card.inputs, tuple(card.drugs), card.windows) != (codebook.INPUTS, codebook.DRUGS, codebook.WINDOWS):
        raise StoredModelError(f"{tag}: the model has other inputs, drugs or windows than this version")
    if card.uncertainty is None:
        raise StoredModelError(f"{tag}: the model has no intervals, as it is of another version; {_AGAIN}")
    predictor = Predictor.load(path / "network.npz")
    explainer = Explainer.load(path / "background.npy", predictor)
    return StoredModel(tag, path, card, predictor, explainer, Uncertainty.load(path / "uncertainty.npz"))


def load(tag: str = NAME) -> StoredModel:
    """Read and check the model with a tag, or the newest with a name: see `resolve` and `read`."""
    return read(resolve(tag))


def resolve(tag: str) -> bentoml.Model:
    """Return a model of the store, by its tag, or the newest by its name.

    Raises
    ------
    StoredModelError
        There is no such model, or the store or the model's metadata cannot be read.
    """
    import bentoml
    from bentoml.exceptions import BentoMLException, NotFound

    _, store = _stores()
    try:
        bentoml.Tag.from_taglike(tag)
    except ValueError:
        raise not_found(tag) from None
    try:
        try:
            return bentoml.models.get(tag)
        except NotFound:  # in a bento, which has its own models
            return store.get(tag)
    except NotFound:
        raise not_found(tag) from None
    except PermissionError as error:
        raise StoredModelError(reason(error)) from None
    except Exception as error:  # noqa: BLE001 - reading any YAML may raise any exception
        why = f" ({reason(error)})" * isinstance(error, BentoMLException)
        raise StoredModelError(f"{tag}: expected a model with its original model.yaml{why}; {_AGAIN}") from None


def list_models() -> dict[str, bentoml.Model]:
    """Return the models of the store by tag, newest first, without those that cannot be read.

    In a bento these are its own models and those of the store.

    Raises
    ------
    StoredModelError
        The store is not a folder and cannot be created.
    """
    import bentoml

    models = {}
    for store in _stores():
        for path in Path(store._path, NAME).glob("*/model.yaml"):
            with suppress(Exception):
                models[f"{NAME}:{path.parent.name}"] = bentoml.Model.from_path(path.parent)
    return dict(sorted(models.items(), key=lambda item: item[1].creation_time, reverse=True))


def _stores() -> tuple[ModelStore, ModelStore]:
    """Return the store that BentoML reads, which in a bento is its own, and that of BENTOML_HOME."""
    from bentoml._internal.configuration.containers import BentoMLContainer  # only it knows the store of a bento
    from bentoml._internal.models import ModelStore  # bentoml.models reads only the store of BENTOML_HOME

    kept = ModelStore(home() / "models")  # which reports a folder that cannot be made
    return BentoMLContainer.model_store.get(), kept


def not_found(tag: str) -> StoredModelError:
    """Return the error that there is no such model; its message lists those that there are, newest first."""
    tags = list(list_models())
    if not tags:
        return StoredModelError(f"no model {tag} in the BentoML model store; run `python train.py` first")
    more = f" and {len(tags) - _MAX_LISTED} more" if len(tags) > _MAX_LISTED else ""
    return StoredModelError(f"no model {tag} in the BentoML model store; it has {', '.join(tags[:_MAX_LISTED])}{more}")


def _checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of all files except the checksums, by name."""
    checksums = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise StoredModelError(f"{name} is not a regular file")
        if path.is_file() and name != _SUMS:
            checksums[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return checksums


def _sums(checksums: Mapping[str, str]) -> bytes:
    return "".join(f"{checksums[name]}  {name}\n" for name in sorted(checksums)).encode()


def _check(folder: Path, tag: str, name: str | None) -> None:
    """Raise StoredModelError if any file, including the checksums, has changed."""
    actual = _checksums(folder)
    if not (folder / _SUMS).is_file():
        raise StoredModelError(f"{_SUMS} is missing")
    content = (folder / _SUMS).read_bytes()
    if content == _sums(actual):
        if name not in (None, folder.name):
            raise StoredModelError(f"model.yaml belongs to {tag}")
        return
    lines = (line.partition("  ") for line in content.decode(errors="replace").splitlines())
    expected = {name: checksum for checksum, _, name in lines}
    for name in expected.keys() - actual.keys():
        raise StoredModelError(f"{name} is missing, or {_SUMS} was changed")
    for name, checksum in actual.items():
        if expected.get(name) != checksum:
            raise StoredModelError(
                f"{name} was changed, see {_SUMS}" if name in expected else f"{name} is not in {_SUMS}"
            )
    raise StoredModelError(f"{_SUMS} was changed")
