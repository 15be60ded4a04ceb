"""Judge a canary by the metrics of it and of the stable release in Prometheus.

usage: python configs/deploy/canary.py --prometheus URL [--minutes 10] [--namespace drugpred]

It watches for that time, and prints the metrics. Exit status: 0 promote it; 1 roll it back, at once if there are many
errors; 2 cannot decide, because there were too few requests or Prometheus does not answer.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import httpx

PROMOTE: Final = 0
ROLL_BACK: Final = 1
UNDECIDED: Final = 2

# The limits and the requests that count are those of configs/monitoring/rules: DrugpredErrors, DrugpredSlow,
# traffic.yml.
BUDGET: Final = 0.001
MAX_ERRORS: Final = 14.4 * BUDGET
SLOWEST: Final = 0.025
"""Highest 95th percentile, in seconds."""
FEWEST_ERRORS: Final = 10
"""Errors that suffice for a verdict before the end."""
FEWEST_TIMED: Final = 100
"""Requests of an endpoint that suffice for its percentile."""
FEWEST: Final = 300
"""Requests: if none of them fails, the share of errors is below 1% (at a level of .05)."""

# Against the stable release: errors at this level and over budget; latency by this factor and over these seconds.
LEVEL: Final = 0.01
SLOWER: Final = 2
NOTICED: Final = 0.005

HTTP: Final = 'endpoint!~"other|/livez|/readyz|/healthz|/health|/v2/health/.*|/v2/models/.*/ready"'
GRPC: Final = 'method!~"unknown|grpc[.].*|.*/(ServerLive|ServerReady|ModelReady)"'
FAULTS: Final = ("UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS")
TIMED: Final = ("/predict", "drugpred.v1.DrugPrediction/Predict")
TRACKS: Final = ("canary", "stable")


@dataclass
class Seen:
    """The requests of one track since the start."""

    requests: Counter[str] = field(default_factory=Counter)
    """By endpoint, or gRPC method."""
    errors: int = 0
    p95: dict[str, float] = field(default_factory=dict)
    """In seconds, by endpoint."""

    @property
    def ratio(self) -> float:
        """The share of errors."""
        return self.errors / max(1, self.requests.total())

    @property
    def timed(self) -> dict[str, float]:
        """The percentiles with enough requests."""
        return {name: value for name, value in self.p95.items() if self.requests[name] >= FEWEST_TIMED}

    def __str__(self) -> str:
        times = "".join(f", p95 of {name} {value * 1000:.1f} ms" for name, value in sorted(self.timed.items()))
        return f"{self.requests.total()} requests, {self.errors} errors ({self.ratio:.2%}){times}"


class Watch:
    """A reader of both tracks' counters in Prometheus."""

    def __init__(self, url: str, namespace: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=10)
        self.selected = f'job="drugpred",namespace="{namespace}",track=~"{"|".join(TRACKS)}"'
        self.seen = {track: Seen() for track in TRACKS}
        self.counters: dict[frozenset[tuple[str, str]], float] | None = None
        self.begun = time.monotonic()

    def look(self) -> None:
        """Add the requests since the last call.

        Raises
        ------
        httpx.HTTPError
            Prometheus does not answer, or its answer is malformed.
        """
        counters = {
            frozenset(labels.items()): value
            for metric, names in (("bentoml_service_request_total", HTTP), ("drugpred_grpc_requests_total", GRPC))
            for labels, value in self._ask(f"{metric}{{{self.selected},{names}}}")
        }
        # rate() would miss the first value of a counter, which may be an error. A counter that falls has restarted.
        for key, value in counters.items() if self.counters is not None else ():
            before = self.counters.get(key, 0.0) if self.counters else 0.0
            self._count(dict(key), round(value - before if value >= before else value))
        self.counters = (self.counters or {}) | counters
        self._time(math.ceil(time.monotonic() - self.begun) + 1)

    def _count(self, labels: dict[str, str], n: int) -> None:
        seen = self.seen[labels["track"]]
        if n:
            seen.requests[labels.get("endpoint") or labels["method"]] += n
        if labels.get("http_response_code", "").startswith("5") or labels.get("code") in FAULTS:
            seen.errors += n

    def _time(self, seconds: int) -> None:
        for metric, label in (
            ("bentoml_service_request_duration_seconds_bucket", "endpoint"),
            ("drugpred_grpc_request_duration_seconds_bucket", "method"),
        ):
            buckets = f'{metric}{{{self.selected},{label}=~"{"|".join(TIMED)}"}}[{seconds}s]'
            query = f"histogram_quantile(0.95, sum by (track, {label}, le) (rate({buckets})))"
            for labels, value in self._ask(query):
                if not math.isnan(value):
                    self.seen[labels["track"]].p95[labels[label]] = value

    def _ask(self, query: str) -> list[tuple[dict[str, str], float]]:
        response = self.client.get("/api/v1/query", params={"query": query}).raise_for_status()
        try:
            return [(each["metric"], float(each["value"][1])) for each in response.json()["data"]["result"]]
        except (ValueError, LookupError, TypeError):
            raise httpx.DecodingError("expected an answer of Prometheus", request=response.request) from None


