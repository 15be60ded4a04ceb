"""Fairness: metrics within groups by gender, age, ethnicity and country, for use within a decade.

All metrics use cross-validated probabilities: predictions by models that were not trained on the respondent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from drugpred import codebook
from drugpred.training import confidence
from drugpred.training.classification_metrics import base_rates
from drugpred.training.estimators import cumulative_targets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drugpred.training.confidence import Estimate
    from drugpred.training.evaluation import Evaluation

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Integers = NDArray[np.integer[Any]]

MIN_PEOPLE: Final = 30
MIN_PER_OUTCOME: Final = 10  # groups with fewer respondents, users or non-users have no metrics
MIN_SHOWN: Final = 10  # smaller groups have no size either


class Figures(NamedTuple):
    """Metrics of the model within a group."""

    base_rate: Estimate  # share of users
    auc: Estimate
    selection_rate: Estimate  # share of respondents who are predicted to use
    true_positive_rate: Estimate  # selection rate among users
    false_positive_rate: Estimate  # selection rate among non-users
    calibration_gap: Estimate  # mean probability minus share of users: positive if use is overestimated in the group


class Group(NamedTuple):
    """Metrics of one drug within one group."""

    drug: str
    attribute: str
    label: str
    people: int | None  # None if fewer than `MIN_SHOWN`
    figures: Figures | None  # None unless they may be disclosed, see `is_disclosable`


def thresholds(evaluation: Evaluation) -> Floats:
    """Return the probability from which use is predicted, for each respondent, shape (repeats, n, 18).

    It is the share of users in the training data, or among all respondents if the training data are unknown.
    """
    if evaluation.tested is None:
        return np.broadcast_to(base_rates(evaluation.last_use)[:, codebook.DECADE], evaluation.probabilities.shape[:3])
    result = np.empty(evaluation.probabilities.shape[:3])
    for repeat, tested in zip(result, evaluation.tested, strict=True):
        for fold in np.unique(tested):
            repeat[tested == fold] = base_rates(evaluation.last_use[tested != fold])[:, codebook.DECADE]
    return result


def by_group(evaluation: Evaluation, X: Floats) -> list[Group]:
    """Return the metrics of every drug, for all respondents and for each group.

    Parameters
    ----------
    evaluation : Evaluation
    X : ndarray of shape (n, 12)
        The rows that were cross-validated.
    """
    truth = cumulative_targets(evaluation.last_use)[:, :, codebook.DECADE]
    probabilities = evaluation.probabilities[:, :, :, codebook.DECADE]
    predicted = probabilities >= thresholds(evaluation)
    partitions = _partitions(X)
    groups = []
    for i, drug in enumerate(codebook.DRUGS):
        for attribute, members in partitions:
            sizes = np.array([rows.sum() for rows in members.values()])
            users = np.array([truth[rows, i].sum() for rows in members.values()])
            for (label, rows), n, disclosable in zip(members.items(), sizes, is_disclosable(sizes, users), strict=True):
                figures = None
                if disclosable:
                    figures = _figures(truth[rows, i], probabilities[:, rows, i], predicted[:, rows, i])
                groups.append(Group(drug, attribute, label, int(n) if n >= MIN_SHOWN else None, figures))
    return groups


def _partitions(X: Floats) -> list[tuple[str, dict[str, Bools]]]:
    """Return the members of the groups of each attribute; groups do not overlap."""
    partitions = [("all", {"all": np.ones(len(X), bool)})]
    for category in (codebook.GENDER, codebook.AGE, codebook.ETHNICITY, codebook.COUNTRY):
        codes = X[:, codebook.INPUTS.index(category.name)]
        partitions.append((category.name, {label: codes == code for code, label in enumerate(category.labels)}))
        if category is codebook.ETHNICITY:  # the other groups are so small that they are also measured together
            partitions.append((category.name, {"all but White": codes != category.codes["White"]}))
    return partitions


def is_disclosable(sizes: Integers, users: Integers) -> Bools:
    """Return whether each group of an attribute is large enough to show its metrics.

    Metrics of the others could be found by subtraction, so together they must have at least `MIN_SHOWN` respondents.

    Parameters
    ----------
    sizes, users : ndarray of shape (groups,)
        Respondents in each group, and users among them.
    """
    result: Bools = (sizes >= MIN_PEOPLE) & (np.minimum(users, sizes - users) >= MIN_PER_OUTCOME)
    while result.any() and 0 < sizes[~result].sum() < MIN_SHOWN:
        result[np.argmin(np.where(result, sizes, sizes.sum() + 1))] = False
    return result


def _figures(truth: Bools, probabilities: Floats, predicted: Bools) -> Figures:
    return Figures(
        base_rate=confidence.share(truth[np.newaxis]),
        auc=confidence.auc(truth, probabilities),
        selection_rate=confidence.share(predicted),
        true_positive_rate=confidence.share(predicted[:, truth]),
        false_positive_rate=confidence.share(predicted[:, ~truth]),
        calibration_gap=confidence.mean(probabilities.mean(axis=0) - truth),
    )
