"""The real service under the real Prometheus: every rule evaluates, every panel shows something, an alert arrives."""

import threading
from itertools import cycle

import pytest

from drugpred.codebook import describe
from drugpred.schemas import EXAMPLE
from tests.configs.monitoring.test_queries import filled, panels, rules
from tests.end_to_end.test_monitoring import ask_every_way
from tests.prometheus import alertmanager, prometheus, webhook

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def traffic(real):
    """Return what asks a server of ever more people, every way, with feedback and mistakes, until it is told to end."""

    def ask(server, ended):
        people = cycle([describe(row) for row in real.X.tolist()])
        with server.client() as client:
            while not ended.is_set():
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
def watched(serve, store, traffic, tmp_path_factory):
    """Prometheus that watches two workers under traffic, and who is told of alerts."""
    ended = threading.Event()
    folders = [tmp_path_factory.mktemp(name) for name in ("prometheus", "alertmanager")]
    with (
        serve(store, BENTOML_CONFIG_OPTIONS="services.drugpred.workers=2") as server,
        webhook() as receiver,
        alertmanager(folders[1], receiver) as address,
        prometheus(folders[0], server.url.removeprefix("http://"), alertmanager=address) as watcher,
    ):
        asking = threading.Thread(target=traffic, args=(server, ended))
        asking.start()
        try:
            yield watcher, receiver
        finally:
            ended.set()
            asking.join()


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


def test_an_alert_reaches_the_webhook(watched):
    # The same request again and again is none of the respondents' mix.
    alert = watched[1].wait("/ticket", "DrugpredInputDrift")
    assert alert["annotations"]["runbook"]
