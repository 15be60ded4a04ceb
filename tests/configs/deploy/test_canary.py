"""The judge of a canary, as a command that asks a real Prometheus."""

import importlib.util
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml
from scipy.stats import fisher_exact

from drugpred.monitoring.metrics import _DURATION_BUCKETS as _BUCKETS
from tests.harness import ROOT, repeating
from tests.harness.prometheus import MONITORING, exposition, prometheus

COMMAND = ROOT / "configs" / "deploy" / "canary.py"
specification = importlib.util.spec_from_file_location("canary", COMMAND)
canary = importlib.util.module_from_spec(specification)
sys.modules["canary"] = canary
specification.loader.exec_module(canary)
Seen = canary.Seen

PREDICT = "/predict"
PROCEDURE = "drugpred.v1.DrugPrediction/Predict"


def seen(requests: int, errors: int = 0, p95: float = 0.001, endpoint: str = PREDICT) -> Seen:
    return Seen(Counter({endpoint: requests}), errors, {endpoint: p95})


@pytest.mark.parametrize(
    ("new", "old", "code", "why"),
    [
        (seen(1000), seen(3000), canary.PROMOTE, "no worse than the stable release"),
        (seen(1000), seen(0), canary.PROMOTE, "nothing to compare"),
        (seen(1000, p95=0.004), seen(3000), canary.PROMOTE, "no worse"),  # slower, and nobody notices
        (seen(1000, 1), seen(3000), canary.PROMOTE, "no worse"),  # may be chance
        (seen(100_000, 40), seen(300_000, 1), canary.PROMOTE, "no worse"),  # within budget
        (seen(1000, 15), seen(3000, 45), canary.ROLL_BACK, "1.50% of its requests fail, more than 1.44%"),
        (seen(300, 5), seen(0), canary.ROLL_BACK, "1.67% of its requests fail"),
        (seen(1000, 8), seen(3000, 3), canary.ROLL_BACK, "0.80% .* of the stable release's 0.10%"),
        (seen(1000, p95=0.026), seen(3000, p95=0.026), canary.ROLL_BACK, "26.0 ms, more than 25 ms"),
        (seen(1000, p95=0.012), seen(3000, p95=0.005), canary.ROLL_BACK, "12.0 ms, that of the stable release 5.0 ms"),
        (seen(299), seen(3000), canary.UNDECIDED, "299 requests, at least 300 are needed"),
        (seen(299, 9), seen(3000), canary.UNDECIDED, "299 requests"),
        (seen(1000, endpoint="/model"), seen(3000), canary.PROMOTE, "no worse"),
        (seen(0), seen(0), canary.UNDECIDED, "0 requests"),
    ],
)
def test_verdict_at_the_end(new, old, code, why):
    found, said = canary.judge(new, old, ended=True)
    assert (found, bool(re.search(why, said))) == (code, True), said


def test_latency_of_too_few_requests_is_undecided():
    new = Seen(Counter({"/predict_batch": 1000, PREDICT: 99}), 0, {PREDICT: 0.001})
    assert canary.judge(new, seen(3000), ended=True)[0] == canary.UNDECIDED


def test_many_errors_are_rolled_back_at_once_and_few_wait_for_the_end():
    assert canary.judge(seen(20, 10), seen(0), ended=False)[0] == canary.ROLL_BACK
    assert canary.judge(seen(20, 9), seen(0), ended=False) is None
    assert canary.judge(seen(1000, p95=1), seen(0), ended=False) is None


@pytest.mark.parametrize(
    ("new", "old"), [((1000, 8), (3000, 3)), ((10, 3), (10, 0)), ((5, 5), (5, 5)), ((9, 0), (9, 4)), ((9, 2), (0, 0))]
)
def test_chance_is_that_of_fishers_exact_test(new, old):
    table = [[errors, requests - errors] for requests, errors in (new, old)]
    expected = fisher_exact(table, alternative="greater").pvalue
    assert canary.chance(seen(*new), seen(*old)) == pytest.approx(expected)


def test_limits_and_selection_are_those_of_the_rules():
    alerts = (MONITORING / "rules" / "alerts.yml").read_text("utf-8")
    assert f"14.4 * {canary.BUDGET} *" in alerts
    burn = canary.MAX_ERRORS / canary.BUDGET
    assert burn == pytest.approx(14.4)
    assert f"drugpred_errors:increase6h >= {canary.FEWEST_ERRORS} " in alerts
    slow = next(rule["expr"] for rule in rules(alerts) if rule.get("alert") == "DrugpredSlow")
    assert f'endpoint=~"{"|".join(canary.TIMED)}"}} > {canary.SLOWEST}\n' in f"{slow}\n".replace(" and", "\n and")
    assert f"* 300 >= {canary.FEWEST_TIMED}" in slow
    traffic = (MONITORING / "rules" / "traffic.yml").read_text("utf-8")
    for part in (canary.HTTP, canary.GRPC, f'code=~"{"|".join(canary.FAULTS)}"'):
        assert part in traffic


def rules(text):
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


