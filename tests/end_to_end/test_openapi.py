"""The OpenAPI document compared with real servers: all that happens is documented, and all documented happens."""

import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from hashlib import sha256

import numpy as np
import pytest
from jsonschema_rs import Draft202012Validator

from drugpred.codebook import DRUGS
from drugpred.model_store import NAME
from drugpred.monitoring.feedback import prediction_id
from drugpred.monitoring.feedback.prediction_id import PredictionIdSigner
from drugpred.selection import select
from tests.end_to_end.marked import inference

FEEDBACK_KEY = "0123456789abcdef" * 4
RATE = 100
KEYS = {"reader": "read", "metered": "metrics", "hasty": "read", "everything": "predict,feedback,read,metrics"}
KEYED = {
    "DRUGPRED_API_KEYS": ";".join(f"{key} {scopes} {sha256(key.encode()).hexdigest()}" for key, scopes in KEYS.items())
}
INFER = f"/v2/models/{NAME}/infer"

# All checks, of data that fits the document and of data that does not. No schema can say which prediction_id is
# genuine, that tensors are of one length, or how much of a body is JSON.
SCHEMATHESIS = """
color = false

[parameters]
"path.version" = "{version}"

[phases.stateful]
enabled = false

[[operations]]
include-path = "/feedback"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-path-regex = "/infer$"
checks.positive_data_acceptance.enabled = false
"""


