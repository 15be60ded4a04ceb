"""Fitting the simulated cohort: what a model learns from it holds for real respondents."""

import numpy as np
import pytest

from drugpred.codebook import WINDOWS
from drugpred.data.simulator import Cohort
from drugpred.training import fit_simulator
from drugpred.training.classification_metrics import base_rates, measure
from drugpred.training.estimators import CumulativeNetwork, make_pipeline
from drugpred.training.evaluation import Evaluation, make_folds
from tests.harness import NIGHTLY

pytestmark = pytest.mark.slow


ESTIMATOR = CumulativeNetwork(networks=2) if NIGHTLY else CumulativeNetwork(networks=1, forest_share=0.0)
LOSS = 0.01 if NIGHTLY else 0.02
"""How much worse a model of simulated respondents may be; one of 4000 was .011 worse in the worst of six tests."""


@pytest.fixture(scope="module", autouse=True)
def replicates():
    """Match correlations with fewer simulated respondents than each night: that takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        if not NIGHTLY:
            patch.setattr(fit_simulator, "_REPLICATES", 15)
        yield


@pytest.fixture(scope="module")
def folds(real):
    """One test of a fifth; of two different ones each night."""
    return make_folds(real.last_use, 5, 1, 0)[: 2 if NIGHTLY else 1]


@pytest.fixture(scope="module")
def fitted(real, folds):
    """A cohort for each training part."""
    return [fit_simulator.fit(real.X[train], real.last_use[train], ESTIMATOR) for train, _ in folds]


def test_the_same_respondents_give_the_same_cohort(real):
    estimator = CumulativeNetwork(networks=1, iterations=20)
    fits = [fit_simulator.fit(real.X[:300], real.last_use[:300], estimator) for _ in range(2)]
    assert fits[0] == fits[1]


def test_no_fitted_cohort_holds_a_respondent(fitted, records_in):
    assert not any(records_in(content) for content in fitted)


def test_a_model_of_simulated_respondents_is_as_good_for_real_ones(real, folds, fitted, tmp_path):
    # Nobody tested took part in either: a model scored on the respondents it was fitted on knows the noise in their
    # answers, and no cohort has that.
    scores = {"real": [], "simulated": []}
    for (train, test), content in zip(folds, fitted, strict=True):
        path = tmp_path / "fit_simulator.npz"
        path.write_bytes(content)
        rows, last_use = next(Cohort.load(path).draw(20_000 if NIGHTLY else 4000, 1))
        for name, X, y in (("real", real.X[train], real.last_use[train]), ("simulated", rows, last_use)):
            pipeline = make_pipeline(ESTIMATOR).fit(X, y)
            probabilities = pipeline.predict_proba(real.X[test])
            figures = measure(probabilities, real.last_use[test], base_rates(real.last_use[train]))
            one = Evaluation(
                real.last_use[test], probabilities[np.newaxis], {k: v[np.newaxis] for k, v in figures.items()}
            )
            scores[name].append(one.overall())
    for window in WINDOWS[1:3]:
        for figure, sign in (("auc15", 1), ("log_loss", -1)):
            name = f"{window}_{figure}"
            learnt, drawn = (np.mean([score[name] for score in scores[kind]]) for kind in ("real", "simulated"))
            assert sign * (learnt - drawn) < LOSS, f"{name}: {learnt:.4f} of real, {drawn:.4f} of simulated respondents"
