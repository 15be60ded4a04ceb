"""The servers of a comparison: this one by HTTP and gRPC, and its peers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc
import httpx
import numpy as np
from load import h2load, wrk
from peers.environments import EnvironmentFailedError
from peers.ports import free_ports
from peers.registry import risks
from servers import ROOT, ServerError, ours, serving

from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.schemas import EXAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    import bentoml
    from load import Measured
    from peers.registry import Peer

__all__ = ["Contestant", "agreeing", "of_peers", "of_this", "start"]

_METHOD: Final = "/drugpred.v1.DrugPrediction/Predict"

# EXAMPLE as a message.
_REQUEST: Final = pb.PredictRequest(
    profile=pb.Profile(
        years=25,
        gender=pb.GENDER_FEMALE,
        education=pb.EDUCATION_UNIVERSITY_DEGREE,
        country=pb.COUNTRY_UK,
        ethnicity=pb.ETHNICITY_WHITE,
        neuroticism=0.31,
        extraversion=-0.58,
        openness=1.24,
        agreeableness=-0.30,
        conscientiousness=-0.14,
        impulsivity=0.53,
        sensation_seeking=0.77,
    )
)


class Contestant(NamedTuple):
    """A way to ask for predictions."""

    title: str
    load: Callable[[int, int], Measured]
    """Load it from so many clients for so many seconds."""
    probabilities: Sequence[float]
    """What it says of EXAMPLE."""


def start(stack: ExitStack, model: bentoml.Model, folder: Path, workers: int = 1, **settings: str) -> tuple[str, str]:
    """Start this service, with more settings; return the URL of its HTTP and the address of its gRPC."""
    port, rpc = free_ports(2)
    environment = {"DRUGPRED_GRPC_PORT": str(rpc), "BENTOML_CONFIG_OPTIONS": f"services.drugpred.workers={workers}"}
    server = stack.enter_context(serving(ours(port), model, folder, ROOT, **environment, **settings))
    server.answer(f"http://127.0.0.1:{port}/readyz")
    return f"http://127.0.0.1:{port}", f"127.0.0.1:{rpc}"


def of_this(url: str, address: str, folder: Path) -> list[Contestant]:
    """Return the contestants of this service's server: HTTP, then gRPC."""
    answer: dict[str, Any] = httpx.post(f"{url}/predict", json=EXAMPLE, timeout=60).raise_for_status().json()
    request, method = _REQUEST.SerializeToString(), f"http://{address}{_METHOD}"
    with grpc.insecure_channel(address) as channel:
        message: bytes = channel.unary_unary(_METHOD)(request, timeout=60, wait_for_ready=True)
    called = pb.PredictResponse.FromString(message).prediction.risks
    return [
        Contestant("drugpred, HTTP", lambda *load: wrk(f"{url}/predict", EXAMPLE, folder, *load), risks(answer)),
        Contestant(
            "drugpred, gRPC",
            lambda *load: h2load(method, request, len(message), folder, *load),
            [risk.probability for risk in called],
        ),
    ]


def of_peers(
    stack: ExitStack, peers: Sequence[Peer], model: bentoml.Model, folder: Path, failures: list[str]
) -> list[Contestant]:
    """Start peers and return those that answer; why another does not is added to `failures`."""
    found = []
    for peer in peers:
        (port,) = free_ports(1)
        url = f"http://127.0.0.1:{port}{peer.path}"
        try:
            server = stack.enter_context(serving(peer.command(port), model, folder))
            answer = server.answer(url, peer.body).json()
        except (EnvironmentFailedError, ServerError) as error:
            failures.append(f"{peer.title}: {error}")
            continue
        found.append(Contestant(peer.title, partial(wrk, url, peer.body, folder), peer.probabilities(answer)))
    return found


def agreeing(contestants: Sequence[Contestant], failures: list[str]) -> list[Contestant]:
    """Return the contestants whose probabilities are those of the first; who else there is is added to `failures`."""
    expected = contestants[0].probabilities
    agree = []
    for one in contestants:
        if len(one.probabilities) == len(expected) and np.allclose(one.probabilities, expected, rtol=0, atol=1e-9):
            agree.append(one)
        else:
            failures.append(f"{one.title}: it gives other probabilities than {contestants[0].title}")
    return agree
