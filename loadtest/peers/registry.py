"""What is compared with: how each peer is started, what it is asked, and where its answer holds the probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from drugpred.schemas import EXAMPLE, Profile
from peers import environments

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MEASURE", "PEERS", "Peer", "chosen"]

_ROW: Final = Profile.model_validate(EXAMPLE).row()


@dataclass(frozen=True)
class Peer:
    """Another way to serve the same model."""

    name: str
    """Of its module and its requirements."""
    title: str
    body: object
    """What it is POSTed as JSON: EXAMPLE."""
    probabilities: Callable[[Any], list[float]]
    """Reads the 18 of its answer."""
    path: str = "/predict"
    pipeline: bool = True
    """Whether it serves the scikit-learn pipeline, not our predictor."""
    bentoml: bool = False
    """Whether it is a BentoML service."""

    def command(self, port: int) -> list[str]:
        """Return what starts it in the folder of this comparison, once its environment is made.

        Raises
        ------
        EnvironmentFailedError
            It could not be made.
        """
        python = str(environments.python(self.name, pipeline=self.pipeline))
        if self.bentoml:
            return bentoml_serve(python, self.name, port)
        return [python, "-m", f"peers.{self.name}", str(port)]


def bentoml_serve(python: str, name: str, port: int) -> list[str]:
    """Return what starts a BentoML service of this folder."""
    return [python, "-m", "bentoml", "serve", f"peers.{name}:Service", "--host", "127.0.0.1", "--port", str(port)]


def risks(answer: dict[str, Any]) -> list[float]:
    """Return the probabilities in an answer of our own form."""
    return [risk["probability"] for risk in answer["risks"]]


def _itself(answer: list[float]) -> list[float]:
    return answer


def _first(answer: list[list[float]]) -> list[float]:
    return answer[0]


MEASURE: Final = Peer("fastapi_scorer", "FastAPI, our predictor", EXAMPLE, risks, pipeline=False)
"""What ratios are of."""

PEERS: Final = (
    MEASURE,
    Peer("fastapi_pipeline", "FastAPI, pipeline", EXAMPLE, _itself),
    Peer("bentoml_stock", "BentoML, our predictor", EXAMPLE, risks, pipeline=False, bentoml=True),
    Peer("bentoml_pipeline", "BentoML, pipeline", {"rows": [_ROW]}, _first, bentoml=True),
    Peer(
        "mlserver",
        "MLServer, pipeline",
        {"inputs": [{"name": "rows", "shape": [1, len(_ROW)], "datatype": "FP64", "data": _ROW}]},
        lambda answer: answer["outputs"][0]["data"],
        "/v2/models/drug_consumption/infer",
    ),
    Peer("mlflow", "MLflow, pipeline", {"inputs": [_ROW]}, lambda answer: answer["predictions"][0], "/invocations"),
    Peer("litserve", "LitServe, pipeline", {"row": _ROW}, lambda answer: answer["probabilities"]),
)


def chosen(names: str) -> list[Peer]:
    """Return the peers of a list like "mlserver,litserve", in the order of `PEERS`; `MEASURE` is always among them.

    Raises
    ------
    ValueError
        There is no such peer; the message lists those there are.
    """
    wanted = {name for name in names.split(",") if name}
    if unknown := wanted - {peer.name for peer in PEERS}:
        raise ValueError(f"no peer {', '.join(sorted(unknown))}; expected {', '.join(peer.name for peer in PEERS)}")
    return [peer for peer in PEERS if peer is MEASURE or peer.name in wanted]
