"""What both clients do over both transports."""

import asyncio
import subprocess
import sys
import traceback

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from drugpred.client import AsyncClient, Client
from drugpred.codebook import DRUGS
from drugpred.errors import (
    ConfigurationError,
    DeadlineExceededError,
    InvalidRequestError,
    RateLimitedError,
    ServiceError,
    UnavailableError,
)
from drugpred.schemas import EXAMPLE, Profile
from tests.harness.ports import free_ports

ROW = [1, 0, 6, 5, 6, 0.31, -0.58, 1.24, -0.3, -0.14, 0.53, 0.77]


def rows(n):
    return np.tile(ROW, (n, 1))


@pytest.fixture
def client(make, service):
    with make(service.url) as client:
        yield client


@pytest.fixture
def nowhere(service):
    """A URL of the transport, at which nothing listens."""
    (port,) = free_ports(1)
    return f"{service.url.partition(':')[0]}://127.0.0.1:{port}"


# --- answers


@pytest.mark.parametrize("asked", [EXAMPLE, Profile(**EXAMPLE), EXAMPLE | {"drugs": ["lsd", "heroin"]}])
def test_predict(client, service, asked):
    wanted = asked.get("drugs", DRUGS) if isinstance(asked, dict) else DRUGS
    assert client.predict(asked) == service.answer(0, wanted)


def test_a_profile_may_be_given_by_its_fields(client, service):
    assert client.predict(**EXAMPLE, drugs=["lsd"]) == service.answer(0, ["lsd"])


def test_a_profile_is_given_one_way(client, service):
    with pytest.raises(TypeError, match="not both"):
        client.predict(EXAMPLE, window="year")
    assert service.requests == []


# As a data frame or an array holds them.
OF_NUMPY = {
    "an integer": {"age": np.int64(25)},
    "a small integer": {"age": np.uint8(25)},
    "a float": {"age": np.float64(25)},
    "single precision": {"openness": np.float32(1.24)},
    "raw totals": {"scale": "raw", "nscore": np.int32(37), "oscore": np.int64(41)},
    "text": {"gender": np.str_("F")},
}


@pytest.mark.parametrize("fields", OF_NUMPY.values(), ids=OF_NUMPY)
def test_numbers_may_be_of_numpy(client, service, fields):
    profile = EXAMPLE | fields
    if "scale" in fields:
        profile = {k: v for k, v in EXAMPLE.items() if k not in {"neuroticism", "openness"}} | fields
        profile |= {"extraversion": np.int16(41), "agreeableness": np.int64(39), "conscientiousness": np.int64(35)}
    assert client.predict(profile) == client.predict(**profile) == service.answer(0)
    assert client.predict_batch([profile]) == [service.answer(0)]
    asked = service.requests
    plain = {name: getattr(value, "tolist", lambda value=value: value)() for name, value in profile.items()}
    client.predict(plain)
    assert asked[-1] == asked[0] == asked[1]


@pytest.mark.parametrize("value", [np.bool_(True), np.float64(25.5), np.datetime64("1990-01-01"), np.int64(17)])
def test_an_invalid_number_of_years_is_refused(client, service, value):
    with pytest.raises(InvalidRequestError, match="age"):
        client.predict(EXAMPLE | {"age": value})
    assert service.requests == []


def test_predict_batch_answers_in_order(client, service):
    asked = [EXAMPLE, Profile(**EXAMPLE), EXAMPLE | {"drugs": ["lsd"]}]
    assert client.predict_batch(iter(asked)) == [service.answer(0), service.answer(1), service.answer(2, ["lsd"])]


def test_model(client, service):
    model = client.model()
    assert (model.model, model.data_source, model.card) == (service.card["model"], "simulated", service.card)
    assert list(model.measures) == list(DRUGS)
    assert model.measures["lsd"]["week"] == {"threshold": 0.5, "base_rate": 0.5, "auc": None, "reliable": False}


def test_health(client, service):
    assert client.health() is True
    service.unready()
    assert client.health() is False