def check_generated(server, specification, stored_model, folder, *arguments):
    """Let schemathesis ask the server about a document, and check that it found nothing."""
    (folder / "docs.json").write_text(json.dumps(specification))
    (folder / "schemathesis.toml").write_text(SCHEMATHESIS.format(version=stored_model.tag.partition(":")[2]))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run", "docs.json"]
    command += ["--url", server.url, "--seed", "1", "--max-examples", "20", "--continue-on-failure"]
    command += ["--report", "json", "--report-json-path", "report.json", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    report = json.loads((folder / "report.json").read_text())
    operations = [method for item in specification["paths"].values() for method in item if method in {"get", "post"}]
    assert report["operations"]["tested"] == len(operations)
    assert report["test_cases"]["generated"] > 1000
    for path in ("/predict", "/predict_batch"):  # much of it is taken
        assert sum(phase["accepted"] for phase in report["valid_rates"][f"POST {path}"].values()) > 10


@pytest.mark.nightly  # the next test asks the same and more
def test_an_open_server_conforms_to_the_document(server, client, stored_model, tmp_path):
    check_generated(server, client.get("/docs.json").json(), stored_model, tmp_path)


@pytest.mark.slow
def test_a_server_with_keys_conforms_to_the_document(serve, copied_store, stored_model, tmp_path):
    with serve(copied_store, **KEYED) as server, server.client() as client:
        specification = client.get("/docs.json").json()
        for item in specification["paths"].values():
            for operation in item.values():
                if isinstance(operation, dict) and {} in operation["security"]:
                    operation["security"].remove({})  # here every request needs a key
        check_generated(server, specification, stored_model, tmp_path, "--header", "X-API-Key: everything")


@pytest.fixture
def strict(launch, copied_store):
    """Return a server with keys and a limit, which a test may end."""
    settings = KEYED | {"DRUGPRED_FEEDBACK_KEY": FEEDBACK_KEY, "DRUGPRED_RATE_LIMIT": f"{RATE}/minute"}
    server = launch(copied_store, **settings)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()


class Seen:
    """Asks, and notes of each operation of a document which statuses it was answered with."""

    def __init__(self, client, stored_model):
        self.client = client
        self.version = stored_model.tag.partition(":")[2]
        self.specification = client.get("/docs.json").json()
        paths = self.specification["paths"]
        self.operations = {
            (path, method): item[method] for path, item in paths.items() for method in ("get", "post") if method in item
        }
        self.posts = [path for path, method in self.operations if method == "post"]
        content = {path: self.operations[path, "post"]["requestBody"]["content"] for path in self.posts}
        self.examples = {path: each["application/json"]["example"] for path, each in content.items()}
        self.statuses: set[tuple[str, str, str]] = set()

    @property
    def documented(self):
        return {(*place, status) for place, operation in self.operations.items() for status in operation["responses"]}

    def ask(self, path, method, status, key="everything", version=None, coding=None, **request):
        """Send a request, by default with the example, and check the format of an error."""
        if method == "post" and not request:
            request = {"json": self.examples[path]}
        path_asked = path.format(version=version or self.version)
        headers = ({"X-API-Key": key} if key else {}) | ({"Content-Encoding": coding} if coding else {})
        answer = self.client.request(method, path_asked, headers=headers, **request)
        assert answer.status_code == status, (method, path, answer.text)
        self.statuses.add((path, method, str(status)))
        if status >= 400:
            error = {"$ref": "#/components/schemas/Error", "components": self.specification["components"]}
            Draft202012Validator(error).validate(answer.json())
            told = self.operations[path, method]["responses"][str(status)].get("$ref", "").rpartition("/")[2]
            needed = self.specification["components"]["responses"].get(told, {}).get("headers", {})
            assert {name.lower() for name in needed} <= set(answer.headers), (method, path, status)
        return answer


def expired(stored_model, monkeypatch):
    """Return the token of an answer that is too old."""
    issued = time.time() - prediction_id.MAX_AGE - 3600
    with monkeypatch.context() as patch:
        patch.setattr(prediction_id.time, "time", lambda: issued)
        made = PredictionIdSigner.of(FEEDBACK_KEY, stored_model).sign(
            np.full((1, 18, 6), 0.5), [select("decade", frozenset(DRUGS))]
        )
    return made[0]


@contextmanager
def held(server, held_bytes):
    """Hold as many bytes of bodies as a server takes: requests that never arrive in whole."""
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nX-API-Key: everything\r\nContent-Length: {held_bytes}\r\n\r\n".encode()
    with ExitStack() as stack:
        for _ in range(4):
            connection = stack.enter_context(socket.create_connection((host, int(port))))
            connection.sendall(head + b" " * (held_bytes - 1))
        time.sleep(1)  # until all of it arrived
        yield


def ask_with_keys(seen):
    """Ask each operation with the key that it needs, with others and with none."""
    for (path, method), operation in seen.operations.items():
        seen.ask(path, method, 404 if path == "/challenger" else 200)  # this server has none
        if operation["security"]:
            for key in ("", "unknown"):
                seen.ask(path, method, 401, key)
            (scope,) = {scope for need in operation["security"] for scopes in need.values() for scope in scopes}
            seen.ask(path, method, 403, "metered" if scope == "read" else "reader")


def ask_wrongly(seen, stored_model, monkeypatch):
    """Send malformed, too long, misdirected, repeated and expired requests."""
    for path in seen.posts:
        seen.ask(path, "post", 400, content=b"{")
        longest = {"/predict": 64 * 1024, "/feedback": 4096}.get(path, 4 * 2**20)
        seen.ask(path, "post", 413, content=b" " * (longest + 1))
        seen.ask(path, "post", 415, content=b"{}", coding="br")
        if path.endswith("/infer"):
            seen.ask(path, "post", 404, json=inference("lsd") | {"model_name": "zebra"})
    for path, method in seen.operations:
        if "{version}" in path:
            seen.ask(path, method, 404, version="zebra")
    seen.ask("/feedback", "post", 409)
    seen.ask(
        "/feedback",
        "post",
        410,
        json=seen.examples["/feedback"] | {"prediction_id": expired(stored_model, monkeypatch)},
    )


def ask_too_often(seen):
    """Use up what a key may ask, and then ask all that counts."""
    while seen.client.get("/v2", headers={"X-API-Key": "hasty"}).status_code == 200:
        pass
    for (path, method), operation in seen.operations.items():
        if "429" in operation["responses"]:
            seen.ask(path, method, 429, "hasty")
        else:
            assert seen.client.request(method, path, headers={"X-API-Key": "hasty"}).status_code in {200, 403, 404}


@pytest.mark.slow
def test_every_documented_status_occurs_and_no_other(strict, stored_model, monkeypatch):
    with strict.client() as client:
        seen = Seen(client, stored_model)
        token = seen.ask("/predict", "post", 200).json()["prediction_id"]
        seen.examples["/feedback"] = {"prediction_id": token, "outcomes": {"lsd": True}}
        ask_with_keys(seen)
        ask_wrongly(seen, stored_model, monkeypatch)
        with held(strict, 4 * 2**20):
            for path in seen.posts:
                seen.ask(path, "post", 503)
        ask_too_often(seen)
        strict.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 1
        while client.get("/readyz").status_code == 200 and time.monotonic() < deadline:
            time.sleep(0.02)
        for path, method in seen.operations:
            if path.endswith(("/readyz", "/ready")):
                seen.ask(path, method, 503)
    assert seen.statuses == seen.documented - {("/challenger", "get", "200")}
