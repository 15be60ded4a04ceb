"""Ask a deployed service once for everything that it must do.

usage: python configs/deploy/smoke.py http://HOST:3000 [grpc://HOST:3001]

It asks the service itself, as by `kubectl port-forward`: what stands before it hides the probes and /metrics. A key
with the scopes predict, read and metrics is taken from SMOKE_API_KEY. Exit codes: 0 all is well; 1 something is not.
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
"""What a model must be trained on: simulated respondents are for trying things out."""


class StoreUnavailableError(Exception):
    """The service answered, but not what it must."""


class Check:
    """One service over both transports; each check returns what it found."""

    def __init__(self, http: str, grpc: str, key: str | None) -> None:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        self.raw = httpx.Client(base_url=http, headers=headers, timeout=10)
        self.http = Client(http, timeout=10, key=key)
        self.grpc = Client(grpc, timeout=10, key=key)

    def ready(self) -> str:
        """Look whether it is ready over both."""
        expect(self.raw.get("/livez").is_success, "/livez answers 200")
        expect(self.http.health(), "/readyz answers 200")
        expect(self.grpc.health(), "gRPC's health is SERVING")
        return "HTTP and gRPC"

    def health(self) -> str:
        """Look what it says of itself."""
        told = self.raw.get("/health").raise_for_status().json()
        expect(told["status"] == "ok", "the status is ok")
        expect(told.get("data_source") == SOURCE, f"the data source is {SOURCE}, told to a key with the scope read")
        return f"version {told['version']}, data source {told['data_source']}"

    def model(self) -> str:
        """See that both serve one model, trained on the real data."""
        model, other = self.http.model(), self.grpc.model()
        expect(model.model == other.model, "HTTP and gRPC serve one model")
        expect(model.data_source == SOURCE, f"the model was trained on {SOURCE}")
        return model.model

    def prediction(self) -> str:
        """See that both say the same of a person."""
        found, other = (self._probabilities(client) for client in (self.http, self.grpc))
        expect(len(found) == len(other) > 0, "HTTP and gRPC tell of the same drugs")
        # What is asked at the same time may change the last bit.
        expect(all(map(_close, found, other)), "HTTP and gRPC tell the same probabilities")
        expect(all(0 < each < 1 for each in found), "probabilities are between 0 and 1")
        return f"{len(found)} probabilities"

    def batch(self) -> str:
        """See that many are told what each alone is."""
        people, alone = [EXAMPLE] * 3, self._probabilities(self.http)
        for client in (self.http, self.grpc):
            answers = client.predict_batch(people)
            expect(len(answers) == len(people), "each profile gets an answer")
            for answer in answers:
                found = [risk["probability"] for risk in answer.risks]
                expect(all(map(_close, found, alone)), "a batch tells the same probabilities")
        return f"{len(people)} profiles over HTTP and gRPC"

    def refusal(self) -> str:
        """See that what is malformed is refused."""
        answer = self.raw.post("/predict", json={**EXAMPLE, "age": 17})
        expect(answer.status_code == httpx.codes.BAD_REQUEST, "a malformed profile is answered 400")
        (fault,) = answer.json()["detail"]
        expect(fault["loc"] == ["age"], "the refusal names the field")
        return "400, names the field"

    def documentation(self) -> str:
        """See that the contract is served."""
        contract = self.raw.get("/docs.json").raise_for_status().json()
        expect("/predict" in contract["paths"], "/docs.json describes /predict")
        return f"{len(contract['paths'])} paths"

    def metrics(self) -> str:
        """See that Prometheus finds what the rules ask for."""
        text = self.raw.get("/metrics").raise_for_status().text
        for name in ("bentoml_service_request_total", "drugpred_grpc_requests_total", "drugpred_model_info"):
            expect(f"\n{name}{{" in text, f"/metrics has {name}")
        return f"{text.count(chr(10))} lines"

    def _probabilities(self, client: Client) -> list[float]:
        return [risk["probability"] for risk in client.predict(EXAMPLE).risks]


def main() -> int:
    """Run every check, print a line of each, and return the exit code."""
    parser = argparse.ArgumentParser(description="Ask a deployed service once for everything that it must do.")
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
    """Print what a check found, or why it failed, and return whether all is well."""
    try:
        found = check()
    except (StoreUnavailableError, DrugpredError, httpx.HTTPError) as error:
        tell(f"FAILED  {check.__name__}: {error}")
        return False
    except (ValueError, LookupError, TypeError):  # whose messages may hold what came back
        tell(f"FAILED  {check.__name__}: the answer is none of this version of drugpred")
        return False
    tell(f"ok      {check.__name__}: {found}")
    return True


def expect(fact: bool, what: str) -> None:
    """Raise StoreUnavailableError unless it is so."""
    if not fact:
        raise StoreUnavailableError(f"expected that {what}")


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, abs_tol=1e-9)


def tell(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201 - a command's output


if __name__ == "__main__":
    sys.exit(main())
