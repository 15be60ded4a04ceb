"""What MLflow's model takes and returns, without a tracker: that is in test_tracking."""

from importlib.util import find_spec
from types import SimpleNamespace

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from drugpred.codebook import DRUGS, INPUTS
from drugpred.model import Model
from drugpred.schemas import EXAMPLE
from drugpred.training import tracking
from tests.harness import skip

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module", autouse=True)
def mlflow():
    if find_spec("mlflow") is None:
        skip("no MLflow: pip install -e '.[track]'")
    return tracking._import()


def test_its_columns_are_named_and_typed():
    signature = tracking._signature()
    assert signature.inputs.input_names() == list(INPUTS)
    assert [str(kind) for kind in signature.inputs.input_types()] == (
        ["Any"] + 4 * ["DataType.string"] + 7 * ["DataType.double"]
    )
    assert signature.outputs.input_names() == list(DRUGS)
    parameters = {param.name: param.default for param in signature.params}
    assert parameters == {"window": "decade", "scale": "standardized"}


@pytest.mark.parametrize("age", [25, "25-34"])
def test_rows_of_a_profiles_values_are_in_its_schema(age):
    from mlflow.models.utils import _enforce_schema

    people = pd.DataFrame([EXAMPLE | {"age": age, "comment": "left out"}])
    assert _enforce_schema(people, tracking._signature().inputs).iloc[0].to_dict() == EXAMPLE | {"age": age}


def test_it_predicts_as_the_stored_model(stored_model):
    from drugpred.training.mlflow_model import DrugModel

    model = DrugModel()
    model.load_context(SimpleNamespace(artifacts={"model": str(stored_model.path)}))
    people = pd.DataFrame([EXAMPLE])
    assert_frame_equal(model.predict(None, people), Model(stored_model).predict_proba(people))
    by_week = model.predict(None, people, {"window": "week", "scale": "standardized"})
    assert_frame_equal(by_week, Model(stored_model).predict_proba(people, "week"))
