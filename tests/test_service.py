"""The Bento's service: its endpoint methods predict."""

import asyncio
import importlib.util
import json

import pytest

from drugpred.schemas import EXAMPLE, Profile
from drugpred.serving import patches
from tests.harness import ROOT
from tests.harness.store import using


@pytest.fixture
def service(monkeypatch, store):
    """Yield an instance of the service, in a process that keeps the packages as they are."""
    monkeypatch.setattr(patches, "apply", lambda: None)
    spec = importlib.util.spec_from_file_location("service", ROOT / "service.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with using(store):
        yield module.DrugPrediction.inner()


def test_endpoint_methods_predict(service, stored_model):
    async def ask():
        one = await service.predict(Profile(**EXAMPLE))
        many = await service.predict_batch([Profile(**EXAMPLE)] * 2)
        return json.loads(one.body), json.loads(many.body)

    one, many = asyncio.run(ask())
    assert one["model"] == stored_model.tag
    probabilities = [risk["probability"] for risk in one["risks"]]
    for answer in many:
        assert [risk["probability"] for risk in answer["risks"]] == pytest.approx(probabilities, abs=1e-9)
