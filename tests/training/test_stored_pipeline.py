"""The stored pipeline: what the served network is made of, loaded without trusting any other type."""

import hashlib

import numpy as np
import pytest
import skops.io
from skops.io.exceptions import UntrustedTypesFoundException

import drugpred


def test_the_stored_pipeline_is_loaded_with_its_types_trusted(stored_model, real):
    pipeline = drugpred.load_pipeline(stored_model.path)
    assert np.allclose(pipeline.predict_proba(real.X), stored_model.predictor.predict_proba(real.X), atol=1e-9)


def test_no_other_type_of_a_pipeline_is_trusted(copied_store, stored_model):
    class Stranger:
        pass

    folder = copied_store / stored_model.path.relative_to(stored_model.path.parents[2])
    before = (folder / "pipeline.skops").read_bytes()
    content = skops.io.dumps({"a": Stranger()})
    (folder / "pipeline.skops").write_bytes(content)
    sums = (folder / "SHA256SUMS").read_text()
    sums = sums.replace(hashlib.sha256(before).hexdigest(), hashlib.sha256(content).hexdigest())
    (folder / "SHA256SUMS").write_text(sums)
    with pytest.raises(UntrustedTypesFoundException, match="Stranger"):
        drugpred.load_pipeline(folder)
