"""PredictionIdSigner carry an answer, and nothing that was not signed passes for one."""

import base64
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drugpred.codebook import DRUGS, WINDOWS
from drugpred.errors import (
    ConfigurationError,
    ExpiredPredictionError,
    InvalidSignatureError,
    StoreUnavailableError,
    WrongModelError,
)
from drugpred.monitoring.feedback import prediction_id
from drugpred.monitoring.feedback.prediction_id import (
    CLOCK_SKEW,
    MAX_AGE,
    TOKEN_LENGTH,
    PredictionIdSigner,
    new_key,
)
from drugpred.selection import select

TAG = "drug_consumption:one"
KEY = new_key()
THRESHOLDS = np.random.default_rng(7).uniform(0.001, 0.999, (18, 6))
EVERYTHING = select("decade", frozenset(DRUGS))
HALF_A_CELL = 0.5 / 65534 + 1e-15


def made_with(keys, tag=TAG):
    return PredictionIdSigner(keys, tag, THRESHOLDS)


MINE = made_with(KEY)


def signed(of=MINE, what=EVERYTHING, seed=0):
    return of.sign(np.random.default_rng(seed).random((1, 18, 6)), [what])[0]


@pytest.fixture
def at(monkeypatch):
    """Set the clock, in seconds from now."""
    now = int(time.time())
    return lambda seconds: monkeypatch.setattr(prediction_id.time, "time", lambda: now + seconds)


PROBABILITIES = st.lists(st.floats(0, 1), min_size=108, max_size=108)
QUESTIONS = st.tuples(st.sampled_from(WINDOWS), st.frozensets(st.sampled_from(DRUGS), min_size=1))


@given(st.lists(st.tuples(PROBABILITIES, QUESTIONS), min_size=1, max_size=3))
def test_a_token_contains_the_answer_and_nothing_else(answers):
    probabilities = np.array([values for values, _ in answers]).reshape(-1, 18, 6)
    before = int(time.time())
    made = MINE.sign(probabilities, [select(*question) for _, question in answers])
    assert len(made) == len(answers)
    for token, values, (_, (window, drugs)) in zip(made, probabilities, answers, strict=True):
        claim = MINE.verify(token)
        assert claim.window == window
        assert list(claim.probabilities) == [drug for drug in DRUGS if drug in drugs]
        assert before <= claim.issued <= time.time()
        assert claim.until == claim.issued + MAX_AGE
        for drug, probability in claim.probabilities.items():
            assert abs(probability - values[DRUGS.index(drug), WINDOWS.index(window)]) <= HALF_A_CELL
            assert 0 < probability < 1


def test_probabilities_that_were_not_asked_for_leave_no_trace():
    content = base64.urlsafe_b64decode(signed(what=select("week", frozenset(["lsd"]))))
    cells = np.frombuffer(content[20:56], "<u2")
    assert np.flatnonzero(cells).tolist() == [DRUGS.index("lsd")]


def test_rounding_is_not_biased():
    values = np.random.default_rng(1).uniform(0.001, 0.1, (500, 18, 6))
    claims = [MINE.verify(token) for token in MINE.sign(values, [EVERYTHING] * 500)]
    errors = np.array([list(claim.probabilities.values()) for claim in claims]) - values[:, :, WINDOWS.index("decade")]
    assert abs(errors.mean()) < 4 * HALF_A_CELL / np.sqrt(3 * errors.size)
    assert errors.std() == pytest.approx(1 / 65534 / np.sqrt(12), rel=0.02)


