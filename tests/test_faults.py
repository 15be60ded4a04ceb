"""The eight faults of the system that this one takes the place of, each with what keeps it out."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from drugpred.codebook import CATEGORIES, COUNTRY, DRUGS, EDUCATION, ETHNICITY, INPUTS, SCORES, WINDOWS, describe
from drugpred.data.respondents import read
from drugpred.errors import DataError
from drugpred.schemas import EXAMPLE, Profile
from drugpred.training import configuration
from drugpred.training.classification_metrics import METRICS
from drugpred.training.estimators import make_pipeline
from drugpred.training.per_drug import PerDrug, logistic

TESTS = Path(__file__).parent
CANNABIS, DECADE = DRUGS.index("cannabis"), WINDOWS.index("decade")


@pytest.fixture(scope="module")
def pipeline(stored_model):
    """The pipeline as it is stored."""
    path = stored_model.path / "pipeline.skops"
    return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))


def test_1_fitting_leaves_the_data_as_they_were(real):
    some = type(real)(real.frame.iloc[::6].copy(), real.source, real.sha256)
    before, X, last_use = some.frame.copy(), some.X, some.last_use
    quick = configuration.read(TESTS / "quick.yaml").make_estimator()
    make_pipeline(quick).fit(X, last_use)
    assert some.frame.equals(before)
    assert np.array_equal(X, before[list(INPUTS)])
    assert np.array_equal(last_use, before[list(DRUGS)])


def test_2_no_label_falls_to_unknown(uci_path, decoded_path, tmp_path):
    label = "Professional certificate/ diploma"
    counts = [(read(path).frame["education"] == EDUCATION.codes[label]).sum() for path in (uci_path, decoded_path)]
    assert counts == [270, 269]
    misspelled = tmp_path / "misspelled.csv"
    misspelled.write_text(
        decoded_path.read_text(encoding="utf-8").replace(label, "Professional card"), encoding="utf-8"
    )
    with pytest.raises(
        DataError, match=r"line 3, column education: expected one of .*Professional certificate/ diploma"
    ):
        read(misspelled)


def test_3_age_is_used(real, stored_model):
    users = real.last_use[:, CANNABIS] > DECADE
    permuted = real.X
    permuted[:, INPUTS.index("age")] = np.random.default_rng(0).permutation(permuted[:, INPUTS.index("age")])
    with_age, without = (
        roc_auc_score(users, stored_model.predictor.predict_proba(X)[:, CANNABIS, DECADE]) for X in (real.X, permuted)
    )
    assert with_age - without > 0.01


def test_4_one_at_a_time_is_encoded_as_all_at_once(real, stored_model, pipeline):
    together = stored_model.predictor.predict_proba(real.X)
    for predict in (stored_model.predictor.predict_proba, pipeline.predict_proba):
        singly = np.concatenate([predict(real.X[i : i + 1]) for i in range(0, 1885, 39)])
        assert np.abs(singly - together[::39]).max() < 1e-9


@pytest.mark.parametrize("category", [COUNTRY, ETHNICITY], ids=lambda category: category.name)
def test_4_country_and_ethnicity_matter_to_a_single_respondent(real, stored_model, category):
    one = real.X[:1]
    answers = set()
    for code in range(len(category.labels)):
        one[0, INPUTS.index(category.name)] = code
        answers.add(stored_model.predictor.predict_proba(one)[0, CANNABIS, DECADE])
    assert len(answers) == len(category.labels)


def test_5_a_request_has_the_names_of_the_model_inputs(real, stored_model):
    assert tuple(EXAMPLE) == INPUTS == stored_model.card.inputs
    for row in real.X[::100]:
        request = describe(row.tolist())
        assert Profile(**dict(reversed(request.items()))).row() == row.tolist()


@pytest.mark.parametrize("name", INPUTS)
def test_5_a_request_without_an_input_is_refused(name):
    with pytest.raises(ValidationError) as caught:
        Profile(**{key: value for key, value in EXAMPLE.items() if key != name})
    assert [error["loc"] for error in caught.value.errors()] == [(name,)]


def test_6_every_real_respondent_is_accepted(real):
    rows = [Profile(**describe(row.tolist())).row() for row in real.X]
    assert np.array_equal(rows, real.X)


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda category: category.name)
@pytest.mark.parametrize("value", ["Atlantis", "", None, 3, float("nan")])
def test_6_unknown_categories_are_refused(category, value):
    with pytest.raises(ValidationError):
        Profile(**EXAMPLE | {category.name: value})


@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.name)
def test_6_scores_beyond_the_possible_are_refused(score):
    for value in (score.lowest - 0.001, score.highest + 0.001):
        with pytest.raises(ValidationError):
            Profile(**EXAMPLE | {score.name: value})


def test_7_nothing_stored_holds_a_respondent(stored_model, pipeline, records_in):
    stored = [path for path in stored_model.path.rglob("*") if path.is_file()]
    assert len(stored) >= 6
    assert [path.name for path in stored if records_in(path.read_bytes())] == []
    assert not any(hasattr(step, "fit_resample") for step in pipeline)


@pytest.mark.parametrize("sampler", ["smote", "smotenc", "undersampling"])
def test_7_a_model_of_resampled_respondents_keeps_none_of_them(real, records_in, sampler):
    last_use = np.zeros_like(real.last_use[:300])
    last_use[:, CANNABIS] = real.last_use[:300, CANNABIS]  # nothing is fitted for drugs that nobody uses
    estimator = PerDrug(logistic(5), sampler, recalibrate=True, windows=("decade",))
    fitted = make_pipeline(estimator).fit(real.X[:300], last_use)
    stored = skops.io.dumps(fitted)
    assert records_in(stored) == []
    assert b"imblearn" not in b"".join(zipfile.ZipFile(io.BytesIO(stored)).read(name) for name in ("schema.json",))


def test_8_no_figure_comes_without_its_error(stored_model):
    card, folds = stored_model.card, configuration.read(TESTS / "quick.yaml").cross_validation
    for name, value in card.overall.items():
        low, high = card.overall_intervals[name]
        assert low < value < high
        assert len(card.folds[name]) == folds.folds * folds.repeats > 1
    for windows in card.drugs.values():
        assert set(windows["decade"].intervals) == {*METRICS, "calibration_error"}
    # The score that the majority class decides is not among them.
    assert not [name for name in (*card.overall, *METRICS) if "f1" in name or name == "accuracy"]


def test_8_figures_come_of_many_folds_and_cover_both_classes(stored_model):
    default = configuration.read(TESTS.parent / "configs" / "train.yaml").cross_validation
    assert default.folds * default.repeats >= 15
    for windows in stored_model.card.drugs.values():
        card = windows["decade"]
        assert card.threshold == card.base_rate != 0.5
        # With .5 for everything, the model would call everybody a user of what most use, and nobody of what few use.
        assert card.sensitivity > 0.4
        assert card.specificity > 0.4
        assert None not in (card.auc, card.log_loss, card.brier, card.calibration_error)
    cannabis = stored_model.card.drugs["cannabis"]["decade"]
    assert cannabis.sensitivity != cannabis.specificity