def test_health_is_asked_once(make, nowhere, waits):
    with make(nowhere) as client:
        assert client.health() is False
    assert waits == []


def test_explain(client, service):
    wanted = {"lsd": service.explanation, "alcohol": service.explanation}
    assert client.explain({**EXAMPLE, "drugs": ["lsd", "alcohol"]}) == wanted
    assert client.explain(**EXAMPLE, drugs=["lsd"], include=["windows"]) == {"lsd": service.explanation}
    assert client.explain(Profile(**EXAMPLE)).keys() == set(DRUGS)


def test_an_answer_without_its_explanations_is_none(client, service, monkeypatch):
    monkeypatch.setattr("drugpred.client.calls.as_explained", lambda profile: profile)
    with pytest.raises(ServiceError, match="version"):
        client.explain(EXAMPLE)


# --- streams


@pytest.mark.parametrize("sizes", [[1], [3, 1, 2], [2500, 10]])
def test_a_stream_answers_every_chunk_in_order(client, service, sizes):
    answers = list(client.stream(rows(size) for size in sizes))
    assert [answer.shape for answer in answers] == [(size, len(DRUGS)) for size in sizes]
    for answer in answers:
        first = [[risk["probability"] for risk in service.answer(i).risks] for i in range(min(len(answer), 1000))]
        np.testing.assert_array_equal(answer[:1000], first)


FRAMES = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}


def people(n):
    """Columns of people, whom the service numbers from 0 in each part."""
    return {name: [value] * n for name, value in EXAMPLE.items()} | {"note": [str(i) for i in range(n)]}


def columns(frame):
    return nw.from_native(frame).to_dict(as_series=False)


@pytest.mark.parametrize("frame_of", FRAMES.values(), ids=FRAMES)
def test_a_data_frame_is_answered_by_one_of_the_same_library(client, service, frame_of):
    frame = frame_of(people(3))
    (answer,) = client.stream(frame, drugs=["lsd", "alcohol"])
    assert type(answer) is type(frame)
    probabilities = [{risk["drug"]: risk["probability"] for risk in service.answer(i).risks} for i in range(3)]
    assert columns(answer) == {drug: [risks[drug] for risks in probabilities] for drug in ("lsd", "alcohol")}


def test_an_index_is_kept(client):
    frame = pd.DataFrame(people(2), index=pd.Index(["me", "you"], name="who"))
    (answer,) = client.stream(frame)
    pd.testing.assert_index_equal(answer.index, frame.index)
    assert list(answer.columns) == list(DRUGS)


@pytest.mark.parametrize("frame_of", FRAMES.values(), ids=FRAMES)
def test_a_long_data_frame_is_sent_in_parts(client, service, frame_of, monkeypatch):
    monkeypatch.setattr("drugpred.client.arrays.MAX_ROWS", 2)
    assert [len(columns(answer)["lsd"]) for answer in client.stream(frame_of(people(5)), drugs=["lsd"])] == [2, 2, 1]


def test_an_empty_data_frame_asks_nothing(client, service):
    assert list(client.stream(pl.DataFrame(people(0)))) == []
    assert service.requests == []


def test_data_frames_and_arrays_may_be_chunks_of_one_stream(client):
    chunks = [pl.DataFrame(people(2)), rows(1), pd.DataFrame(rows(3)), pd.DataFrame(people(1))]
    answers = list(client.stream(iter(chunks)))
    assert [type(answer) for answer in answers] == [pl.DataFrame, np.ndarray, np.ndarray, pd.DataFrame]
    assert [len(answer) for answer in answers] == [2, 1, 3, 1]


def test_columns_are_in_the_order_asked_for(client, service):
    (answer,) = client.stream([rows(2)], drugs=["lsd", "alcohol", "heroin"])
    expected = {risk["drug"]: risk["probability"] for risk in service.answer(1).risks}
    assert answer[1].tolist() == [expected["lsd"], expected["alcohol"], expected["heroin"]]


def test_a_stream_of_nothing_asks_nothing(client, service):
    assert list(client.stream([])) == []
    assert service.requests == []


