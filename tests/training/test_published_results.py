"""The published table, as the card and the comparison cite it."""

import pytest

from drugpred.codebook import DRUGS
from drugpred.training.published_results import PUBLISHED, WHY_OPTIMISTIC, PublishedResult, published_table


def test_every_drug_has_its_row():
    assert tuple(PUBLISHED) == DRUGS
    assert PUBLISHED["cannabis"] == PublishedResult("DT", 6, 79.29, 80.00)
    assert PUBLISHED["volatile_substances"] == PublishedResult("DT", 6, 83.48, 77.64)


def test_the_sums_have_the_known_mean():
    sums = [published.sensitivity + published.specificity for published in PUBLISHED.values()]
    assert sum(sums) / 18 == pytest.approx(153.49, abs=0.005)
    assert all(1 <= published.n_features <= 10 for published in PUBLISHED.values())


def test_published_figures_are_next_to_ours(stored_model):
    table = published_table(stored_model.card)
    assert [row[0] for row in table.rows] == [*DRUGS, "mean"]
    assert table.note == WHY_OPTIMISTIC
    cannabis = table.rows[DRUGS.index("cannabis")]
    ours = stored_model.card.drugs["cannabis"]["decade"]
    assert cannabis[1:4] == ("79.3", "80.0", "159.3")
    assert [float(text) for text in cannabis[4:6]] == pytest.approx(
        [100 * ours.sensitivity, 100 * ours.specificity], abs=0.051
    )
    total = 100 * (ours.sensitivity + ours.specificity)
    assert float(cannabis[6]) == pytest.approx(total, abs=0.07)
    low, high = map(float, cannabis[7].split(" to "))
    assert low < total < high
    assert table.rows[-1][3] == "153.5"
    assert float(table.rows[-1][6]) == pytest.approx(stored_model.card.overall["decade_sens_spec"], abs=0.06)


def test_a_figure_that_could_not_be_measured_is_a_dash(stored_model):
    card = stored_model.card.model_copy(deep=True)
    windows = card.drugs["crack"]
    windows["decade"] = windows["decade"].model_copy(
        update={"sensitivity": None, "specificity": None, "balanced_accuracy": None, "intervals": {}}
    )
    table = published_table(card)
    assert table.rows[DRUGS.index("crack")][4:] == ("-", "-", "-", "-")
    assert float(table.rows[-1][6]) > 100
