"""Respondents with labels: the same people as with codes."""

import numpy as np
import pytest

import drugpred
from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, LAST_USE_LABELS, SCORES
from drugpred.data.labelled import load_data
from drugpred.data.respondents import simulate
from drugpred.errors import DataError
from drugpred.frames import rows_of


@pytest.fixture(scope="module")
def data(uci_path):
    return load_data(uci_path)


def test_the_real_respondents_have_labels_for_codes(data, real):
    assert list(data) == [*INPUTS, *DRUGS, "semeron"]
    assert data.index.equals(real.frame.index)
    for category in CATEGORIES:
        assert data[category.name].value_counts().reindex(category.labels).tolist() == list(category.counts)
    for score in SCORES:
        assert data[score.name].equals(real.frame[score.name])
    used = data["lsd"] >= "last decade"
    assert used.equals(real.frame["lsd"] >= 2)
    assert tuple(data["lsd"].cat.categories) == LAST_USE_LABELS


def test_labels_are_ordered_where_levels_are(data):
    assert {name for name in INPUTS if getattr(data[name].dtype, "ordered", False)} == {"age", "education"}


def test_a_model_takes_them(data, real):
    assert np.array_equal(rows_of(data), real.X)


def test_the_file_may_be_named_by_the_environment(uci_path, monkeypatch, data):
    monkeypatch.setenv("DRUGPRED_DATA", str(uci_path))
    assert drugpred.load_data().equals(data)


def test_a_malformed_file_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("1,2\n")
    with pytest.raises(DataError):
        load_data(str(tmp_path / "x.csv"))


def test_respondents_are_drawn_as_by_the_cohort():
    drawn = drugpred.simulate(50, seed=3)
    assert np.array_equal(rows_of(drawn), simulate(50, 3).X)
    assert drawn["cannabis"].cat.codes.tolist() == simulate(50, 3).frame["cannabis"].tolist()
    assert drawn.iloc[:20].equals(drugpred.simulate(20, 3))
    assert not drawn.equals(drugpred.simulate(50))