def test_a_stream_reads_at_most_one_chunk_ahead(client):
    read = []

    def chunks():
        for i in range(5):
            read.append(i)
            yield rows(2)

    ahead = [len(read) - answered for answered, _ in enumerate(client.stream(chunks()), 1)]
    assert max(ahead) <= 1
    assert len(ahead) == len(read) == 5


def test_an_exception_of_the_callers_chunks_is_raised(client):
    def chunks():
        yield rows(1)
        yield rows(1)
        raise KeyError("of the caller")

    with pytest.raises(KeyError, match="of the caller"):
        list(client.stream(chunks()))
    assert client.health()


def test_a_stream_may_be_left(client):
    answers = client.stream(rows(1) for _ in range(100))
    next(answers)
    answers.close()
    assert client.health()


def test_an_async_stream_takes_async_chunks(service):
    async def chunks():
        for size in (2, 1):
            yield rows(size)

    async def ask():
        async with AsyncClient(service.url) as client:
            return [len(answer) async for answer in client.stream(chunks())]

    assert asyncio.run(ask()) == [2, 1]


IN_ANOTHER_LOOP = {
    "predict": lambda client: client.predict(EXAMPLE),
    "predict_batch": lambda client: client.predict_batch([EXAMPLE]),
    "stream": lambda client: anext(client.stream([rows(1)])),
    "model": lambda client: client.model(),
    "health": lambda client: client.health(),
    "close": lambda client: client.close(),
}


@pytest.mark.parametrize("ask", IN_ANOTHER_LOOP.values(), ids=IN_ANOTHER_LOOP)
def test_an_async_client_is_for_one_event_loop(service, ask):
    client = AsyncClient(service.url)

    async def run(ask):
        return await ask(client)

    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(run(lambda client: client.predict(EXAMPLE)))
        asked = len(service.requests)
        with pytest.raises(
            RuntimeError, match="expected the event loop of the first call: make an AsyncClient for each"
        ):
            second.run(run(ask))
        assert len(service.requests) == asked
        assert first.run(run(lambda client: client.health())) is True
        first.run(run(lambda client: client.close()))


# --- refusals

MALFORMED = {
    "field": (lambda client: client.predict(EXAMPLE | {"age": 17}), ("age",)),
    "no profile": (lambda client: client.predict(), ("age",)),
    "unknown": (lambda client: client.predict(EXAMPLE | {"height": 180}), ("height",)),
    "one of a batch": (lambda client: client.predict_batch([EXAMPLE, EXAMPLE | {"age": 17}]), ("profiles", 1, "age")),
    "empty batch": (lambda client: client.predict_batch([]), ("profiles",)),
    "large batch": (lambda client: client.predict_batch([EXAMPLE] * 1001), ("profiles",)),
    "drug": (lambda client: client.stream([], drugs=["lsd", "tea"]), ("drugs", 1)),
    "no drug": (lambda client: client.stream([], drugs=[]), ("drugs",)),
    "window": (lambda client: client.stream([], window="fortnight"), ("window",)),
    "row": (lambda client: list(client.stream([np.vstack([ROW, [9, *ROW[1:]]])])), (1, "age")),
}


