"""Send a deployed service one request of each kind, and check the answers.

usage: python configs/deploy/smoke.py http://HOST:3000 [grpc://HOST:3001]

It connects to the service itself, for example through `kubectl port-forward`: an ingress hides the probes and /metrics.
SMOKE_API_KEY has a key with the scopes predict, read and metrics. Exit status: 0 if all checks pass, else 1.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx

from drugpred.client import Client
from drugpred.errors import DrugpredError
from drugpred.schemas import EXAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE: Final = "uci"
"""Required data source of the model: simulated respondents are for tests only."""


class CheckFailedError(Exception):
    """The service answered incorrectly."""


class Check:
    """One service over both transports; each check returns a short result."""

    def __init__(self, http: str, grpc: str, key: str | None) -> None:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        self.raw = httpx.Client(base_url=http, headers=headers, timeout=10)
        self.http = Client(http, timeout=10, key=key)
        self.grpc = Client(grpc, timeout=10, key=key)

    def ready(self) -> str:
        """Check that it is ready over both transports."""
        expect(self.raw.get("/livez").is_success, "/livez answers 200")
        expect(self.http.health(), "/readyz answers 200")
        expect(self.grpc.health(), "gRPC's health is SERVING")
        return "HTTP and gRPC"

    def health(self) -> str:
        """Check the health."""
        health = self.raw.get("/health").raise_for_status().json()
        expect(health["status"] == "ok", "the status is ok")
        expect(health.get("data_source") == SOURCE, f"the data source is {SOURCE}; a key with the scope read is needed")
        return f"version {health['version']}, data source {health['data_source']}"

    def model(self) -> str:
        """Check that both transports serve one model, trained on the real data."""
        model, other = self.http.model(), self.grpc.model()
        expect(model.model == other.model, "HTTP and gRPC serve one model")
        expect(model.data_source == SOURCE, f"the model was trained on {SOURCE}")
        return model.model

    def prediction(self) -> str:
        """Check that both transports predict the same for one person."""
        found, other = (self._probabilities(client) for client in (self.http, self.grpc))
        expect(len(found) == len(other) > 0, "HTTP and gRPC predict the same drugs")
        # Requests that share a batch may differ in the last bit.
        expect(all(map(_close, found, other)), "HTTP and gRPC predict the same probabilities")
        expect(all(0 < each < 1 for each in found), "probabilities are between 0 and 1")
        return f"{len(found)} probabilities"

    def batch(self) -> str:
        """Check that a batch predicts the same as a single request."""
        people, alone = [EXAMPLE] * 3, self._probabilities(self.http)
        for client in (self.http, self.grpc):
            answers = client.predict_batch(people)
            expect(len(answers) == len(people), "each profile gets an answer")
            for answer in answers:
                found = [risk["probability"] for risk in answer.risks]
                expect(all(map(_close, found, alone)), "a batch predicts the same probabilities")
        return f"{len(people)} profiles over HTTP and gRPC"

    def refusal(self) -> str:
        """Check that a malformed request is rejected."""
        answer = self.raw.post("/predict", json={**EXAMPLE, "age": 17})
        expect(answer.status_code == httpx.codes.BAD_REQUEST, "a malformed profile is answered 400")
        (fault,) = answer.json()["detail"]
        expect(fault["loc"] == ["age"], "the refusal names the field")
        return "400, names the field"

    def documentation(self) -> str:
        """Check that the OpenAPI document is served."""
        contract = self.raw.get("/docs.json").raise_for_status().json()
        expect("/predict" in contract["paths"], "/docs.json describes /predict")
        return f"{len(contract['paths'])} paths"

    def metrics(self) -> str:
        """Check that /metrics has the metrics of the rules."""
        text = self.raw.get("/metrics").raise_for_status().text
        for name in ("bentoml_service_request_total", "drugpred_grpc_requests_total", "drugpred_model_info"):
            expect(f"\n{name}{{" in text, f"/metrics has {name}")
        return f"{text.count(chr(10))} lines"

    def _probabilities(self, client: Client) -> list[float]:
        return [risk["probability"] for risk in client.predict(EXAMPLE).risks]


def main() -> int:
    """Run every check, print a line for each, and return the exit status."""
    parser = argparse.ArgumentParser(description="Check the answers of a deployed service, one of each kind.")
    parser.add_argument("http", help="http://HOST:3000")
    parser.add_argument("grpc", nargs="?", help="by default grpc:// on port 3001 of the same host")
    arguments = parser.parse_args()
    grpc = arguments.grpc or f"grpc://{urlsplit(arguments.http).hostname}:3001"
    check = Check(arguments.http, grpc, os.environ.get("SMOKE_API_KEY"))
    checks = (
        check.ready,
        check.health,
        check.model,
        check.prediction,
        check.batch,
        check.refusal,
        check.documentation,
        check.metrics,
    )
    failed = [each for each in checks if not passes(each)]
    return 1 if failed else 0


def passes(check: Callable[[], str]) -> bool:
    """Print the result of a check, or why it failed, and return whether it passed."""
    try:
        found = check()
    except (CheckFailedError, DrugpredError, httpx.HTTPError) as error:
        show(f"FAILED  {check.__name__}: {error}")
        return False
    except (ValueError, LookupError, TypeError):  # their messages may hold parts of an answer
        show(f"FAILED  {check.__name__}: the answer is malformed, or of another version of drugpred")
        return False
    show(f"ok      {check.__name__}: {found}")
    return True


def expect(fact: bool, what: str) -> None:
    """Raise CheckFailedError unless a fact is true."""
    if not fact:
        raise CheckFailedError(f"expected that {what}")


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, abs_tol=1e-9)


def show(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201 - a command's output


if __name__ == "__main__":
    sys.exit(main())