def judge(canary: Seen, stable: Seen, *, ended: bool) -> tuple[int, str] | None:
    """Return the exit status and the reason, or None if it is too early.

    Parameters
    ----------
    canary, stable : Seen
        The requests of both.
    ended : bool
        Whether this is the last call.
    """
    if canary.ratio > MAX_ERRORS and (canary.errors >= FEWEST_ERRORS or (ended and canary.requests.total() >= FEWEST)):
        return ROLL_BACK, f"{canary.ratio:.2%} of its requests fail, more than {MAX_ERRORS:.2%}"
    if not ended:
        return None
    if canary.requests.total() < FEWEST:
        return UNDECIDED, f"it got {canary.requests.total()} requests, at least {FEWEST} are needed"
    if not canary.timed:
        return UNDECIDED, f"no {' or '.join(TIMED)} got {FEWEST_TIMED} requests, so its latency is unknown"
    if canary.ratio > BUDGET and chance(canary, stable) < LEVEL:
        return ROLL_BACK, f"{canary.ratio:.2%} of its requests fail, of the stable release's {stable.ratio:.2%}"
    for name, value in canary.timed.items():
        if value > SLOWEST:
            return ROLL_BACK, f"p95 of {name} is {value * 1000:.1f} ms, more than {SLOWEST * 1000:.0f} ms"
        if value > max(NOTICED, SLOWER * stable.timed.get(name, math.inf)):
            was = stable.timed[name] * 1000
            return ROLL_BACK, f"p95 of {name} is {value * 1000:.1f} ms, that of the stable release {was:.1f} ms"
    compared = (
        "and no worse than the stable release" if stable.requests.total() >= FEWEST else "with nothing to compare"
    )
    return PROMOTE, f"it is within the limits, {compared}"


def chance(canary: Seen, stable: Seen) -> float:
    """Return the chance of this many errors of the canary if both fail equally often: Fisher's test, one-sided."""
    asked, of = canary.requests.total(), canary.requests.total() + stable.requests.total()
    errors = canary.errors + stable.errors
    return sum(
        math.exp(_ways(asked, k) + _ways(of - asked, errors - k) - _ways(of, errors))
        for k in range(canary.errors, min(asked, errors) + 1)
        if errors - k <= of - asked
    )


def _ways(n: int, k: int) -> float:
    """Return the logarithm of the number of ways to choose k of n."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def main() -> int:
    """Watch, and return the exit status."""
    parser = argparse.ArgumentParser(description="Judge a canary: 0 promote, 1 roll back, 2 cannot decide.")
    parser.add_argument("--prometheus", required=True, metavar="URL")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--namespace", default="drugpred", help="where the canary and the stable release run")
    arguments = parser.parse_args()
    seconds = arguments.minutes * 60
    watch = Watch(arguments.prometheus, arguments.namespace)
    verdict = None
    while verdict is None:
        passed = time.monotonic() - watch.begun
        ended = passed >= seconds
        try:
            watch.look()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            show(f"{passed:5.0f} s  Prometheus: {error}")
            verdict = (UNDECIDED, "Prometheus does not answer") if ended else None
        else:
            show(f"{passed:5.0f} s  canary: {watch.seen['canary']}\n         stable: {watch.seen['stable']}")
            verdict = judge(watch.seen["canary"], watch.seen["stable"], ended=ended)
        if verdict is None:
            time.sleep(min(15, seconds / 4, max(0, seconds - (time.monotonic() - watch.begun))))
    code, why = verdict
    show(f"{('promote', 'roll back', 'cannot decide')[code]}: {why}")
    return code


def show(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201 - a command's output


if __name__ == "__main__":
    sys.exit(main())
