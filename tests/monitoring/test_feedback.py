"""Feedback is checked in full before it is counted, and counted once."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from drugpred.codebook import DRUGS
from drugpred.monitoring import tokens as module
from drugpred.monitoring.feedback import Accepted, Collector
from drugpred.monitoring.refusals import (
    ExpiredError,
    FailedError,
    FeedbackError,
    ForeignError,
    ForgedError,
    MalformedError,
    RepeatedError,
)
from drugpred.monitoring.seen import SeenFile
from drugpred.monitoring.tokens import LENGTH, MOST_AGE, Tokens, asked, new_key
from drugpred.serving.entrance import LONGEST

KEY = new_key()
LATER = time.time() + MOST_AGE + 1000


@pytest.fixture
def seen(tmp_path):
    with_file = SeenFile(tmp_path)
    yield with_file
    with_file.close()


@pytest.fixture
def tokens(bundle):
    return Tokens.of(KEY, bundle)


@pytest.fixture
def collector(bundle, seen, tokens):
    return Collector(tokens, seen, bundle.card)


@pytest.fixture
def sign(tokens):
    def of(*drugs, by=tokens):
        return by.sign(np.full((1, 18, 6), 0.3), [asked("month", frozenset(drugs or DRUGS))])[0]

    return of


def body(token, **outcomes):
    return json.dumps({"prediction_id": token, "outcomes": outcomes or {"lsd": True}}).encode()


def counted():
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and family.name.removeprefix("drugpred_") in {"feedback", "outcomes", "brier"}
    }


def refused(collector, content):
    """Return the error of what is refused, and what was counted."""
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


def test_labels_are_told_at_the_cards_threshold_of_the_window(collector, bundle, tokens):
    threshold = bundle.card.drugs["cannabis"]["month"].threshold
    before = counted()
    for probability in (threshold - 0.001, threshold + 0.001):
        (token,) = tokens.sign(np.full((1, 18, 6), probability), [asked("month", frozenset(["cannabis"]))])
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
def test_malformed_feedback_is_refused_where_it_is_and_can_be_sent_again(collector, sign, content, loc):
    token = sign()
    error, added = refused(collector, content.replace(b"TOKEN", token.encode()))
    assert isinstance(error, MalformedError)
    assert added == {("drugpred_feedback_total", "malformed"): 1}
    assert error.details[0].loc == loc
    shown = str(error) + "".join(detail.model_dump_json() for detail in error.details)
    assert "marked" not in shown
    assert token not in shown
    assert collector.take(body(token)).accepted == 1


def test_drugs_that_were_not_asked_for_are_refused(collector, sign):
    token = sign("lsd", "crack")
    error, added = refused(collector, body(token, lsd=True, cannabis=True))
    assert isinstance(error, MalformedError)
    assert (error.details[0].loc, added) == (["outcomes", "cannabis"], {("drugpred_feedback_total", "malformed"): 1})
    assert collector.take(body(token, lsd=True, crack=True)).accepted == 2


def test_the_longest_feedback_is_well_within_the_bound(collector, sign):
    content = json.dumps(json.loads(body(sign(), **dict.fromkeys(DRUGS, False))), indent=8).encode()
    assert 2 * len(content) < LONGEST["/feedback"]
    assert collector.take(content).accepted == 18


def test_tokens_that_are_not_true_are_refused(collector, sign, bundle, monkeypatch):
    cases = [
        (ForgedError, "forged", "A" * LENGTH),
        (ForgedError, "forged", sign(by=Tokens.of(new_key(), bundle))),
        (ForeignError, "foreign", sign(by=Tokens.of(KEY, replace(bundle, tag="drug_consumption:other")))),
        (ExpiredError, "expired", sign()),
    ]
    for kind, result, token in cases:
        if kind is ExpiredError:
            monkeypatch.setattr(module.time, "time", lambda: LATER)
        error, added = refused(collector, body(token))
        assert type(error) is kind
        assert (error.details[0].loc, error.details[0].type) == (["prediction_id"], result)
        assert added == {("drugpred_feedback_total", result): 1}
        assert token not in error.details[0].msg


def test_feedback_counts_once(collector, sign):
    token = sign()
    collector.take(body(token, lsd=True))
    for outcomes in ({"lsd": True}, {"lsd": False}, {"crack": True}):
        error, added = refused(collector, body(token, **outcomes))
        assert isinstance(error, RepeatedError)
        assert added == {("drugpred_feedback_total", "repeated"): 1}


def test_what_another_worker_counted_is_refused(collector, sign, bundle, tmp_path):
    token = sign()
    seen = SeenFile(tmp_path)
    Collector(Tokens.of(f"{new_key()},{KEY}", bundle), seen, bundle.card).take(body(token))
    seen.close()
    assert isinstance(refused(collector, body(token))[0], RepeatedError)


def test_nothing_is_lost_where_the_disk_fails(bundle, tokens, sign, tmp_path):
    (tmp_path / "folder").write_text("a file")
    seen = SeenFile(tmp_path / "folder")
    collector = Collector(tokens, seen, bundle.card)
    token = sign()
    for _ in range(2):
        error, added = refused(collector, body(token))
        assert isinstance(error, FailedError)
        assert added == {("drugpred_feedback_total", "failed"): 1}
    (tmp_path / "folder").unlink()
    assert collector.take(body(token)).accepted == 1
    seen.close()


def test_faults_are_counted_as_such(bundle, tokens, sign):
    class Broken:
        def first(self, nonce, until):
            raise ZeroDivisionError

    before = counted().get(("drugpred_feedback_total", "failed"), 0)
    with pytest.raises(ZeroDivisionError):
        Collector(tokens, Broken(), bundle.card).take(body(sign()))
    assert counted()["drugpred_feedback_total", "failed"] == before + 1


@given(
    content=st.binary()
    | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(repr).map(str.encode)
)
def test_rubbish_is_refused(bundle, content):
    collector = Collector(Tokens.of(KEY, bundle), None, bundle.card)
    with pytest.raises(MalformedError):
        collector.take(content)
