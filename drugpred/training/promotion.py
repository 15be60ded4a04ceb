"""Refuses to store a model that is significantly worse than the newest stored one.

Both are compared by one metric on the same test folds. The values of the newest model come from its card if data, seed
and cross-validation are the same; otherwise its configuration is cross-validated on this run's folds. The model is
worse if the one-sided 95% interval of the difference, see `corrected_half_widths`, excludes zero.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from filelock import FileLock
from pydantic import ValidationError

from drugpred import model_store
from drugpred.errors import DrugpredError, StoredModelError
from drugpred.model_store import Card
from drugpred.training.confidence import corrected_half_widths
from drugpred.training.configuration import Configuration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from drugpred.training.evaluation import Evaluation

METRIC: Final = "decade_log_loss"
"""The mean log-loss of 18 drugs, lower is better: a proper score, which rises if ranking or calibration gets worse.
One metric only, because several tests would often refuse an equal model by chance."""

_CONFIDENCE: Final = 0.9  # of the two-sided interval: an equal model is refused in one of 20 runs
_DIGITS: Final = 4  # differences are rounded as they are printed

_FORCE: Final = "--force stores it all the same"


class PromotionError(DrugpredError):
    """A model must not become the newest version."""

    exit_code = 3


def store_lock() -> FileLock:
    """Return the lock of the store; hold it so that no run replaces a model that it was not compared with."""
    return FileLock(model_store.home() / f"{model_store.NAME}.lock")


def require_no_regression(card: Card, config: Configuration, evaluate: Callable[[Configuration], Evaluation]) -> str:
    """Return one line that compares a model with the newest stored one.

    Parameters
    ----------
    card : Card
        Card of the model.
    config : Configuration
        Configuration of the model.
    evaluate : callable
        Cross-validates a configuration on this run's data; called if the newest model has other folds.

    Raises
    ------
    PromotionError
        The model is worse by more than chance explains, cannot be compared, or was trained on simulated respondents
        and the newest one was not.
    """
    try:
        model = model_store.resolve(model_store.NAME)
    except StoredModelError:
        return "no model to compare with: this is the first one"
    tag = str(model.tag)
    try:
        newest = Card.model_validate_json(Path(model.path_of("card.json")).read_bytes())
    except (OSError, ValidationError):
        return f"no model to compare with: the card of {tag} is missing or in another format"
    if (card.data.source == "simulated") != (newest.data.source == "simulated"):
        if newest.data.source == "simulated":
            return f"no model to compare with: {tag} was trained on simulated respondents"
        raise PromotionError(f"not stored: it was trained on simulated respondents, {tag} was not; {_FORCE}")

    theirs = _by_fold(newest, card, config, evaluate)
    if not (METRIC in card.folds and METRIC in theirs):
        raise PromotionError(f"not stored: it cannot be compared with {tag}; {_FORCE}")
    own, other = np.array(card.folds[METRIC]), np.array(theirs[METRIC])
    half_width = corrected_half_widths(own - other, 1 / (config.cross_validation.folds - 1), _CONFIDENCE)
    worse, allowed = round(float((own - other).mean()), _DIGITS), round(float(half_width), _DIGITS)
    result = f"log-loss {own.mean():.4f}, that of {tag} {other.mean():.4f} on the same folds"
    if worse > allowed:
        by = f"{worse:.4f} worse, more than the {allowed:.4f} that chance explains (one-sided 95%)"
        raise PromotionError(f"not stored: {result}: {by}; {_FORCE}")
    verdict = f"{worse:.4f} worse, within the {allowed:.4f} that chance explains" if worse > 0 else "no worse"
    return f"{result}: {verdict}"


def _by_fold(
    newest: Card, card: Card, config: Configuration, evaluate: Callable[[Configuration], Evaluation]
) -> Mapping[str, Sequence[float] | NDArray[np.float64]]:
    """Return the headline metrics of the newest model by test fold of this run."""
    ours, theirs = ((c.data.sha256, c.data.overclaimers, c.seed) for c in (card, newest))
    if ours == theirs and newest.configuration.get("cross_validation") == config.cross_validation.model_dump():
        return newest.folds
    try:
        configuration = Configuration.model_validate(newest.configuration)
    except ValidationError:  # by another version of this package
        return {}
    on_our_folds = {"seed": config.seed, "cross_validation": config.cross_validation}
    return evaluate(configuration.model_copy(update=on_our_folds)).overall_folds()
