"""The project's client against a real server, over both transports."""

import asyncio

import httpx
import numpy as np
import polars as pl
import pytest

from drugpred.client import AsyncClient, Client
from drugpred.client.blocking import run
from drugpred.client.calls import Call
from drugpred.client.grpc_transport import GrpcTransport
from drugpred.client.http_transport import HttpTransport
from drugpred.client.retries import RetryPolicy
from drugpred.codebook import DRUGS, INPUTS, WINDOWS
from drugpred.errors import InvalidRequestError, ServiceError
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.schemas import EXAMPLE
from tests.harness import wait

pytestmark = pytest.mark.conformance

ASKED = slice(None, None, 4)
SAMPLE = slice(None, None, 20)
CHUNKS = 3
WINDOW = "year"


@pytest.fixture(scope="module")
def urls(server):
    return {"http": server.url, "grpc": f"grpc://{server.grpc}"}


@pytest.fixture(scope="module")
def asking(people):
    return [person | {"window": WINDOW, "include": ["windows"]} for person in people[ASKED]]


def by_sync(url, asking, rows):
    with Client(url) as client:
        return (
            [client.predict(person) for person in asking[SAMPLE]],
            [answer for part in (asking[:250], asking[250:]) for answer in client.predict_batch(part)],
            list(client.stream(np.array_split(rows, CHUNKS), window=WINDOW)),
        )


def by_async(url, asking, rows):
    async def ask():
        async with AsyncClient(url) as client:
            batches = [await client.predict_batch(part) for part in (asking[:250], asking[250:])]
            return (
                await asyncio.gather(*[client.predict(person) for person in asking[SAMPLE]]),
                [answer for batch in batches for answer in batch],
                [answer async for answer in client.stream(np.array_split(rows, CHUNKS), window=WINDOW)],
            )

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def answers(urls, asking, real):
    """All answers by transport and client: one by one for a sample, in batches, in a stream."""
    return {
        (transport, by.__name__): by(url, asking, real.X)
        for transport, url in urls.items()
        for by in (by_sync, by_async)
    }


def windows(predictions):
    return np.array([[list(risk["windows"].values()) for risk in prediction.risks] for prediction in predictions])


def test_all_ways_give_the_predictors_probabilities(answers, expected):
    assert len(answers) == 4
    for one_by_one, batches, stream in answers.values():
        np.testing.assert_allclose(windows(one_by_one), expected[ASKED][SAMPLE], rtol=0, atol=1e-12)
        np.testing.assert_allclose(windows(batches), expected[ASKED], rtol=0, atol=1e-12)
        np.testing.assert_allclose(np.vstack(stream), expected[:, :, WINDOWS.index(WINDOW)], rtol=0, atol=1e-12)
        assert [len(chunk) for chunk in stream] == [629, 628, 628]


def test_the_transport_makes_no_difference(answers):
    def parted(predictions):
        """The text without the numbers, and the numbers."""
        numbers = []

        def part(content):
            match content:
                case float():
                    numbers.append(content)
                    return None
                case list():
                    return [part(each) for each in content]
                case dict():
                    return {name: part(each) for name, each in content.items()}
            return content

        return part([prediction.model_dump(exclude={"prediction_id"}) for prediction in predictions]), numbers

    first, *others = answers.values()
    for other in others:
        for one, another in ((other[0], first[0]), (other[1], first[1])):
            (words, numbers), (expected_words, expected_numbers) = parted(one), parted(another)
            assert words == expected_words
            # With what else is asked at the same time, the last bit of a probability may change.
            np.testing.assert_allclose(numbers, expected_numbers, rtol=0, atol=1e-14)
        for one, another in zip(other[2], first[2], strict=True):
            np.testing.assert_allclose(one, another, rtol=0, atol=1e-14)  # HTTP takes a chunk in parts


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_a_data_frame_gives_the_same_probabilities(urls, transport, people, expected):
    with Client(urls[transport]) as client:
        (answer,) = client.stream(pl.DataFrame(people), window=WINDOW)
    assert answer.columns == list(DRUGS)
    np.testing.assert_allclose(answer.to_numpy(), expected[:, :, WINDOWS.index(WINDOW)], rtol=0, atol=1e-12)


