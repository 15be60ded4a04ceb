"""All HTTP endpoints as one table, of which access rules, limits of bodies and the OpenAPI document are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from drugpred.model_store import NAME, TaggedCard
from drugpred.monitoring.drift import Drift
from drugpred.monitoring.feedback.service import Accepted, Feedback
from drugpred.schemas import Batch, Health, Prediction, Predictions, Profile
from drugpred.serving.access.api_keys import Scope
from drugpred.serving.access.policy import ANY_KEY, HEALTH, STATIC, AccessRule
from drugpred.serving.v2.types import (
    InferenceRequest,
    InferenceResponse,
    Live,
    ModelMetadata,
    ModelReady,
    Ready,
    ServerMetadata,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

_KIB: Final = 1024
_MIB: Final = 1024 * _KIB

_PREDICT, _READ = AccessRule(scope=Scope.PREDICT), AccessRule(scope=Scope.READ)


class Endpoint(NamedTuple):
    """A path, or several that differ in what stands for `{…}`."""

    path: str  # it ends with `*` if it is the beginning of paths
    rule: AccessRule
    summary: str = ""  # in the OpenAPI document; endpoints without one are not in it
    answer: type[BaseModel] | None = None
    request: type[BaseModel] | None = None  # of a POST; all others are GETs
    max_body_bytes: int = 0  # many times what the longest request needs, so that it may be indented
    errors: tuple[str, ...] = ()  # statuses that are its own, besides those of every endpoint of its method


ENDPOINTS: Final = (
    Endpoint(
        "/predict",
        _PREDICT,
        "Predict each drug's probability of use for one person.",
        Prediction,
        Profile,
        64 * _KIB,
    ),
    Endpoint(
        "/predict_batch",
        _PREDICT,
        "Predict each drug's probability of use for up to 1000 people; for at most 100 with explanations.",
        Predictions,
        Batch,
        4 * _MIB,  # a batch of 1000 has half a MB
    ),
    Endpoint(
        "/feedback",
        AccessRule(scope=Scope.FEEDBACK),
        "Report the outcomes of a prediction.",
        Accepted,
        Feedback,
        4 * _KIB,
        ("409", "410"),
    ),
    Endpoint(
        "/drift",
        _READ,
        "How far the profiles have moved from those trained on, since the server started.",
        Drift,
    ),
    Endpoint(
        "/health",
        HEALTH,
        "That the service runs and, if no keys are configured or the key has the scope read, what it serves.",
        Health,
    ),
    Endpoint("/model", _READ, "The card of the model.", TaggedCard),
    Endpoint("/livez", HEALTH, "For probes: the process is alive."),
    Endpoint("/healthz", HEALTH, "As /livez."),
    Endpoint("/readyz", HEALTH, "For probes: it answers predictions.", errors=("503",)),
    Endpoint("/v2", _READ, "Open Inference Protocol: the server.", ServerMetadata),
    Endpoint("/v2/health/live", HEALTH, "Open Inference Protocol: the process is alive.", Live),
    Endpoint("/v2/health/ready", HEALTH, "Open Inference Protocol: it answers predictions.", Ready, errors=("503",)),
    *(
        endpoint
        for path, errors in ((f"/v2/models/{NAME}", ()), (f"/v2/models/{NAME}/versions/{{version}}", ("404",)))
        for endpoint in (
            Endpoint(path, _READ, "Open Inference Protocol: the model's tensors.", ModelMetadata, errors=errors),
            Endpoint(
                f"{path}/ready",
                HEALTH,
                "Open Inference Protocol: the model answers.",
                ModelReady,
                errors=("503", *errors),
            ),
            Endpoint(
                f"{path}/infer",
                _PREDICT,
                "Open Inference Protocol: predict for up to 10,000 people, a tensor of one length for each input.",
                InferenceResponse,
                InferenceRequest,
                4 * _MIB,  # 10,000 people are 2 MB of JSON
                ("404",),
            ),
        )
    ),
    Endpoint("/metrics", AccessRule(scope=Scope.METRICS, counted=False), "For Prometheus, in its text format."),
    *(Endpoint(path, STATIC) for path in ("/", "/docs.json", "/schema.json", "/app", "/app/*", "/static_content/*")),
    Endpoint("/app/report*", _READ),
)

_BY_PATH: Final = {endpoint.path: endpoint for endpoint in ENDPOINTS}
_PREFIXES: Final = sorted((path[:-1] for path in _BY_PATH if path.endswith("*")), key=len, reverse=True)
_UNKNOWN: Final = Endpoint("", ANY_KEY)
_V2_MODEL: Final = "/v2/models/"


def find(path: str) -> Endpoint:
    """Return the endpoint of a request's path; of an unknown path one that needs any key and takes no body."""
    return _BY_PATH.get(path) or _find(path)


def _find(path: str) -> Endpoint:
    if path.startswith(_V2_MODEL):  # whatever the model is called: which there are, a key protects
        last = path.rpartition("/")[2]
        return _BY_PATH[f"{_V2_MODEL}{NAME}" + (f"/{last}" if last in {"ready", "infer"} else "")]
    return next((_BY_PATH[f"{prefix}*"] for prefix in _PREFIXES if path.startswith(prefix)), _UNKNOWN)
