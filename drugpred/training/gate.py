"""Whether a model may become the newest version: not if it is worse than the newest one by more than chance explains.

Both are measured by one figure on the same test folds, so that their difference is known fold by fold. The newest one's
figures are those of its card where data, seed and cross-validation are this run's; otherwise its configuration is
cross-validated anew on this run's folds. The difference counts where its one-sided 95% interval, corrected for what
folds share (see `drugpred.training.intervals`), leaves out zero.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from filelock import FileLock
from pydantic import ValidationError

from drugpred import model_store
from drugpred.errors import DrugpredError, StoredModelError
from drugpred.model_store import Card
from drugpred.training.configuration import Configuration
from drugpred.training.intervals import half_widths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from drugpred.training.evaluation import Evaluation

__all__ = ["FIGURE", "GateError", "check", "turn"]

FIGURE: Final = "decade_log_loss"
"""The mean log-loss of 18 drugs, lower is better: a proper score, which both worse ranking and worse calibration raise.
One figure, because of several tests one would soon refuse by chance what is as good."""

_CONFIDENCE: Final = 0.9
"""Of the two-sided interval, so that chance alone puts a difference above its upper end in one of twenty runs."""

_DIGITS: Final = 4
"""A difference that is not printed does not count either."""

_FORCE: Final = "--force stores it all the same"


class GateError(DrugpredError):
    """A model may not become the newest version."""

    exit_code = 3


@contextmanager
def turn() -> Iterator[None]:
    """Wait until no other training compares and stores, so that none replaces a model it was not compared with."""
    with FileLock(model_store.home() / f"{model_store.NAME}.lock"):
        yield


def check(card: Card, config: Configuration, evaluate: Callable[[Configuration], Evaluation]) -> str:
    """Return in a line how a model compares with the newest one in the store.

    Parameters
    ----------
    card : Card
        Of the model.
    config : Configuration
        What it was trained by.
    evaluate : callable
        Cross-validates a configuration on this run's data; called where the newest model's figures are of other folds.

    Raises
    ------
    GateError
        The model is worse by more than chance explains, is of simulated respondents where the newest is not, or
        cannot be compared.
    """
    try:
        model = model_store.resolve(model_store.NAME)
    except StoredModelError:
        return "no model to compare with: this is the first"
    tag = str(model.tag)
    try:
        newest = Card.model_validate_json(Path(model.path_of("card.json")).read_bytes())
    except (OSError, ValidationError):
        return f"no model to compare with: the card of {tag} is missing or of another version"
    simulated = [each.data.source == "simulated" for each in (card, newest)]
    if simulated == [False, True]:
        return f"no model to compare with: {tag} is of simulated respondents"
    if simulated == [True, False]:
        raise GateError(f"not stored: it is of simulated respondents, and {tag} is not; {_FORCE}")

    theirs = _by_fold(newest, card, config, evaluate)
    if not (FIGURE in card.folds and FIGURE in theirs):
        raise GateError(f"not stored: it cannot be compared with {tag}; {_FORCE}")
    mine, other = np.array(card.folds[FIGURE]), np.array(theirs[FIGURE])
    worse = round(float((mine - other).mean()), _DIGITS)
    allowed = round(float(half_widths(mine - other, 1 / (config.cross_validation.folds - 1), _CONFIDENCE)), _DIGITS)
    said = f"log-loss {mine.mean():.4f}, that of {tag} {other.mean():.4f} on the same folds"
    if worse > allowed:
        by = f"{worse:.4f} worse, more than the {allowed:.4f} that chance explains (one-sided 95%)"
        raise GateError(f"not stored: {said}: {by}; {_FORCE}")
    return f"{said}: {f'{worse:.4f} worse, within the {allowed:.4f} that chance explains' if worse > 0 else 'no worse'}"


def _by_fold(
    newest: Card, card: Card, config: Configuration, evaluate: Callable[[Configuration], Evaluation]
) -> Mapping[str, Sequence[float] | NDArray[np.float64]]:
    """Return the headline figures of the newest model by test fold of this run."""
    ours, theirs = ((each.data.sha256, each.data.overclaimers, each.seed) for each in (card, newest))
    if ours == theirs and newest.configuration.get("cross_validation") == config.cross_validation.model_dump():
        return newest.folds
    try:
        configuration = Configuration.model_validate(newest.configuration)
    except ValidationError:  # of another version of this package
        return {}
    on_our_folds = {"seed": config.seed, "cross_validation": config.cross_validation}
    return evaluate(configuration.model_copy(update=on_our_folds)).overall_folds()
