"""The Python API: the same predictions as a server's, from a tag, a folder or the newest model."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from bentoml._internal.models import ModelStore
from pandas.testing import assert_frame_equal
from pydantic import ValidationError

import drugpred
from drugpred import model_store
from drugpred.codebook import DRUGS, INPUTS, SUPPORT_LEVELS, WINDOWS
from drugpred.errors import StoredModelError
from drugpred.model import Model
from drugpred.schemas import EXAMPLE, Prediction, Profile
from drugpred.scoring import Scorer
from drugpred.tabular import ColumnError
from tests.harness import ROOT

OTHER = EXAMPLE | {"age": "65+", "gender": "male", "openness": -2.1}


@pytest.fixture(scope="module")
def model(stored_model):
    return Model(stored_model)


@pytest.fixture
def frame():
    return pd.DataFrame([EXAMPLE, OTHER, EXAMPLE], index=["a", "b", "c"])


def expected_of(stored_model, *people):
    return stored_model.predictor.predict_proba(np.array([Profile.model_validate(person).row() for person in people]))


def test_a_folder_is_loaded_from_wherever_it_is_and_without_bentoml(stored_model, tmp_path):
    folder = shutil.copytree(stored_model.path, tmp_path / "copy")
    code = f"""
import sys, drugpred
from drugpred.schemas import EXAMPLE
model = drugpred.load({str(folder)!r})
print(model.tag, model.predict(EXAMPLE, drugs=["lsd"]).risks[0]["probability"])
print({{"bentoml", "pandas", "polars", "narwhals", "pyarrow", "sklearn"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    probability = expected_of(stored_model, EXAMPLE)[0, DRUGS.index("lsd"), WINDOWS.index("decade")]
    assert done.stdout == f"{stored_model.tag} {probability}\nset()\n", done.stderr


def test_the_newest_or_a_tag_is_loaded_from_the_store(stored_model, monkeypatch):
    models = ModelStore(stored_model.path.parents[1])
    monkeypatch.setattr(model_store, "resolve", models.get)
    assert drugpred.load().tag == drugpred.load(stored_model.tag).tag == stored_model.tag
    assert repr(drugpred.load()) == f"Model('{stored_model.tag}')"
    assert drugpred.load().card == stored_model.card


@pytest.mark.parametrize("file", ["model.yaml", "card.json", "network.npz", "SHA256SUMS"])
def test_a_folder_that_lacks_a_file_or_has_another_is_refused(stored_model, tmp_path, file):
    folder = shutil.copytree(stored_model.path, tmp_path / "copy")
    (folder / file).write_bytes(b"[]")
    with pytest.raises(StoredModelError):
        drugpred.load(folder)
    (folder / file).unlink()
    with pytest.raises(StoredModelError):
        drugpred.load(folder)
    with pytest.raises(StoredModelError, match="expected the folder of a stored model"):
        drugpred.load(tmp_path / "absent")


def test_a_profile_a_mapping_and_a_list_are_predicted_as_by_a_server(model, stored_model):
    (expected,) = Scorer(stored_model).predict([Profile.model_validate(EXAMPLE)])
    for person in (EXAMPLE, Profile.model_validate(EXAMPLE)):
        prediction = model.predict(person)
        assert prediction.model_copy(update={"prediction_id": expected.prediction_id}) == expected
    one, other = model.predict([EXAMPLE, Profile.model_validate(OTHER)])
    assert [risk["probability"] for risk in one.risks] == pytest.approx(
        [risk["probability"] for risk in expected.risks]
    )
    assert one.risks != other.risks
    assert model.predict([]) == []


def test_window_and_drugs_replace_those_of_the_profiles(model):
    person = Profile.model_validate(EXAMPLE | {"window": "day", "drugs": ["crack"]})
    (own, replaced) = model.predict(person), model.predict(person, window="year", drugs=["lsd", "alcohol"])
    assert (own.window, [risk["drug"] for risk in own.risks]) == ("day", ["crack"])
    assert (replaced.window, [risk["drug"] for risk in replaced.risks]) == ("year", ["alcohol", "lsd"])
    raw = Profile.model_validate(EXAMPLE | {"scale": "raw"} | dict.fromkeys(INPUTS[5:10], 40))
    assert model.predict(raw, window="year").risks != model.predict(EXAMPLE, window="year").risks


def test_a_malformed_profile_is_named_with_the_field_and_without_the_value(model):
    with pytest.raises(ValidationError, match=r"1\.age\s+expected a whole number from 18 to 120") as error:
        model.predict([EXAMPLE, EXAMPLE | {"age": 7654}])
    assert "7654" not in str(error.value)
    with pytest.raises(ValidationError, match="drugs"):
        model.predict(EXAMPLE, drugs=["cannabbis"])


def test_predictions_do_not_accumulate(model):
    model.predict(EXAMPLE)
    assert model._scorer.counter._noted == []


def test_a_frame_gets_each_drugs_probability_with_its_index(model, stored_model, frame):
    result = model.predict_proba(frame)
    expected = expected_of(stored_model, EXAMPLE, OTHER, EXAMPLE)[:, :, WINDOWS.index("decade")]
    assert_frame_equal(result, pd.DataFrame(expected, index=frame.index, columns=list(DRUGS)))
    some = model.predict_proba(frame, "week", ["lsd", "crack"])
    assert list(some) == ["crack", "lsd"]
    assert some["lsd"].tolist() == pytest.approx(
        expected_of(stored_model, EXAMPLE, OTHER, EXAMPLE)[:, DRUGS.index("lsd"), WINDOWS.index("week")]
    )


def test_all_windows_are_columns_of_drug_and_window(model, stored_model, frame):
    result = model.predict_proba(frame, None, "lsd")
    assert list(result) == [f"lsd_{window}" for window in WINDOWS]
    assert np.allclose(result, expected_of(stored_model, EXAMPLE, OTHER, EXAMPLE)[:, DRUGS.index("lsd")])


@pytest.mark.parametrize("convert", [pl.DataFrame, pa.Table.from_pylist])
def test_other_libraries_frames_are_answered_in_kind(model, frame, convert):
    given = convert([EXAMPLE | {"age": "25-34"}, OTHER])
    result = model.predict_proba(given)
    assert type(result) is type(given)
    assert np.allclose(np.column_stack([result[drug] for drug in DRUGS]), model.predict_proba(frame.iloc[:2]))


def test_any_number_of_rows_is_answered(model, frame):
    many = pd.concat([frame] * 7000, ignore_index=True)  # more than are predicted at once
    result = model.predict_proba(many, drugs=["cannabis"])
    assert result.index.equals(many.index)
    assert np.allclose(result["cannabis"], np.tile(model.predict_proba(frame, drugs=["cannabis"])["cannabis"], 7000))
    assert model.predict_proba(frame.iloc[:0]).shape == (0, 18)


@pytest.mark.parametrize("given", [{"window": "weak"}, {"drugs": ["cannabbis"]}, {"drugs": []}])
def test_an_unknown_window_or_drug_is_refused(model, frame, given):
    (name,) = given
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        model.predict_proba(frame, **given)


def test_a_wrong_row_is_refused_with_row_and_column(model, frame):
    with pytest.raises(ColumnError, match=r"^ethnicity, row 1: expected one of Asian"):
        model.explain(frame.assign(ethnicity=["White", "Secret", "White"]))


@pytest.mark.parametrize("window", ["decade", "day"])
def test_explanations_sum_up_to_the_log_odds(model, frame, window):
    result = model.explain(frame, window, ["lsd", "crack"])
    assert list(result) == [f"{drug}_{name}" for drug in ("crack", "lsd") for name in ("base", *INPUTS)]
    assert result.index.equals(frame.index)
    p = model.predict_proba(frame, window)["lsd"]
    total = result[[name for name in result if name.startswith("lsd_")]].sum(axis=1)
    assert np.allclose(total, np.log(p / (1 - p)))


def test_notebooks_show_predictions_the_model_and_its_card(model, stored_model):
    html = model.predict(EXAMPLE, window="year")._repr_html_()
    ranked = sorted(model.predict(EXAMPLE, window="year").risks, key=lambda risk: -risk["probability"])
    lengths = re.findall(r"width: ([\d.]+)%", html)
    assert lengths == [f"{100 * risk['probability']:.1f}" for risk in ranked]
    assert "within a year" in html
    assert "LSD" in html
    assert "use ever<" in model.predict(EXAMPLE, window="ever")._repr_html_()
    auc = f"AUC {stored_model.card.drugs['lsd']['decade'].auc:.3f}"
    assert auc in model.card._repr_html_()
    assert model._repr_html_() == model.card._repr_html_().replace("Model card", stored_model.tag)
    unmeasured = {window: of.model_copy(update={"auc": None}) for window, of in stored_model.card.drugs["lsd"].items()}
    card = stored_model.card.model_copy(update={"drugs": stored_model.card.drugs | {"lsd": unmeasured}})
    assert auc not in card._repr_html_()


def test_predictions_are_prediction_models(model):
    assert isinstance(model.predict(EXAMPLE), Prediction)


def test_a_frame_gets_bounds_and_support_on_request(model, stored_model, frame):
    result = model.predict_proba(frame, "year", ["lsd", "crack"], include=["support", "interval"])
    rows = np.array([Profile.model_validate(person).row() for person in (EXAMPLE, OTHER, EXAMPLE)])
    probabilities = stored_model.predictor.predict_proba(rows)
    low, high = stored_model.uncertainty.intervals(rows, probabilities)[..., WINDOWS.index("year")]
    support = stored_model.uncertainty.support(rows)
    expected = {}
    for drug in ("crack", "lsd"):
        i = DRUGS.index(drug)
        expected |= {drug: probabilities[:, i, 2], f"{drug}_low": low[:, i], f"{drug}_high": high[:, i]}
    expected |= {"similar": support.similar, "percentile": support.percentile}
    expected |= {"level": [SUPPORT_LEVELS[level] for level in support.level]}
    assert_frame_equal(result, pd.DataFrame(expected, index=frame.index), check_dtype=False)
    assert result["similar"].dtype == np.int64


def test_bounds_of_all_windows_are_next_to_their_probability(model, frame):
    result = model.predict_proba(frame, None, ["lsd"], include=["interval"])
    assert list(result) == [f"lsd_{window}{end}" for window in WINDOWS for end in ("", "_low", "_high")]
    assert model.predict_proba(frame.iloc[:0], include=["interval", "support"]).shape == (0, 57)


@pytest.mark.parametrize("convert", [pl.DataFrame, pa.Table.from_pylist])
def test_levels_of_support_are_texts_in_every_library(model, convert):
    result = model.predict_proba(convert([EXAMPLE | {"age": "25-34"}, OTHER]), drugs=["lsd"], include=["support"])
    assert set(np.array(result["level"]).tolist()) <= set(SUPPORT_LEVELS)


def test_additions_replace_those_of_the_profiles(model):
    asked = EXAMPLE | {"include": ["windows"], "drugs": ["lsd"]}
    (risk,) = model.predict(asked, include=["interval"]).risks
    assert "windows" not in risk
    assert risk["interval"]["low"] < risk["probability"] < risk["interval"]["high"]
    assert model.predict(asked).support is None
    assert model.predict(asked, include=["support"]).support["similar"] > 0


def test_an_unknown_addition_is_refused(model, frame):
    with pytest.raises(ValueError, match="include: expected some of"):
        model.predict_proba(frame, include=["windows"])
