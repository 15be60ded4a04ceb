"""The pipelines: properties of their probabilities, and that they are safe to store and to serve."""

from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.base import clone

from drugpred import codebook
from drugpred.predictor import Predictor, to_npz
from drugpred.training import configuration
from drugpred.training.estimators import cumulative_targets, make_pipeline

QUICK = configuration.read(Path(__file__).parents[1] / "quick.yaml").estimator
SOME = 300


@pytest.fixture(scope="module")
def fitted(real):
    return make_pipeline(QUICK.make_estimator(1)).fit(real.X, real.last_use)


@pytest.fixture(scope="module")
def probabilities(real, fitted):
    return fitted.predict_proba(real.X)


@pytest.fixture(scope="module")
def fit_some(real):
    """Return a function that fits a pipeline with some parameters changed to a few respondents."""
    return lambda **parameters: make_pipeline(QUICK.make_estimator(1).set_params(**parameters)).fit(
        real.X[:SOME], real.last_use[:SOME]
    )


@pytest.fixture(scope="module")
def some_probabilities(real, fit_some):
    """Return the probabilities with no parameter changed."""
    return fit_some().predict_proba(real.X)


def test_targets_are_use_within_each_window():
    last_use = np.tile(np.arange(7)[:, np.newaxis], (1, 18))
    last_use[:, 1] = 0
    targets = cumulative_targets(last_use)
    assert targets.shape == (7, 18, 6)
    assert targets[:, 0].tolist() == [[window < recency for window in range(6)] for recency in range(7)]
    assert not targets[:, 1].any()


def test_targets_count_the_users_of_the_study(real):
    users = cumulative_targets(real.last_use).sum(axis=0)[codebook.DRUGS.index("cannabis")]
    assert users.tolist() == [1885 - 413, 1265, 999, 788, 648, 463]


def test_every_drug_and_window_has_a_probability(probabilities):
    assert probabilities.shape == (1885, 18, 6)
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_probabilities_never_rise_along_the_windows(probabilities):
    assert (np.diff(probabilities, axis=2) <= 0).all()


def test_mean_probabilities_are_the_base_rates(real, probabilities):
    shares = cumulative_targets(real.last_use).mean(axis=0)
    assert np.abs(probabilities.mean(axis=0) - shares).max() < 0.02


def test_the_seed_decides_the_numbers(real, fit_some, some_probabilities):
    assert np.array_equal(some_probabilities, fit_some().predict_proba(real.X))
    networks = {"linear_share": 0.0, "linear_drugs": (), "forest_share": 0.0}
    for part in (networks, networks | {"forest_share": 1.0}):
        one, other = (fit_some(random_state=seed, **part).predict_proba(real.X) for seed in (1, 2))
        assert not np.allclose(one, other, atol=1e-4)


def test_fitting_and_predicting_leave_their_arguments_as_they_were(real):
    X, last_use = real.X, real.last_use
    # An array that may not be written to makes any change an error, even one that is undone.
    X.flags.writeable = last_use.flags.writeable = False
    pipeline = make_pipeline(QUICK.make_estimator(1)).fit(X[:200], last_use[:200])
    pipeline.predict_proba(X[:200])
    assert np.array_equal(X, real.X)
    assert np.array_equal(last_use, real.last_use)


def test_one_at_a_time_equals_all_at_once(real, fitted, probabilities):
    some = range(0, len(real), 40)
    singly = np.concatenate([fitted.predict_proba(real.X[i : i + 1]) for i in some])
    assert np.abs(singly - probabilities[::40]).max() < 1e-12


@pytest.mark.parametrize("code", [-1.0, 0.5, 99.0, np.nan])
@pytest.mark.parametrize("column", range(5))
def test_codes_that_do_not_exist_are_refused(real, fitted, column, code):
    X = real.X[:3]
    X[1, column] = code
    with pytest.raises(ValueError, match="unknown categories"):
        fitted.predict_proba(X)


def test_a_level_that_training_lacked_is_known(real):
    level = real.X[:, 4] == codebook.ETHNICITY.code("Mixed-Black/Asian")
    pipeline = make_pipeline(QUICK.make_estimator(1)).fit(real.X[~level][:200], real.last_use[~level][:200])
    assert np.isfinite(pipeline.predict_proba(real.X[level])).all()


def test_the_predictor_gives_the_numbers_of_the_pipeline(real, fitted, probabilities):
    predictor = Predictor(**fitted[-1].arrays())
    assert np.abs(predictor.predict_proba(real.X) - probabilities).max() < 1e-9
    singly = np.concatenate([predictor.predict_proba(real.X[i : i + 1]) for i in range(0, len(real), 10)])
    assert np.abs(singly - probabilities[::10]).max() < 1e-9


def test_the_loaded_predictor_gives_the_numbers_of_the_pipeline(real, fitted, probabilities, tmp_path):
    path = tmp_path / "network.npz"
    path.write_bytes(to_npz(fitted[-1].arrays()))
    assert np.abs(Predictor.load(path).predict_proba(real.X) - probabilities).max() < 1e-9


def test_inputs_that_are_left_out_change_nothing(real, fit_some):
    fitted = fit_some(leave_out=("gender", "ethnicity", "openness"))
    others = real.X.copy()
    for name in ("gender", "ethnicity", "openness"):
        column = codebook.INPUTS.index(name)
        others[:, column] = np.random.default_rng(0).permutation(others[:, column])
    assert np.array_equal(fitted.predict_proba(others), fitted.predict_proba(real.X))
    others[:, codebook.INPUTS.index("age")] = 0
    assert not np.allclose(fitted.predict_proba(others), fitted.predict_proba(real.X), atol=0.01)


def test_drugs_of_the_linear_model_are_linear_in_the_scores(fit_some):
    hidden = fit_some(linear_drugs=("lsd",), forest_share=0.0)[-1].outputs_.reshape(-1, 18, 6)
    assert not hidden[:, codebook.DRUGS.index("lsd")].any()
    assert hidden[:, codebook.DRUGS.index("alcohol")].any()


def test_the_forest_moves_probabilities_by_its_share(real, fit_some, some_probabilities):
    assert QUICK.forest_share == 0.2
    alone, a_little = (fit_some(forest_share=share).predict_proba(real.X) for share in (0.0, 0.1))
    little, much = np.abs(a_little - alone).mean(), np.abs(some_probabilities - alone).mean()
    assert 0.002 < little < much < 0.05


def test_estimators_follow_scikit_learn():
    estimator = QUICK.make_estimator(7)
    assert clone(estimator).get_params() == estimator.get_params()
    seed = next(name for name, value in estimator.get_params().items() if value == 7)
    assert clone(estimator).set_params(**{seed: 8}).get_params() != estimator.get_params()


def test_a_clone_is_not_fitted(fitted):
    assert not hasattr(clone(fitted)[-1], "inputs_")


def test_a_stored_pipeline_holds_no_respondent(fitted, records_in):
    assert records_in(skops.io.dumps(fitted)) == []


def test_the_stored_pipeline_needs_trust_only_in_drugpred(real, fitted, probabilities):
    stored = skops.io.dumps(fitted)
    types = skops.io.get_untrusted_types(data=stored)
    assert types
    assert all(name.startswith("drugpred.") for name in types)
    assert np.array_equal(skops.io.loads(stored, trusted=types).predict_proba(real.X), probabilities)
