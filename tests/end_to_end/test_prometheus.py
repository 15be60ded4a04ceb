"""The real service under the real Prometheus: every rule evaluates, every panel shows something, alerts arrive."""

import re
import threading
from hashlib import sha256
from itertools import cycle

import pytest

from drugpred.codebook import describe
from drugpred.schemas import EXAMPLE
from tests.configs.monitoring.test_queries import filled, panels, rules
from tests.end_to_end.test_model_life import run
from tests.end_to_end.test_monitoring import ask_every_way
from tests.harness.prometheus import alertmanager, prometheus, webhook
from tests.harness.store import NEWER, copy_of, newest

pytestmark = pytest.mark.slow

KEYS = {"alice": "predict", "monitor": "metrics"}
"""Names, which here are the keys too, and their scopes."""


@pytest.fixture(scope="module")
def traffic(real):
    """Return a function that sends a server all kinds of requests, feedback and mistakes, until it is stopped."""

    def ask(server, ended):
        people = cycle([describe(row) for row in real.X.tolist()])
        with server.client() as client:
            while not ended.wait(1):
                ask_every_way(server, 1)
                for window in ("decade", "year"):
                    profiles = [next(people) for _ in range(250)] + [EXAMPLE] * 250  # half of them are one person
                    batch = {"profiles": [profile | {"window": window} for profile in profiles]}
                    answers = client.post("/predict_batch", json=batch).json()
                    for answer in answers[:5]:
                        outcomes = {risk["drug"]: risk["probability"] > 0.5 for risk in answer["risks"]}
                        client.post("/feedback", json={"prediction_id": answer["prediction_id"], "outcomes": outcomes})
                client.post("/predict", json={})
                client.get("/nowhere")
                client.get("/readyz")

    return ask


@pytest.fixture(scope="module")
def guarded(serve, store, tmp_path_factory):
    """A server with keys and a limit."""
    keys = ";".join(f"{name} {scope} {sha256(name.encode()).hexdigest()}" for name, scope in KEYS.items())
    home = copy_of(store, tmp_path_factory.mktemp("guarded") / "bentoml")
    with serve(home, DRUGPRED_API_KEYS=keys, DRUGPRED_RATE_LIMIT="120/minute") as server:
        yield server


def address_of(server):
    return server.url.removeprefix("http://")


def misuse(server, ended):
    """Send a server requests with wrong keys, and too many, until it is stopped."""
    with server.client() as client:
        while not ended.wait(0.2):
            client.post("/predict", json=EXAMPLE)
            for key in ("eve", "monitor", "alice"):
                client.post("/predict", json=EXAMPLE, headers={"x-api-key": key})


@pytest.fixture(scope="module")
def watched(serve, store, traffic, guarded, tmp_path_factory):
    """Prometheus with two workers under traffic, with a challenger, and a guarded server, and the alerts' receiver."""
    ended = threading.Event()
    folders = [tmp_path_factory.mktemp(name) for name in ("prometheus", "alertmanager")]
    home = copy_of(store, tmp_path_factory.mktemp("watched") / "bentoml")
    models = {"DRUGPRED_MODEL": newest(home).tag, "DRUGPRED_CHALLENGER": run(home, "-c", NEWER)}
    with (
        serve(home, BENTOML_CONFIG_OPTIONS="services.drugpred.workers=2", **models) as server,
        webhook() as receiver,
        alertmanager(folders[1], receiver) as address,
        prometheus(folders[0], *map(address_of, (server, guarded)), alertmanager=address, key="monitor") as watcher,
    ):
        asking = [
            threading.Thread(target=traffic, args=(server, ended)),
            threading.Thread(target=misuse, args=(guarded, ended)),
        ]
        for each in asking:
            each.start()
        try:
            yield watcher, receiver
        finally:
            ended.set()
            for each in asking:
                each.join()


def test_the_key_is_accepted_and_harmless_if_none_is_needed(watched):
    assert len(watched[0].wait('count(up{job="drugpred"} == 1) == 2')) == 1


def test_every_rule_evaluates(watched):
    found = watched[0].rules()
    assert len(found) == len(rules())
    assert not [(rule["name"], rule["lastError"]) for rule in found if rule["health"] != "ok"]


@pytest.mark.parametrize("record", sorted({rule["record"] for rule in rules() if "record" in rule}))
def test_each_recording_rule_records(watched, record):
    watched[0].wait(record)


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_each_panel_shows_something(watched, panel):
    for target in panel["targets"]:
        watched[0].wait(filled(target["expr"]))


@pytest.mark.parametrize("reason", ["missing", "unknown", "scope"])
def test_denied_calls_are_visible(watched, reason):
    watched[0].wait(f'drugpred_denied_total{{reason="{reason}"}}')


def test_limited_calls_are_visible(watched):
    watched[0].wait('drugpred_limited_total{limit="rate"}')


def test_alerts_reach_the_webhook(watched):
    # The same request again and again is none of the respondents' mix.
    drift = watched[1].wait("/ticket", "DrugpredInputDrift")
    assert re.search(r"\(PSI \d+\.\d\d over (an hour|a day)\)$", drift["annotations"]["summary"])
    denied = watched[1].wait("/ticket", "DrugpredDenied")
    assert re.match(
        r"\d+\.\d calls per second are rejected for their API key: (unknown|scope)$", denied["annotations"]["summary"]
    )
    assert drift["annotations"]["runbook"] != denied["annotations"]["runbook"]
