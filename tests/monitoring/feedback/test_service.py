"""Feedback is checked in full before it is counted, and counted once."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drugpred.codebook import DRUGS
from drugpred.errors import (
    DuplicateFeedbackError,
    ExpiredPredictionError,
    FeedbackError,
    InvalidFeedbackError,
    InvalidSignatureError,
    StoreUnavailableError,
    WrongModelError,
)
from drugpred.monitoring.feedback import prediction_id as module
from drugpred.monitoring.feedback.dedup import SqliteTokenStore
from drugpred.monitoring.feedback.prediction_id import MAX_AGE, TOKEN_LENGTH, PredictionIdSigner, new_key
from drugpred.monitoring.feedback.service import Accepted, FeedbackService
from drugpred.selection import select
from drugpred.serving import endpoints
from tests.harness.metrics import samples

KEY = new_key()
LATER = time.time() + MAX_AGE + 86400  # and not sooner: tests run long after they are collected


@pytest.fixture
def seen(tmp_path):
    with_file = SqliteTokenStore(tmp_path)
    yield with_file
    with_file.close()


@pytest.fixture
def tokens(stored_model):
    return PredictionIdSigner.of(KEY, stored_model)


@pytest.fixture
def collector(stored_model, seen, tokens):
    return FeedbackService(tokens, seen, stored_model.card)


@pytest.fixture
def sign(tokens):
    def of(*drugs, by=tokens):
        return by.sign(np.full((1, 18, 6), 0.3), [select("month", frozenset(drugs or DRUGS))])[0]

    return of


def body(token, **outcomes):
    return json.dumps({"prediction_id": token, "outcomes": outcomes or {"lsd": True}}).encode()


def counted():
    counters = samples("feedback", "outcomes", "brier")
    return {(sample.name, *sample.labels.values()): sample.value for sample in counters}


def refused(collector, content):
    """Return the error of a refusal, and the counts."""
    before = counted()
    with pytest.raises(FeedbackError) as caught:
        collector.take(content)
    after = counted()
    return caught.value, {
        key: value - before.get(key, 0) for key, value in after.items() if value != before.get(key, 0)
    }


def test_outcomes_are_counted(collector, sign):
    before = counted()
    assert collector.take(body(sign(), lsd=True, crack=False, cannabis=True)) == Accepted(accepted=3)
    assert collector.take(body(sign("lsd"), lsd=False)) == Accepted(accepted=1)
    assert collector.take(body(sign(), **dict.fromkeys(DRUGS, False))) == Accepted(accepted=18)
    added = {key: value - before.get(key, 0) for key, value in counted().items()}
    assert added["drugpred_feedback_total", "accepted"] == 3
    assert sum(value for (name, *_), value in added.items() if name == "drugpred_outcomes_total") == 22
    assert added["drugpred_outcomes_total", "lsd", "month", "High Risk", "used"] == 1


def test_labels_use_the_cards_threshold_of_the_window(collector, stored_model, tokens):
    threshold = stored_model.card.drugs["cannabis"]["month"].threshold
    before = counted()
    for probability in (threshold - 0.001, threshold + 0.001):
        (token,) = tokens.sign(np.full((1, 18, 6), probability), [select("month", frozenset(["cannabis"]))])
        collector.take(body(token, cannabis=True))
    for label in ("High Risk", "Low Risk"):
        key = ("drugpred_outcomes_total", "cannabis", "month", label, "used")
        assert counted()[key] - before.get(key, 0) == 1


@pytest.mark.parametrize(
    ("content", "loc"),
    [
        (b"", []),
        (b"marked", []),
        (b"\xff\xfe", []),
        (b"[]", []),
        (b"null", []),
        (b'{"prediction_id": "TOKEN"}', ["outcomes"]),
        (b'{"outcomes": {"lsd": true}}', ["prediction_id"]),
        (b'{"prediction_id": null, "outcomes": {"lsd": true}}', ["prediction_id"]),
        (b'{"prediction_id": 7, "outcomes": {"lsd": true}}', ["prediction_id"]),
        (b'{"prediction_id": "marked", "outcomes": {"lsd": true}}', ["prediction_id"]),
        (b'{"prediction_id": "TOKENA", "outcomes": {"lsd": true}}', ["prediction_id"]),
        ('{"prediction_id": "éOKEN", "outcomes": {"lsd": true}}'.encode(), ["prediction_id"]),
        (b'{"prediction_id": "TOKEN\\n", "outcomes": {"lsd": true}}', ["prediction_id"]),
        (b'{"prediction_id": "TOKEN", "outcomes": {}}', ["outcomes"]),
        (b'{"prediction_id": "TOKEN", "outcomes": []}', ["outcomes"]),
        (b'{"prediction_id": "TOKEN", "outcomes": {"marked": true}}', ["outcomes"]),
        (b'{"prediction_id": "TOKEN", "outcomes": {"lsd": true, "LSD": true}}', ["outcomes"]),
        *(
            (b'{"prediction_id": "TOKEN", "outcomes": {"lsd": %b}}' % value, ["outcomes", "lsd"])
            for value in (b"1", b"0", b'"true"', b"null", b"1.0", b"NaN", b"Infinity", b"[]", b"{}")
        ),
        (b'{"prediction_id": "TOKEN", "outcomes": {"lsd": true}, "marked": "marked"}', []),
    ],
)
def test_malformed_feedback_is_refused_with_its_place_and_can_be_sent_again(collector, sign, content, loc):
    token = sign()
    error, added = refused(collector, content.replace(b"TOKEN", token.encode()))
    assert isinstance(error, InvalidFeedbackError)
    assert added == {("drugpred_feedback_total", "malformed"): 1}
    assert list(error.details[0].loc) == loc
    shown = str(error) + str(error.details)
    assert "marked" not in shown
    assert token not in shown
    assert collector.take(body(token)).accepted == 1


def test_drugs_that_were_not_asked_for_are_refused(collector, sign):
    token = sign("lsd", "crack")
    error, added = refused(collector, body(token, lsd=True, cannabis=True))
    assert isinstance(error, InvalidFeedbackError)
    assert (list(error.details[0].loc), added) == (
        ["outcomes", "cannabis"],
        {("drugpred_feedback_total", "malformed"): 1},
    )
    assert collector.take(body(token, lsd=True, crack=True)).accepted == 2


def test_the_longest_feedback_is_well_within_the_bound(collector, sign):
    content = json.dumps(json.loads(body(sign(), **dict.fromkeys(DRUGS, False))), indent=8).encode()
    assert 2 * len(content) < endpoints.find("/feedback").max_body_bytes
    assert collector.take(content).accepted == 18


def test_tokens_that_are_not_true_are_refused(collector, sign, stored_model, monkeypatch):
    cases = [
        (InvalidSignatureError, "forged", "A" * TOKEN_LENGTH),
        (InvalidSignatureError, "forged", sign(by=PredictionIdSigner.of(new_key(), stored_model))),
        (
            WrongModelError,
            "foreign",
            sign(by=PredictionIdSigner.of(KEY, replace(stored_model, tag="drug_consumption:other"))),
        ),
        (ExpiredPredictionError, "expired", sign()),
    ]
    for kind, result, token in cases:
        if kind is ExpiredPredictionError:
            monkeypatch.setattr(module.time, "time", lambda: LATER)
        error, added = refused(collector, body(token))
        assert type(error) is kind
        assert (list(error.details[0].loc), error.details[0].type) == (["prediction_id"], result)
        assert added == {("drugpred_feedback_total", result): 1}
        assert token not in error.details[0].msg


def test_feedback_counts_once(collector, sign):
    token = sign()
    collector.take(body(token, lsd=True))
    for outcomes in ({"lsd": True}, {"lsd": False}, {"crack": True}):
        error, added = refused(collector, body(token, **outcomes))
        assert isinstance(error, DuplicateFeedbackError)
        assert added == {("drugpred_feedback_total", "repeated"): 1}


def test_feedback_counted_by_another_worker_is_refused(collector, sign, stored_model, tmp_path):
    token = sign()
    seen = SqliteTokenStore(tmp_path)
    FeedbackService(PredictionIdSigner.of(f"{new_key()},{KEY}", stored_model), seen, stored_model.card).take(
        body(token)
    )
    seen.close()
    assert isinstance(refused(collector, body(token))[0], DuplicateFeedbackError)


def test_nothing_is_lost_where_the_disk_fails(stored_model, tokens, sign, tmp_path):
    (tmp_path / "folder").write_text("a file")
    seen = SqliteTokenStore(tmp_path / "folder")
    collector = FeedbackService(tokens, seen, stored_model.card)
    token = sign()
    for _ in range(2):
        error, added = refused(collector, body(token))
        assert isinstance(error, StoreUnavailableError)
        assert added == {("drugpred_feedback_total", "failed"): 1}
    (tmp_path / "folder").unlink()
    assert collector.take(body(token)).accepted == 1
    seen.close()


def test_faults_are_counted_as_such(stored_model, tokens, sign):
    class Broken:
        def add_if_new(self, nonce, until):
            raise ZeroDivisionError

    before = counted().get(("drugpred_feedback_total", "failed"), 0)
    with pytest.raises(ZeroDivisionError):
        FeedbackService(tokens, Broken(), stored_model.card).take(body(sign()))
    assert counted()["drugpred_feedback_total", "failed"] == before + 1


@given(
    content=st.binary()
    | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(repr).map(str.encode)
)
def test_rubbish_is_refused(stored_model, content):
    collector = FeedbackService(PredictionIdSigner.of(KEY, stored_model), None, stored_model.card)
    with pytest.raises(InvalidFeedbackError):
        collector.take(content)
