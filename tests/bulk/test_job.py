"""The precision of the output."""

from io import StringIO

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from rich.console import Console

from drugpred.bulk.run import Options, plan, score
from drugpred.codebook import DECADE, DRUGS


@pytest.mark.parametrize(
    ("exact", "kind", "tolerance"), [(False, pa.float32(), 1e-6), (True, pa.float64(), 1e-12)], ids=["single", "exact"]
)
@pytest.mark.parametrize("include", [(), ("interval",)], ids=["alone", "interval"])
def test_probabilities_are_single_unless_exact(people, table, write, model, tmp_path, exact, kind, tolerance, include):
    output = tmp_path / "out.parquet"
    options = Options(DRUGS, "decade", "standardized", include, exact=exact)
    score(plan(write("in.parquet", table(people)), output, model, options), Console(file=StringIO()))
    written = parquet.read_table(output)
    _, *fields = written.schema
    assert {(field.type, field.nullable) for field in fields} == {(kind, False)}
    found = np.column_stack([written[drug].to_numpy() for drug in DRUGS])
    assert np.abs(found - model.predictor.predict_proba(people)[:, :, DECADE]).max() < tolerance
