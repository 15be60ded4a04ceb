"""The peers of the comparison: start command, request, and place of the probabilities in the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from drugpred.schemas import EXAMPLE
from loadtest.benchmarks.peers import environments
from loadtest.harness.payloads import EXAMPLE_ROW
from loadtest.harness.servers import bentoml_serve

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Peer:
    """Another way to serve the same model."""

    name: str
    """Name of its module, with `_network` behind it if it serves the predictor by rows."""
    title: str
    body: object
    """Body of the request, which is EXAMPLE, as JSON."""
    probabilities: Callable[[Any], list[float]]
    """Returns the 18 probabilities in an answer."""
    path: str = "/predict"
    bentoml: bool = False
    """Whether it is a BentoML service."""
    scorer: bool = False
    """Whether it serves this project's predictor, not the scikit-learn pipeline."""

    @property
    def environment(self) -> str:
        """Name of its requirements file."""
        return environments.SCORER if self.scorer else self._module

    @property
    def _module(self) -> str:
        return self.name.removesuffix("_network")

    def command(self, port: int) -> list[str]:
        """Return the start command, after creating the environment.

        Raises
        ------
        EnvironmentFailedError
            The environment could not be created.
        """
        python = str(environments.python(self.environment))
        if self.bentoml:
            return bentoml_serve(service_of(self.name), port, python)
        command = [python, "-m", f"{__package__}.{self._module}", str(port)]
        return command if self._module == self.name else [*command, "network"]


def service_of(name: str) -> str:
    """Return the argument of `bentoml serve` for a module of this package."""
    return f"{__package__}.{name}:Service"


def risks(answer: dict[str, Any]) -> list[float]:
    """Return the probabilities in an answer of this service."""
    return [risk["probability"] for risk in answer["risks"]]


def _tensor(answer: dict[str, Any]) -> list[float]:
    data: list[float] = answer["outputs"][0]["data"]
    return data


_TENSOR: Final = {"inputs": [{"name": "rows", "shape": [1, len(EXAMPLE_ROW)], "datatype": "FP64", "data": EXAMPLE_ROW}]}

MEASURE: Final = Peer(
    "fastapi_scorer", "FastAPI, our predictor", EXAMPLE, risks, scorer=True
)  # ratios are relative to it

PEERS: Final = (
    MEASURE,
    Peer("asgi_empty", "empty application, uvicorn", EXAMPLE, risks, scorer=True),
    Peer("fastapi_pipeline", "FastAPI, pipeline", EXAMPLE, list),
    Peer("bentoml_stock", "BentoML stock, our predictor", EXAMPLE, risks, bentoml=True, scorer=True),
    Peer("bentoml_tuned", "BentoML tuned: async, no log, no tracing", EXAMPLE, risks, bentoml=True, scorer=True),
    Peer("bentoml_pipeline", "BentoML, pipeline", {"rows": [EXAMPLE_ROW]}, lambda answer: answer[0], bentoml=True),
    Peer("mlserver", "MLServer, pipeline", _TENSOR, _tensor, "/v2/models/drug_consumption/infer"),
    Peer("mlserver_network", "MLServer, our predictor", _TENSOR, _tensor, "/v2/models/drug_consumption/infer"),
    Peer(
        "mlflow", "MLflow, pipeline", {"inputs": [EXAMPLE_ROW]}, lambda answer: answer["predictions"][0], "/invocations"
    ),
    Peer("litserve", "LitServe, pipeline", {"row": EXAMPLE_ROW}, lambda answer: answer["probabilities"]),
    Peer("litserve_network", "LitServe, our predictor", {"row": EXAMPLE_ROW}, lambda answer: answer["probabilities"]),
    Peer(
        "kserve_network",
        "KServe, our predictor",
        {"instances": [EXAMPLE_ROW]},
        lambda answer: answer["predictions"][0],
        "/v1/models/drug_consumption:predict",
    ),
    Peer("ray_serve_network", "Ray Serve, our predictor", {"row": EXAMPLE_ROW}, list),
)


def chosen(names: str) -> list[Peer]:
    """Return the peers in a list like "mlserver,litserve", in the order of `PEERS`, always with `MEASURE`.

    Raises
    ------
    ValueError
        A peer is unknown; the message lists the known ones.
    """
    wanted = {name for name in names.split(",") if name}
    if unknown := wanted - {peer.name for peer in PEERS}:
        raise ValueError(f"no peer {', '.join(sorted(unknown))}; expected {', '.join(peer.name for peer in PEERS)}")
    return [peer for peer in PEERS if peer is MEASURE or peer.name in wanted]
