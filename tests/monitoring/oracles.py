"""The population stability index against evidently's, which wants an older pandas: in an environment of its own.

pip install -e '.[oracles]' && pytest -W ignore tests/monitoring/oracles.py
"""

import numpy as np
import pandas as pd
import pytest
from evidently import Report
from evidently.metrics import ValueDrift

from drugpred.codebook import CATEGORIES, INPUTS
from drugpred.data.distribution_shift import shift
from drugpred.monitoring import drift


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda category: category.name)
def test_the_index_is_that_of_evidently(category, real):
    rng = np.random.default_rng(1)
    place = INPUTS.index(category.name)
    now, then = shift(real.X, category.name, 0.5, rng)[:, place].astype(int), real.X[:, place].astype(int)
    # It adds to empty bins only, which matters with few profiles.
    common = [code for code in range(len(category.labels)) if min((now == code).sum(), (then == code).sum()) >= 30]
    now, then = now[np.isin(now, common)], then[np.isin(then, common)]
    frames = [pd.DataFrame({"level": [category.labels[code] for code in codes]}) for codes in (now, then)]
    (found,) = Report([ValueDrift(column="level", method="psi")]).run(*frames).dict()["metrics"]
    counts, reference = (np.bincount(codes)[common] for codes in (now, then))
    assert drift.population_stability_index(counts, reference) == pytest.approx(
        float(found["value"]), rel=0.02, abs=0.002
    )