@pytest.mark.parametrize(("ask", "loc"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_requests_are_refused_before_they_are_sent(client, service, ask, loc):
    with pytest.raises(InvalidRequestError) as refused:
        ask(client)
    assert refused.value.detail[0].loc == loc
    assert refused.value.detail[0].msg
    assert service.requests == []


def test_no_error_contains_a_value(make, service):
    """Neither where the client refuses, nor where the service does, nor where it does not answer."""
    digits = 7318462
    person = EXAMPLE | {"neuroticism": digits / 10**7}
    beyond = digits / 10**6
    asks = [
        lambda client: client.predict(person | {"age": digits}),
        lambda client: client.predict(person | {"gender": str(digits)}),
        lambda client: client.predict_batch([person | {"openness": beyond}]),
        lambda client: list(client.stream([[[*ROW[:11], beyond]]])),
        lambda client: list(client.stream([[[*ROW[:11], f"{digits}x"]]])),
        *[lambda client: client.predict(person)] * 5,
    ]
    service.fail("refused", "broken", "unavailable", "limited")
    service.hang()
    with make(service.url, retries=0, timeout=0.2) as client:
        for ask in asks:
            with pytest.raises(ServiceError) as raised:
                ask(client)
            assert "731846" not in "".join(traceback.format_exception(raised.value))
            assert "731846" not in repr(raised.value)


# --- another attempt, or none

ASKS = {
    "predict": lambda client: client.predict(EXAMPLE),
    "predict_batch": lambda client: client.predict_batch([EXAMPLE]),
    "model": lambda client: client.model(),
    "stream": lambda client: list(client.stream([rows(2), rows(1)])),
}


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_temporary_errors_are_retried(client, service, waits, ask):
    service.fail("unavailable", "limited", "unavailable")
    assert ask(client)
    assert len(waits) == 3
    assert all(0 <= wait <= 0.5 * 2**i for i, wait in enumerate(waits))


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
@pytest.mark.parametrize(("kind", "error"), [("unavailable", UnavailableError), ("limited", RateLimitedError)])
def test_attempts_are_limited(make, service, waits, ask, kind, error):
    service.fail(*[kind] * 4)
    with make(service.url, retries=2) as client, pytest.raises(error) as raised:
        ask(client)
    assert type(raised.value) is error
    assert (len(waits), len(service.requests)) == (2, 3)


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
@pytest.mark.parametrize(("kind", "error"), [("refused", InvalidRequestError), ("broken", ServiceError)])
def test_nothing_else_is_retried(client, service, waits, ask, kind, error):
    service.fail(kind)
    with pytest.raises(error) as raised:
        ask(client)
    assert type(raised.value) is error
    assert (len(waits), len(service.requests)) == (0, 1)


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_a_refused_connection_is_tried_again(make, nowhere, waits, ask):
    with make(nowhere, retries=2) as client, pytest.raises(UnavailableError, match="onnect"):
        ask(client)
    assert len(waits) == 2


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_no_answer_in_time(make, service, waits, ask):
    service.hang()
    with make(service.url, timeout=0.2) as client, pytest.raises(DeadlineExceededError):
        ask(client)
    assert waits == []
    assert len(service.requests) <= 1


@pytest.mark.slow
def test_no_answer_in_time_within_a_stream(make, service):
    service.hang(after=1)
    with make(service.url, timeout=2) as client:
        answers = client.stream(rows(1) for _ in range(3))
        next(answers)
        with pytest.raises(DeadlineExceededError):
            next(answers)


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_a_call_has_one_id_which_its_error_has_too(client, service, waits, ask):
    service.fail("unavailable", "broken")
    with pytest.raises(ServiceError) as raised:
        ask(client)
    first, second = service.ids
    assert raised.value.request_id == first == second
    assert raised.value.__notes__ == [f"x-request-id: {first}"]
    ask(client)
    assert first not in service.ids[2:]


def test_a_request_that_was_not_sent_has_no_id(client):
    with pytest.raises(InvalidRequestError) as raised:
        client.predict(EXAMPLE | {"age": 17})
    assert raised.value.request_id is None


# --- the rest


@pytest.mark.parametrize("url", ["localhost:3000", "ftp://localhost", "", "localhost"])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_other_urls_are_refused(kind, url):
    with pytest.raises(ConfigurationError, match="grpcs://"):
        kind(url)


def test_the_callers_side_needs_little():
    code = """if True:
        import sys
        from drugpred.client import AsyncClient, Client
        before = set(sys.modules)
        Client("http://localhost:3000").close()
        AsyncClient("http://localhost:3000")
        without_grpc = "grpc" not in sys.modules
        Client("grpc://localhost:3001").close()
        AsyncClient("grpc://localhost:3001")
        print(without_grpc, {"bentoml", "pandas", "sklearn", "starlette"} & set(sys.modules))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True set()\n"
