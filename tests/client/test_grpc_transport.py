"""Tests of gRPC only."""

import asyncio
import threading
import time
from contextlib import nullcontext

import grpc
import numpy as np
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from drugpred.client import AsyncClient, Client
from drugpred.errors import (
    ConfigurationError,
    DeadlineExceededError,
    Detail,
    InvalidRequestError,
    PermissionDeniedError,
    ServiceError,
    UnavailableError,
)
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.schemas import EXAMPLE

ROWS = np.array([[1, 0, 6, 5, 6, 0.31, -0.58, 1.24, -0.3, -0.14, 0.53, 0.77]])


@pytest.fixture
def client(make, rpc_service):
    with make(rpc_service.url) as client:
        yield client


def ending(code, said):
    return lambda context: context.abort(code, said)


# --- streams


def test_a_stream_that_has_answered_is_not_tried_again(client, rpc_service, waits):
    rpc_service.script.extend([lambda context: None, ending(grpc.StatusCode.UNAVAILABLE, "")])
    answers = client.stream([ROWS] * 3)
    assert len(next(answers)) == 1
    with pytest.raises(UnavailableError):
        list(answers)
    assert waits == []
    assert [request.chunk for request in rpc_service.requests][:2] == [0, 1]


def test_a_stream_that_ends_while_it_is_written_to_broke_off(rpc_service):
    async def read_all():
        async with AsyncClient(rpc_service.url, retries=0) as client:
            async for _ in client.stream([ROWS] * 3):
                pass

    # Of about one in ten grpc.aio loses the status.
    for _ in range(60):
        rpc_service.script.clear()
        rpc_service.script.extend([lambda context: None, ending(grpc.StatusCode.UNAVAILABLE, "")])
        with pytest.raises(UnavailableError):
            asyncio.run(read_all())


def test_a_stream_that_is_tried_again_sends_its_first_chunk_again(client, rpc_service, waits):
    rpc_service.fail("unavailable")
    assert len(list(client.stream([ROWS] * 3))) == 3
    assert [request.chunk for request in rpc_service.requests] == [0, 0, 1, 2]


def test_the_service_sees_a_stream_end_well(client, rpc_service):
    list(client.stream([ROWS] * 3))
    assert rpc_service.ended == ["well"]


def test_the_service_sees_a_stream_that_is_left(client, rpc_service):
    answers = client.stream(ROWS for _ in range(1000))
    next(answers)
    answers.close()
    rpc_service.server.stop(60).wait()
    assert rpc_service.ended == []
    assert len(rpc_service.requests) <= 2


@pytest.mark.parametrize("way", ["ended", "left", "failed at once", "failed later"])
def test_a_stream_leaves_no_thread(rpc_service, way):
    with Client(rpc_service.url, retries=0) as client:
        client.predict(EXAMPLE)
        before = threading.enumerate()

        def failing(context):
            time.sleep(0.1)  # until the request's thread waits for another one
            context.abort(grpc.StatusCode.INTERNAL, "")

        rpc_service.script.extend({"failed at once": [failing], "failed later": [lambda _: None, failing]}.get(way, []))
        answers = client.stream([ROWS] * 3)
        if way == "left":
            next(answers)
            answers.close()
        else:
            with pytest.raises(ServiceError) if "failed" in way else nullcontext():
                list(answers)
        for thread in set(threading.enumerate()) - set(before):
            if not thread.name.startswith("ThreadPoolExecutor"):  # which is the service's
                thread.join(10)
                assert not thread.is_alive()


@pytest.mark.parametrize("told", [0, 1, 3])
def test_a_stream_with_too_few_answers_is_reported(client, rpc_service, monkeypatch, told):
    """Not the people asked for, or no answer at all."""

    def answers(requests, context):
        next(requests)
        if told:
            yield pb.PredictStreamResponse(drugs=[pb.DRUG_LSD], probabilities=[0.5] * told)

    monkeypatch.setattr(rpc_service, "chunks", answers)
    people = np.vstack([ROWS] * 2)
    with pytest.raises(ServiceError, match="the answer is malformed"):
        next(client.stream([people, people], drugs=["lsd"]))


# --- errors


def refusing(violations):
    details = Any()
    details.Pack(
        BadRequest(field_violations=[BadRequest.FieldViolation(field=f, description=d) for f, d in violations])
    )
    status = rpc_status.to_status(
        Status(code=grpc.StatusCode.INVALID_ARGUMENT.value[0], message="x", details=[details])
    )
    return lambda context: context.abort_with_status(status)


@pytest.mark.parametrize(
    ("field", "loc"),
    [
        ("profile.age", ("age",)),
        ("profiles[3].age", ("profiles", 3, "age")),
        ("profiles", ("profiles",)),
        ("sensation_seeking[17]", ("sensation_seeking", 17)),
    ],
)
def test_refusals_report_all_mistakes(client, rpc_service, field, loc):
    rpc_service.script.append(refusing([(field, "expected 18 or more"), ("profile.gender", "Field required")]))
    with pytest.raises(InvalidRequestError) as raised:
        client.predict(EXAMPLE)
    assert raised.value.detail == (Detail(loc, "expected 18 or more"), Detail(("gender",), "Field required"))


def test_refusals_of_others_are_reported_too(client, rpc_service):
    rpc_service.script.append(ending(grpc.StatusCode.INVALID_ARGUMENT, "expected a message"))
    with pytest.raises(InvalidRequestError, match="expected a message") as raised:
        client.predict(EXAMPLE)
    assert raised.value.detail == (Detail((), "expected a message"),)


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.ABORTED])
def test_the_text_of_a_fault_is_not_shown(client, rpc_service, waits, code):
    rpc_service.script.append(ending(code, "could not convert 0.7318462"))
    with pytest.raises(ServiceError, match=f"(?m)answered {code.name}$") as raised:
        client.predict(EXAMPLE)
    assert raised.value.__suppress_context__
    assert waits == []


def test_the_services_own_deadline(client, rpc_service, waits):
    rpc_service.script.append(ending(grpc.StatusCode.DEADLINE_EXCEEDED, ""))
    with pytest.raises(DeadlineExceededError):
        client.predict(EXAMPLE)
    assert waits == []


def test_a_service_that_comes_back_is_found_again(make, rpc_service):
    """The connection that was lost is made again by the attempts of a call."""
    with make(rpc_service.url) as client:
        client.predict(EXAMPLE)
        rpc_service.stop()
        assert client.health() is False
        rpc_service.start()
        assert client.predict(EXAMPLE)


# --- large answers


def test_answers_may_be_larger_than_grpcs_default(client, rpc_service, monkeypatch):
    monkeypatch.setattr(rpc_service, "card", {**rpc_service.card, "filling": "x" * 5 * 2**20})
    assert len(client.model().card["filling"]) == 5 * 2**20


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
def test_the_services_own_text_and_id_are_in_the_error(client, rpc_service, code):
    def refuse(context):
        context.set_trailing_metadata([("x-request-id", "of the service")])
        context.abort(code, "expected what the hint says")

    rpc_service.script.append(refuse)
    with pytest.raises(PermissionDeniedError, match=f"{code.name}: expected what the hint says") as raised:
        client.model()
    assert raised.value.request_id == "of the service"


@pytest.mark.parametrize(
    "ask", [lambda client: client.drift(), lambda client: client.feedback("A" * 96, {"lsd": True})]
)
def test_calls_without_grpc_are_named(client, ask):
    with pytest.raises(ConfigurationError, match="http://"):
        ask(client)