def test_no_answer_changes_sides_of_its_threshold():
    """Nor does one on the threshold, which is High Risk."""
    thresholds = np.round(np.random.default_rng(2).beta(0.5, 2, (18, 6)), 4).clip(0.0005, 0.9995)
    mine = PredictionIdSigner(KEY, TAG, thresholds)
    steps = np.concatenate([[0], np.geomspace(1e-10, 1e-4, 25)])
    for step in (*steps, *-steps[1:]):
        for place, window in enumerate(WINDOWS):
            (token,) = mine.sign((thresholds + step)[None], [select(window, frozenset(DRUGS))])
            read = np.array(list(mine.verify(token).probabilities.values()))
            assert ((read >= thresholds[:, place]) == (step >= 0)).all()


@pytest.mark.parametrize("threshold", [0.0, 2.0**-17, 0.5, 1 - 2.0**-17, 1.0])
@pytest.mark.parametrize("probability", [0.0, 1e-9, 0.5, 1 - 1e-9, 1.0])
def test_probabilities_are_near_with_any_threshold(threshold, probability):
    mine = PredictionIdSigner(KEY, TAG, np.full((18, 6), threshold))
    (token,) = mine.sign(np.full((1, 18, 6), probability), [EVERYTHING])
    for read in mine.verify(token).probabilities.values():
        assert 0 < read < 1
        assert abs(read - probability) <= HALF_A_CELL


def test_a_models_thresholds_are_those_of_its_card(stored_model):
    mine = PredictionIdSigner.of(KEY, stored_model)
    for window in WINDOWS:
        thresholds = np.array([stored_model.card.drugs[drug][window].threshold for drug in DRUGS])
        for step in (-1e-9, 0, 1e-9):
            values = np.broadcast_to((thresholds + step)[:, None], (1, 18, 6)).clip(0, 1)
            (token,) = mine.sign(values, [select(window, frozenset(DRUGS))])
            read = np.array(list(mine.verify(token).probabilities.values()))
            inner = (thresholds > 1e-4) & (thresholds < 1 - 1e-4)
            assert ((read >= thresholds) == (step >= 0))[inner].all()
            assert inner.sum() > 12


def test_tokens_are_short_and_safe_in_urls():
    for token in MINE.sign(np.random.default_rng(0).random((50, 18, 6)), [EVERYTHING] * 50):
        assert len(token) == TOKEN_LENGTH < 100
        assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_equal_answers_have_tokens_of_their_own():
    made = MINE.sign(np.full((1000, 18, 6), 0.5), [EVERYTHING] * 1000)
    made += [MINE.sign(np.full((1, 18, 6), 0.5), [EVERYTHING])[0] for _ in range(100)]
    assert len(set(made)) == len({MINE.verify(token).nonce for token in made}) == 1100


def test_no_bit_may_be_flipped():
    token = signed()
    content = base64.urlsafe_b64decode(token)
    for bit in range(8 * len(content)):
        flipped = (int.from_bytes(content, "big") ^ 1 << bit).to_bytes(len(content), "big")
        with pytest.raises(InvalidSignatureError):
            MINE.verify(base64.urlsafe_b64encode(flipped).decode())
    for place in range(TOKEN_LENGTH):
        for bit in range(7):
            other = chr(ord(token[place]) ^ 1 << bit)
            with pytest.raises(InvalidSignatureError):
                MINE.verify(token[:place] + other + token[place + 1 :])


def test_the_standard_alphabet_is_no_second_way_to_write_a_token():
    token = next(token for token in (signed(seed=seed) for seed in range(50)) if {"-", "_"} <= set(token))
    assert MINE.verify(token)
    with pytest.raises(InvalidSignatureError):
        MINE.verify(token.replace("-", "+").replace("_", "/"))


@pytest.mark.parametrize(
    "alter",
    [
        lambda token: "",
        lambda token: token[:-1],
        lambda token: token[:-4],
        lambda token: token + "A",
        lambda token: token + "\n",
        lambda token: " " + token[1:],
        lambda token: token[:-1] + "=",
        lambda token: token[:-1] + "é",
        lambda token: token[:-1] + "٣",
        lambda token: token[:-1] + "\ud800",
        lambda token: token * 1000,
        lambda token: "9d1842766d1c49e8a5819e6dc334816d",
    ],
)
def test_invalid_tokens_are_refused(alter):
    with pytest.raises(InvalidSignatureError):
        MINE.verify(alter(signed()))