def test_model(urls, stored_model):
    models = []
    for url in urls.values():
        with Client(url) as client:
            models.append(client.model())
    assert models[0] == models[1]
    model = models[0]
    assert (model.model, model.data_source) == (stored_model.tag, "uci")
    assert list(model.measures) == list(DRUGS)
    for drug in DRUGS:
        for window in WINDOWS:
            card = stored_model.card.drugs[drug][window].model_dump()
            assert model.measures[drug][window].items() <= card.items()


def test_health(urls):
    for url in urls.values():
        with Client(url) as client:
            assert client.health() is True


def test_the_service_refuses_the_same_over_both(urls):
    """What a client of another version might send."""
    policy = RetryPolicy(10, 0, blocking=True)
    http, rpc = HttpTransport(urls["http"], policy, None, None), GrpcTransport(urls["grpc"], policy, None, None)
    details = []
    for transport, one, many in [
        (http, Call("/predict", b"{}", bytes), Call("/predict_batch", b'{"profiles": [{}, {}]}', bytes)),
        (
            rpc,
            Call("Predict", pb.PredictRequest(), str),
            Call("PredictBatch", pb.PredictBatchRequest(profiles=[pb.Profile()] * 2), str),
        ),
    ]:
        for call in (one, many):
            with pytest.raises(InvalidRequestError) as refused:
                run(transport.call(call))
            details.append(refused.value.detail)
        run(transport.close())
    assert [detail.loc for detail in details[0]] == [(name,) for name in INPUTS]
    assert [detail.loc for detail in details[1]] == [("profiles", i, name) for i in (0, 1) for name in INPUTS]
    assert (details[2], details[3]) == (details[0], details[1])


def test_a_chunk_that_the_service_refuses_is_named(urls):
    transport = GrpcTransport(urls["grpc"], RetryPolicy(10, 0, blocking=True), None, None)
    chunk = pb.PredictStreamRequest(**{name: [1] for name in INPUTS} | {"gender": [9]})
    with pytest.raises(InvalidRequestError, match="gender") as refused:
        run(transport._open(Call("PredictStream", chunk, str), 10, "1"))
    assert refused.value.detail[0].loc == ("gender", 0)
    run(transport.close())


def test_explain(urls):
    asked = EXAMPLE | {"drugs": ["cannabis", "lsd"]}
    explained = []
    for url in urls.values():
        with Client(url) as client:
            explained.append(client.explain(asked))
            included = client.predict(asked | {"include": ["explanation"]})
        assert explained[-1] == {risk["drug"]: risk["explanation"] for risk in included.risks}
    assert explained[0] == explained[1]


def test_feedback_is_counted_once_and_a_second_time_the_services_text_is_shown(urls):
    with Client(urls["http"]) as client:
        prediction = client.predict(EXAMPLE)
        assert client.feedback(prediction.prediction_id, {"cannabis": True, "lsd": False}) == 2
        with pytest.raises(ServiceError, match="409 Conflict: expected a prediction whose") as raised:
            client.feedback(prediction.prediction_id, {"cannabis": True})
    assert raised.value.request_id


def test_drift(urls):
    with Client(urls["http"]) as client:
        # Predictions of the tests before may be counted between the two answers.
        wait(lambda: client.drift().model_dump() == httpx.get(f"{urls['http']}/drift").json(), "two equal answers")
        found = client.drift()
    assert found.inputs.keys() == set(INPUTS)
    assert found.scores.keys() == set(DRUGS)


def test_explanations(urls):
    asked = EXAMPLE | {"include": ["explanation"], "drugs": ["cannabis"]}
    explanations = []
    for url in urls.values():
        with Client(url) as client:
            (risk,) = client.predict(asked).risks
        explanations.append(risk["explanation"])
        log_odds = np.log(risk["probability"] / (1 - risk["probability"]))
        assert risk["explanation"]["base"] + sum(risk["explanation"]["contributions"].values()) == pytest.approx(
            log_odds
        )
    assert explanations[0] == explanations[1]
    assert list(explanations[0]["contributions"]) == list(INPUTS)
