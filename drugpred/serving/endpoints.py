"""The table of HTTP endpoints: source of the access rules, body limits and the OpenAPI document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from drugpred.model_store import NAME, TaggedCard
from drugpred.schemas import Accepted, Batch, Challenge, Drift, Feedback, Health, Prediction, Predictions, Profile
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
    """An endpoint; `{…}` in its path matches any one segment."""

    path: str  # a prefix if it ends with `*`
    rule: AccessRule
    summary: str = ""  # in the OpenAPI document; an endpoint without one is not in it
    answer: type[BaseModel] | None = None
    request: type[BaseModel] | None = None  # the body of a POST; an endpoint without one is a GET
    max_body_bytes: int = 0  # many times the longest request, so that it may be indented
    errors: tuple[str, ...] = ()  # statuses of this endpoint, besides those of every endpoint with its method


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
        "Predict each drug's probability of use for up to 1000 people; at most 100 with explanations.",
        Predictions,
        Batch,
        4 * _MIB,  # a batch of 1000 is half a MB
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
        "Drift of the profiles since the server started, compared with the training data.",
        Drift,
    ),
    Endpoint(
        "/challenger",
        _READ,
        "How the challenger compares with the model served; 404 if there is none.",
        Challenge,
        errors=("404",),
    ),
    Endpoint(
        "/health",
        HEALTH,
        "Health; with the scope read, or if no keys are configured, also the model that is served.",
        Health,
    ),
    Endpoint("/model", _READ, "The model card.", TaggedCard),
    Endpoint("/livez", HEALTH, "Liveness probe: the process is alive."),
    Endpoint("/healthz", HEALTH, "As /livez."),
    Endpoint("/readyz", HEALTH, "Readiness probe: predictions are answered.", errors=("503",)),
    Endpoint("/v2", _READ, "Open Inference Protocol: server metadata.", ServerMetadata),
    Endpoint("/v2/health/live", HEALTH, "Open Inference Protocol: the process is alive.", Live),
    Endpoint("/v2/health/ready", HEALTH, "Open Inference Protocol: predictions are answered.", Ready, errors=("503",)),
    *(
        endpoint
        for path, errors in ((f"/v2/models/{NAME}", ()), (f"/v2/models/{NAME}/versions/{{version}}", ("404",)))
        for endpoint in (
            Endpoint(path, _READ, "Open Inference Protocol: model metadata.", ModelMetadata, errors=errors),
            Endpoint(
                f"{path}/ready",
                HEALTH,
                "Open Inference Protocol: the model is ready.",
                ModelReady,
                errors=("503", *errors),
            ),
            Endpoint(
                f"{path}/infer",
                _PREDICT,
                "Open Inference Protocol: predict for up to 10,000 people; all input tensors have one length.",
                InferenceResponse,
                InferenceRequest,
                4 * _MIB,  # 10,000 people are 2 MB of JSON
                ("404",),
            ),
        )
    ),
    Endpoint("/metrics", AccessRule(scope=Scope.METRICS, counted=False), "Prometheus metrics, in the text format."),
    *(Endpoint(path, STATIC) for path in ("/", "/docs.json", "/schema.json", "/app", "/app/*", "/static_content/*")),
    Endpoint("/app/report*", _READ),
)

_BY_PATH: Final = {endpoint.path: endpoint for endpoint in ENDPOINTS}
_PREFIXES: Final = sorted((path[:-1] for path in _BY_PATH if path.endswith("*")), key=len, reverse=True)
_UNKNOWN: Final = Endpoint("", ANY_KEY)
_V2_MODEL: Final = "/v2/models/"


def find(path: str) -> Endpoint:
    """Return the endpoint of a path; for an unknown path one that needs any key and takes no body."""
    return _BY_PATH.get(path) or _find(path)


def _find(path: str) -> Endpoint:
    if path.startswith(_V2_MODEL):  # any model name: a caller without a key must not learn which models exist
        last = path.rpartition("/")[2]
        return _BY_PATH[f"{_V2_MODEL}{NAME}" + (f"/{last}" if last in {"ready", "infer"} else "")]
    return next((_BY_PATH[f"{prefix}*"] for prefix in _PREFIXES if path.startswith(prefix)), _UNKNOWN)
