"""Fairness: how the model does within groups by gender, age, ethnicity and country, for use within a decade.

All of it is of cross-validated probabilities: what was said of a respondent by models that had not seen them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from drugpred import codebook
from drugpred.training import estimates
from drugpred.training.estimators import cumulative_targets
from drugpred.training.measures import base_rates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drugpred.training.estimates import Estimate
    from drugpred.training.evaluation import Evaluation

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Integers = NDArray[np.integer[Any]]

__all__ = ["FEWEST", "FEWEST_OF_A_KIND", "HIDDEN", "Figures", "Group", "by_group", "thresholds", "told"]

FEWEST: Final = 30
FEWEST_OF_A_KIND: Final = 10
"""Groups of fewer respondents, or of fewer users or non-users, have no figures."""
HIDDEN: Final = 10
"""Groups of fewer respondents do not even have their size told."""


class Figures(NamedTuple):
    """How the model does within a group."""

    base_rate: Estimate
    """Share of users."""
    auc: Estimate
    selection_rate: Estimate
    """Share of those predicted to use."""
    true_positive_rate: Estimate
    """The same among users."""
    false_positive_rate: Estimate
    """The same among the others."""
    calibration_gap: Estimate
    """Mean probability minus share of users: above zero the group's use is overestimated."""


class Group(NamedTuple):
    """A group and one drug."""

    drug: str
    attribute: str
    label: str
    people: int | None
    """None where they are fewer than `HIDDEN`."""
    figures: Figures | None
    """None where there are too few."""


def thresholds(evaluation: Evaluation) -> Floats:
    """Return from which probability on each respondent was predicted to use, shape (repeats, n, 18).

    That is the share of users among the respondents trained on, or among all where it is not known who they were.
    """
    if evaluation.tested is None:
        return np.broadcast_to(base_rates(evaluation.last_use)[:, codebook.DECADE], evaluation.probabilities.shape[:3])
    result = np.empty(evaluation.probabilities.shape[:3])
    for repeat, tested in zip(result, evaluation.tested, strict=True):
        for fold in np.unique(tested):
            repeat[tested == fold] = base_rates(evaluation.last_use[tested != fold])[:, codebook.DECADE]
    return result


def by_group(evaluation: Evaluation, X: Floats) -> list[Group]:
    """Return every drug's figures among all, and within each group.

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
            for (label, rows), n, is_told in zip(members.items(), sizes, told(sizes, users), strict=True):
                of_group = truth[rows, i], probabilities[:, rows, i], predicted[:, rows, i]
                figures = _figures(*of_group) if is_told else None
                groups.append(Group(drug, attribute, label, int(n) if n >= HIDDEN else None, figures))
    return groups


def _partitions(X: Floats) -> list[tuple[str, dict[str, Bools]]]:
    """Return attributes, and who is of each of its groups, which do not overlap."""
    partitions = [("all", {"all": np.ones(len(X), bool)})]
    for category in (codebook.GENDER, codebook.AGE, codebook.ETHNICITY, codebook.COUNTRY):
        codes = X[:, codebook.INPUTS.index(category.name)]
        partitions.append((category.name, {label: codes == code for code, label in enumerate(category.labels)}))
        if category is codebook.ETHNICITY:  # the groups are so small that they are measured together as well
            partitions.append((category.name, {"all but White": codes != category.codes["White"]}))
    return partitions


def told(sizes: Integers, users: Integers) -> Bools:
    """Return which of an attribute's groups have figures.

    What the others are could be found by subtraction, so together they are never fewer than `HIDDEN` either.

    Parameters
    ----------
    sizes, users : ndarray of shape (groups,)
        Respondents in each group, and users among them.
    """
    result: Bools = (sizes >= FEWEST) & (np.minimum(users, sizes - users) >= FEWEST_OF_A_KIND)
    while result.any() and 0 < sizes[~result].sum() < HIDDEN:
        result[np.argmin(np.where(result, sizes, sizes.sum() + 1))] = False
    return result


def _figures(truth: Bools, probabilities: Floats, predicted: Bools) -> Figures:
    return Figures(
        base_rate=estimates.share(truth[np.newaxis]),
        auc=estimates.auc(truth, probabilities),
        selection_rate=estimates.share(predicted),
        true_positive_rate=estimates.share(predicted[:, truth]),
        false_positive_rate=estimates.share(predicted[:, ~truth]),
        calibration_gap=estimates.mean(probabilities.mean(axis=0) - truth),
    )