def test_parts_of_two_tokens_make_no_third():
    one, other = signed(), signed(seed=1)
    for cut in range(16, TOKEN_LENGTH, 4):  # before it they are of the same second
        with pytest.raises(InvalidSignatureError):
            MINE.verify(one[:cut] + other[cut:])


def test_another_key_forges():
    with pytest.raises(InvalidSignatureError):
        MINE.verify(signed(made_with(new_key())))
    with pytest.raises(InvalidSignatureError):
        MINE.verify(signed(made_with(KEY[:-1] + ("A" if KEY[-1] != "A" else "B"))))


def test_another_model_is_distinguished_from_a_forger():
    with pytest.raises(WrongModelError):
        MINE.verify(signed(made_with(KEY, "drug_consumption:other")))
    with pytest.raises(InvalidSignatureError):
        MINE.verify(signed(made_with(new_key(), "drug_consumption:other")))


def test_another_layout_is_not_read(monkeypatch):
    with monkeypatch.context() as other:
        other.setattr(prediction_id, "_VERSION", b"\x02")
        token = signed(made_with(KEY))
        assert made_with(KEY).verify(token)
    with pytest.raises(InvalidSignatureError):
        MINE.verify(token)


def test_keys_may_be_rotated():
    new = new_key()
    rotated = made_with(f"{new}, {KEY}")
    old = signed(MINE)
    assert rotated.verify(old) == MINE.verify(old)
    assert made_with(new).verify(signed(rotated))
    with pytest.raises(InvalidSignatureError):
        MINE.verify(signed(rotated))
    with pytest.raises(InvalidSignatureError):
        made_with(new).verify(signed(MINE))


@pytest.mark.parametrize("seconds", [0, MAX_AGE - 2, 2 - CLOCK_SKEW])
def test_a_token_is_taken_while_it_lasts(at, seconds):
    at(0)
    token = signed()
    at(seconds)
    assert MINE.verify(token)


@pytest.mark.parametrize("seconds", [MAX_AGE + 2, 10 * MAX_AGE])
def test_a_token_of_long_ago_is_refused(at, seconds):
    at(0)
    token = signed()
    at(seconds)
    with pytest.raises(ExpiredPredictionError):
        MINE.verify(token)


@pytest.mark.parametrize("seconds", [-CLOCK_SKEW - 2, -MAX_AGE])
def test_a_token_of_the_future_may_be_tried_again_when_the_clock_is_right(at, seconds):
    at(0)
    token = signed()
    at(seconds)
    with pytest.raises(StoreUnavailableError, match="try again later"):
        MINE.verify(token)
    at(1)
    assert MINE.verify(token)


@pytest.mark.parametrize("long_key", ["k" * 64, "k" * 65, "k" * 1000, "é" * 16])
def test_long_keys_count_to_their_end(long_key):
    assert made_with(long_key).verify(signed(made_with(long_key)))
    with pytest.raises(InvalidSignatureError):
        made_with(long_key).verify(signed(made_with(long_key + "k")))


@pytest.mark.parametrize(
    "keys", ["", "marked-secret", f"{KEY},", f"{KEY},marked-secret", f",{KEY}", "k" * 31], ids=range(6)
)
def test_short_keys_are_refused_and_not_shown(keys):
    with pytest.raises(ConfigurationError, match="DRUGPRED_FEEDBACK_KEY: expected keys of at least 32 bytes") as caught:
        made_with(keys)
    assert "marked" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_random_keys_are_such_keys_and_differ():
    made = {new_key() for _ in range(100)}
    assert len(made) == 100
    for key in made:
        assert len(key.encode()) >= 32
        assert "," not in key
        made_with(key)