class Track:
    """The metrics of a pod under steady traffic."""

    def __init__(self, name: str, namespace: str = "drugpred") -> None:
        self.labels = f'namespace="{namespace}",track="{name}",pod="drugpred-{name}"'
        self.counts = Counter()
        self.buckets = Counter()

    def answer(self, n: int, code: str = "200", seconds: float = 0.0008) -> None:
        self.counts["endpoint", PREDICT, code] += n
        self.buckets |= {("endpoint", PREDICT, le): self.buckets["endpoint", PREDICT, le] for le in (*_BUCKETS, "+Inf")}
        for le in (*(each for each in _BUCKETS if seconds <= each), "+Inf"):
            self.buckets["endpoint", PREDICT, le] += n

    def call(self, n: int, code: str = "OK") -> None:
        self.counts["method", PROCEDURE, code] += n

    def text(self) -> str:
        lines = []
        for (label, name, code), n in list(self.counts.items()):
            http = label == "endpoint"
            metric = "bentoml_service_request_total" if http else "drugpred_grpc_requests_total"
            status = "http_response_code" if http else "code"
            lines.append(f'{metric}{{{self.labels},{label}="{name}",{status}="{code}"}} {n}')
        for (label, name, le), n in list(self.buckets.items()):
            metric = "bentoml_service_request_duration_seconds_bucket"
            lines.append(f'{metric}{{{self.labels},{label}="{name}",le="{le}"}} {n}')
        return "\n".join([*lines, ""])


@contextmanager
def traffic(*answers) -> Iterator[None]:
    """Have all that is given happen twenty times a second."""

    def run():
        for answer in answers:
            answer()

    with repeating(0.05, run):
        yield


def command(url: str, minutes: float = 0.1, *more: str) -> subprocess.CompletedProcess:
    arguments = [sys.executable, COMMAND, "--prometheus", url, "--minutes", str(minutes), *more]
    return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def pods(tmp_path):
    """A canary and a stable pod below a Prometheus that scrapes each second."""
    tracks = Track("canary"), Track("stable")
    with (
        exposition(tracks[0].text) as new,
        exposition(tracks[1].text) as old,
        prometheus(tmp_path, new.address, old.address) as watcher,
    ):
        yield *tracks, watcher.url, new


@pytest.mark.slow
def test_promotes_a_release_as_good_as_the_stable_one(pods):
    new, old, url, scrapes = pods
    with traffic(lambda: new.answer(10), lambda: new.call(2), lambda: old.answer(30)):
        scrapes.pass_scrapes(2)
        done = command(url)
    assert (done.returncode, done.stderr) == (canary.PROMOTE, ""), done.stdout
    assert done.stdout.splitlines()[-1] == "promote: it is within the limits, and no worse than the stable release"
    # The verdict is of what happened: 240 requests a second of the canary, and no more than the watch saw of them.
    last = re.findall(r"canary: (\d+) requests, 0 errors \(0.00%\), p95 of /predict (\S+) ms", done.stdout)[-1]
    assert 300 <= int(last[0]) <= 12 * 20 * 15
    assert 0.5 < float(last[1]) <= 1


@pytest.mark.slow
def test_rolls_back_at_once_a_release_that_fails_from_the_start(pods):
    new, old, url, scrapes = pods
    with traffic(lambda: old.answer(30)):
        scrapes.pass_scrapes(2)
        begun = time.monotonic()
        failing = threading.Timer(2, lambda: (new.answer(5), new.answer(15, "500")))  # once, and nothing after it
        failing.start()
        done = command(url, 0.5)
    assert done.returncode == canary.ROLL_BACK, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "roll back: 75.00% of its requests fail, more than 1.44%"
    assert time.monotonic() - begun < 25


@pytest.mark.slow
def test_rolls_back_failing_calls_of_grpc(pods):
    new, old, url, scrapes = pods
    with traffic(lambda: new.answer(10), lambda: new.call(1, "INTERNAL"), lambda: old.answer(30)):
        scrapes.pass_scrapes(2)
        done = command(url)
    assert done.returncode == canary.ROLL_BACK, done.stdout + done.stderr


@pytest.mark.slow
def test_rolls_back_a_slow_release_and_ignores_mistakes_of_callers(pods):
    new, old, url, scrapes = pods
    with traffic(lambda: new.answer(10, "400", 0.04), lambda: old.answer(30)):
        scrapes.pass_scrapes(2)
        done = command(url)
    assert done.returncode == canary.ROLL_BACK, done.stdout + done.stderr
    assert re.fullmatch(r"roll back: p95 of /predict is 4\d\.\d ms, more than 25 ms", done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_is_undecided_without_requests(pods):
    new, old, url, scrapes = pods
    new.answer(5000)  # before the watch
    with traffic(lambda: old.answer(30)):
        scrapes.pass_scrapes(3)
        done = command(url)
    assert done.returncode == canary.UNDECIDED, done.stdout + done.stderr
    assert "it got 0 requests" in done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_other_namespaces_do_not_count(pods):
    new, old, url, _ = pods
    new.labels = new.labels.replace('"drugpred"', '"drugpred-staging"')
    with traffic(lambda: new.answer(10), lambda: old.answer(30)):
        assert command(url).returncode == canary.UNDECIDED
        assert command(url, 0.1, "--namespace", "drugpred-staging").returncode == canary.PROMOTE


def test_is_undecided_if_prometheus_does_not_answer():
    done = command("http://127.0.0.1:9", 0.01)
    assert (done.returncode, done.stderr) == (canary.UNDECIDED, "")
    assert done.stdout.splitlines()[-1] == "cannot decide: Prometheus does not answer"


def test_is_undecided_if_another_server_answers():
    with exposition(lambda: "hello") as other:
        done = command(f"http://{other.address}", 0.01)
    assert (done.returncode, done.stderr) == (canary.UNDECIDED, "")
