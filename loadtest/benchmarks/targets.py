"""The targets of a comparison: this service over HTTP and gRPC, and its peers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import httpx
import numpy as np

from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.schemas import EXAMPLE
from loadtest.benchmarks.generators import h2load, wrk
from loadtest.benchmarks.peers.environments import EnvironmentFailedError
from loadtest.benchmarks.peers.registry import risks
from loadtest.harness.payloads import EXAMPLE_ROW, PREDICT, message
from loadtest.harness.ports import free_ports
from loadtest.harness.servers import ServerError, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack

    import bentoml

    from loadtest.benchmarks.generators import Load
    from loadtest.benchmarks.peers.registry import Peer
    from loadtest.harness.servers import Service


class Target(NamedTuple):
    """A server to measure."""

    title: str
    load: Load
    probabilities: Sequence[float]  # its answer to EXAMPLE


def of_service(service: Service) -> list[Target]:
    """Return the targets of this service: HTTP, then gRPC."""
    url, method = f"{service.url}/predict", f"http://{service.address}{PREDICT}"
    answer: dict[str, Any] = httpx.post(url, json=EXAMPLE, timeout=60).raise_for_status().json()
    request = message(EXAMPLE_ROW)
    with grpc.insecure_channel(service.address) as channel:
        response: bytes = channel.unary_unary(PREDICT)(request, timeout=60, wait_for_ready=True)
    called = [risk.probability for risk in pb.PredictResponse.FromString(response).prediction.risks]
    return [
        Target("drugpred, HTTP", partial(wrk, url, EXAMPLE), risks(answer)),
        Target("drugpred, gRPC", partial(h2load, method, request, len(response)), called),
    ]


def of_peers(stack: ExitStack, peers: Sequence[Peer], model: bentoml.Model, failures: list[str]) -> list[Target]:
    """Start peers and return those that answer; the error of any other is added to `failures`."""
    targets = []
    for peer in peers:
        (port,) = free_ports(1)
        url = f"http://127.0.0.1:{port}{peer.path}"
        try:
            answer = stack.enter_context(run(peer.command(port), model)).answer(url, peer.body).json()
        except (EnvironmentFailedError, ServerError) as error:
            failures.append(f"{peer.title}: {error}")
            continue
        targets.append(Target(peer.title, partial(wrk, url, peer.body), peer.probabilities(answer)))
    return targets


def agreeing(targets: Sequence[Target], failures: list[str]) -> list[Target]:
    """Return the targets with the same probabilities as the first one; the others are added to `failures`."""
    expected = targets[0].probabilities
    agree = []
    for target in targets:
        actual = target.probabilities
        if len(actual) == len(expected) and np.allclose(actual, expected, rtol=0, atol=1e-9):
            agree.append(target)
        else:
            failures.append(f"{target.title}: its probabilities differ from those of {targets[0].title}")
    return agree
