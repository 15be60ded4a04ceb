"""The published table, as the card and the comparison cite it."""

import pytest

from drugpred.codebook import DRUGS
from drugpred.training.published import PUBLISHED, Published


def test_every_drug_has_its_row():
    assert tuple(PUBLISHED) == DRUGS
    assert PUBLISHED["cannabis"] == Published("DT", 6, 79.29, 80.00)
    assert PUBLISHED["volatile_substances"] == Published("DT", 6, 83.48, 77.64)


def test_the_sums_have_the_known_mean():
    sums = [published.sensitivity + published.specificity for published in PUBLISHED.values()]
    assert sum(sums) / 18 == pytest.approx(153.49, abs=0.005)
    assert all(1 <= published.n_features <= 10 for published in PUBLISHED.values())
