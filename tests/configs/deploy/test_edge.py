"""The edge's configuration in a real HAProxy: forwarding, limits and metrics."""

import json
import os
import shutil
import signal
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import threading
import time
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import grpc
import httpx
import pytest
import yaml
from grpc_health.v1 import health_pb2

from drugpred.proto.drugpred.v1 import drug_prediction_pb2
from drugpred.proto.inference import grpc_service_pb2
from drugpred.serving.openapi import build
from tests.harness import ROOT, serving, skip, wait
from tests.harness import running as started
from tests.harness.certificates import make_certificates
from tests.harness.ports import free_ports

CONFIGURATION = ROOT / "configs" / "deploy" / "edge" / "haproxy.cfg"
HOST = "127.83.0.1"
"""A loopback address of the stand-in's own, as replicas have the same ports."""


class Replica(BaseHTTPRequestHandler):
    """Answers with what arrived."""

    protocol_version = "HTTP/1.1"
    ready = True

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        status = 200 if self.path != "/readyz" or Replica.ready else 503
        status = 429 if self.headers.get("x-want") == "429" else status
        content = json.dumps({"path": self.path, "headers": dict(self.headers), "bytes": len(body)}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.send_header("content-security-policy", "default-src 'none'")
        if status == 429:
            self.send_header("retry-after", "7")
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Names(socketserver.BaseRequestHandler):
    """A name server that returns the same addresses for any name."""

    delay = 0.0
    addresses = (HOST,)

    def handle(self):
        query, reply = self.request
        time.sleep(Names.delay)
        end = query.index(b"\0", 12) + 5
        head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, len(Names.addresses), 0, 0)
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4)
        records = [record + socket.inet_aton(address) for address in Names.addresses]
        reply.sendto(head + query[12:end] + b"".join(records), self.client_address)


class Method(grpc.GenericRpcHandler):
    """Answers any call with its metadata as text."""

    def service(self, details):
        def answer(request, context):
            return repr(sorted((each.key, each.value) for each in context.invocation_metadata())).encode()

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture(scope="module")
def replica():
    """A fake of the service: HTTP, gRPC, and the name server with its address."""
    ThreadingHTTPServer.daemon_threads = True
    rpc = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Method()])
    http, names = ThreadingHTTPServer((HOST, 0), Replica), socketserver.UDPServer((HOST, 0), Names)
    with serving(http), serving(names):
        rpc_port = rpc.add_insecure_port(f"{HOST}:0")
        rpc.start()
        yield http.server_port, rpc_port, names.server_address[1]
        rpc.stop(0).wait()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


class Edge(NamedTuple):
    url: str
    process: subprocess.Popen
    ports: dict[str, int]
    log: Path


@contextmanager
def edge(folder, certificates, replica, **environment):
    """Run HAProxy with the project's configuration, except for the ports and the name server."""
    haproxy = shutil.which("haproxy") or skip("no haproxy: apt-get install haproxy")
    tls = folder / "tls"
    tls.mkdir()
    put(certificates, "server", tls)
    http, rpc, names = replica
    text = CONFIGURATION.read_text("utf-8")
    for old, new in (
        ("first drugpred:3000", f"first {HOST}:{http}"),
        ("first drugpred:3001", f"first {HOST}:{rpc}"),
        ("drugpred:3000", f"drugpred:{http}"),
        ("drugpred:3001", f"drugpred:{rpc}"),
        ("connect port 3000", f"connect port {http}"),
        ("parse-resolv-conf", f"nameserver one {HOST}:{names}"),
    ):
        assert old in text
        text = text.replace(old, new)
    path = folder / "haproxy.cfg"
    path.write_text(text, "utf-8")
    names = ("EDGE_BIND", "EDGE_GRAFANA_BIND", "EDGE_MLFLOW_BIND", "EDGE_METRICS_BIND")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    settings = {name: f"127.0.0.1:{port}" for name, port in ports.items()} | {"EDGE_TLS": str(tls)} | environment
    with (folder / "log").open("w") as log:
        command = [haproxy, "-W", "-db", "-f", path]
        process = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log)
    try:
        url = f"https://localhost:{ports['EDGE_BIND']}"
        with client(certificates) as asking:
            wait(lambda: status(asking, f"{url}/readyz") == 200, (folder / "log").read_text)
        yield Edge(url, process, ports, folder / "log")
    finally:
        process.terminate()
        process.wait(30)


def put(certificates, name, tls):
    """Put a certificate with its key where the edge reads them."""
    shutil.copy(certificates / f"{name}.key", tls / "edge.pem.key")
    shutil.copy(certificates / f"{name}.pem", tls / "edge.pem")


def status(asking, url):
    try:
        return asking.get(url).status_code
    except httpx.TransportError:
        return None


def client(certificates, **kwargs):
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    return httpx.Client(verify=context, timeout=20, **kwargs)


@pytest.fixture(scope="module")
def running(tmp_path_factory, certificates, replica):
    with edge(tmp_path_factory.mktemp("edge"), certificates, replica) as running:
        yield running


@pytest.fixture(scope="module")
def asking(running, certificates):
    with client(certificates, base_url=running.url) as asking:
        yield asking


@pytest.fixture(scope="module")
def channel(running, certificates):
    credentials = grpc.ssl_channel_credentials((certificates / "ca.pem").read_bytes())
    with grpc.secure_channel(running.url.removeprefix("https://"), credentials) as channel:
        yield channel


def test_haproxy_takes_the_configuration_as_it_is(certificates):
    haproxy = shutil.which("haproxy") or skip("no haproxy: apt-get install haproxy")
    (certificates / "tls").mkdir(exist_ok=True)
    put(certificates, "server", certificates / "tls")
    command = [haproxy, "-c", "-f", CONFIGURATION]
    environment = os.environ | {"EDGE_TLS": str(certificates / "tls")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # No replica has a name here.
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line and "could not resolve" not in line]
    assert warnings == []


def test_all_that_is_documented_passes(asking):
    paths = [path.replace("{", "").replace("}", "") for path in build()["paths"]]
    assert "/predict" in paths
    refused = [path for path in paths if asking.get(path).status_code != 200]
    assert refused == ["/metrics"]


@pytest.mark.parametrize("path", ["/metrics", "/nowhere", "/predict/", "/.env", "/apparently", "//predict"])
def test_unknown_paths_are_refused_at_the_edge(asking, path):
    answer = asking.get(asking.base_url.copy_with(raw_path=path.encode()))
    assert (answer.status_code, answer.json()) == (404, {"error": "not found", "detail": []})


def test_a_client_cannot_say_that_it_is_another(asking):
    forged = {
        "X-Forwarded-For": "192.0.2.7",
        "Forwarded": "for=192.0.2.7",
        "X-Real-IP": "192.0.2.7",
        "X-Forwarded-Host": "a",
    }
    headers = {name.lower(): value for name, value in asking.get("/health", headers=forged).json()["headers"].items()}
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "https"
    assert not {"forwarded", "x-real-ip", "x-forwarded-host"} & set(headers)


def test_headers_of_the_service_pass_and_those_of_tls_are_added(asking):
    headers = asking.get("/health").headers
    assert headers["content-security-policy"] == "default-src 'none'"
    assert headers["strict-transport-security"] == "max-age=63072000"
    assert "server" not in headers


def test_the_services_own_429_passes_with_its_wait(asking):
    answer = asking.post("/predict", json={}, headers={"x-want": "429"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


def test_a_body_of_more_than_four_mebibytes_is_refused(asking):
    assert asking.post("/predict_batch", content=bytes(4 << 20)).json()["bytes"] == 4 << 20
    answer = asking.post("/predict_batch", content=bytes((4 << 20) + 1))
    assert (answer.status_code, answer.json()["error"]) == (413, "the body is larger than 4 MiB")


@pytest.mark.parametrize(("version", "taken"), [("tls1_1", False), ("tls1_2", True), ("tls1_3", True)])
def test_no_older_tls_than_1_2(running, version, taken):
    address = running.url.removeprefix("https://")
    command = ["openssl", "s_client", "-connect", address, f"-{version}", "-cipher", "ALL:@SECLEVEL=0"]
    done = subprocess.run(command, input=b"", capture_output=True, check=False, timeout=30)
    assert (done.returncode == 0) is taken, done.stderr


@pytest.mark.parametrize(
    "service",
    [
        *drug_prediction_pb2.DESCRIPTOR.services_by_name.values(),
        *grpc_service_pb2.DESCRIPTOR.services_by_name.values(),
        *health_pb2.DESCRIPTOR.services_by_name.values(),
    ],
    ids=lambda service: service.full_name,
)
def test_grpc_passes_on_the_same_port(channel, service):
    for method in service.methods:
        call = channel.unary_unary(f"/{service.full_name}/{method.name}")
        metadata = call(b"", timeout=20, metadata=[("x-forwarded-for", "192.0.2.7")]).decode()
        assert "'x-forwarded-for', '127.0.0.1'" in metadata
        assert "192.0.2.7" not in metadata


def test_no_other_grpc_passes(channel):
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/other.Service/Call")(b"", timeout=20)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_prometheus_scrapes_it_on_a_separate_port(running, asking):
    text = httpx.get(f"http://127.0.0.1:{running.ports['EDGE_METRICS_BIND']}/metrics?no-maint").text
    assert 'haproxy_server_status{proxy="http",server="replica1",state="UP"} 1' in text


RUN = """
import mlflow
with mlflow.start_run() as run:
    mlflow.log_text("stored text", "kept.txt")
print(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/kept.txt"))
"""


@pytest.mark.slow
def test_a_run_is_kept_by_mlflow_behind_it_within_the_memory_that_it_may_take(
    running, certificates, tmp_path, monkeypatch
):
    service = yaml.safe_load((CONFIGURATION.parents[1] / "compose.yaml").read_text("utf-8"))["services"]["mlflow"]
    program, *arguments = (
        argument.replace("0.0.0.0", HOST).replace("/mlflow/", f"{tmp_path}/") for argument in service["command"]
    )
    command = [Path(sys.executable).with_name(program), *arguments]
    environment = os.environ | service["environment"] | {"HOME": str(tmp_path)}
    url = f"https://localhost:{running.ports['EDGE_MLFLOW_BIND']}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificates / "ca.pem"))
    log = tmp_path / "log"
    with started(command, log, f"http://{HOST}:5000/health", env=environment, cwd=tmp_path) as process:
        with client(certificates) as asking:
            wait(lambda: status(asking, f"{url}/health") == 200, running.log.read_text)
        command = [sys.executable, "-c", RUN]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
        used = sum(each.memory_full_info().uss for each in (process, *process.children(recursive=True)))
    assert "stored text" in done.stdout.splitlines(), (done.stderr, log.read_text(), running.log.read_text())
    assert service["mem_limit"] == "1g"
    assert used < 1 << 29


def test_too_many_requests_from_an_address_are_refused(tmp_path, certificates, replica):
    with edge(tmp_path, certificates, replica, EDGE_REQUESTS="40") as (url, *_), client(certificates) as asking:
        answers = [asking.get(f"{url}/health") for _ in range(60)]
    assert answers[0].status_code == 200
    assert (answers[-1].status_code, answers[-1].headers["retry-after"]) == (429, "10")
    assert answers[-1].json() == {"error": "too many requests from this address", "detail": []}


def test_a_replica_that_has_a_name_but_does_not_listen_yet_is_asked_nothing(
    tmp_path, certificates, replica, monkeypatch
):
    starting = tuple(f"127.83.0.{number}" for number in range(2, 10))
    failures, asked = [], dict.fromkeys(("http", "grpc"), 0)
    ended = threading.Event()
    with edge(tmp_path, certificates, replica) as (url, _, ports, _):

        def ask_http():
            with client(certificates) as asking:
                while not ended.is_set():
                    asked["http"] += 1
                    if (status := asking.get(f"{url}/health").status_code) != 200:
                        failures.append(status)

        def ask_grpc():
            credentials = grpc.ssl_channel_credentials((certificates / "ca.pem").read_bytes())
            with grpc.secure_channel(url.removeprefix("https://"), credentials) as channel:
                call = channel.unary_unary("/grpc.health.v1.Health/Check")
                while not ended.is_set():
                    asked["grpc"] += 1
                    try:
                        call(b"", timeout=20)
                    except grpc.RpcError as error:
                        failures.append(error)

        def seen(state):
            text = httpx.get(f"http://127.0.0.1:{ports['EDGE_METRICS_BIND']}/metrics?no-maint").text
            lines = [line for line in text.splitlines() if line.startswith("haproxy_server_status{")]
            return sum(f'state="{state}"' in line and line.endswith(" 1") for line in lines)

        threads = [threading.Thread(target=ask) for ask in (ask_http, ask_grpc) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            monkeypatch.setattr(Names, "addresses", (HOST, *starting))
            wait(lambda: seen("DOWN") == 2 * len(starting), (tmp_path / "log").read_text)
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    assert failures == []
    assert min(asked.values()) > 10


def test_no_ready_replica_is_reported_as_such(tmp_path, certificates, replica):
    with edge(tmp_path, certificates, replica) as (url, *_), client(certificates) as asking:
        Replica.ready = False
        try:
            wait(lambda: status(asking, f"{url}/health") == 503, (tmp_path / "log").read_text)
            answer = asking.get(f"{url}/health")
        finally:
            Replica.ready = True
        assert (answer.headers["retry-after"], answer.json()["error"]) == ("1", "no server is ready")
        wait(lambda: status(asking, f"{url}/health") == 200, (tmp_path / "log").read_text)


def test_a_new_certificate_is_loaded_while_requests_continue(tmp_path, certificates, replica, monkeypatch):
    with (
        edge(tmp_path, certificates, replica) as (url, process, ports, log),
        httpx.Client(verify=False, timeout=20) as kept,
    ):

        def presented():
            return ssl.get_server_certificate(("127.0.0.1", ports["EDGE_BIND"])).split()

        other = (certificates / "other.pem").read_text("utf-8").split()
        put(certificates, "other", tmp_path / "tls")
        # So that requests come before the name server answers.
        monkeypatch.setattr(Names, "delay", 0.3)
        statuses, deadline = set(), time.monotonic() + 30
        while "Reloading HAProxy" not in log.read_text("utf-8"):
            assert time.monotonic() < deadline
            process.send_signal(signal.SIGUSR2)  # which HAProxy ignores as long as it starts
            time.sleep(0.3)
        while presented() != other and time.monotonic() < deadline:
            statuses.add(kept.get(f"{url}/health").status_code)
        in_a_row = 0  # until the process of before ends, either of two may accept a connection
        while in_a_row < 20 and time.monotonic() < deadline:
            in_a_row = in_a_row + 1 if presented() == other else 0
            with httpx.Client(verify=False, timeout=20) as new:
                statuses.add(new.get(f"{url}/health").status_code)
        assert in_a_row == 20
        assert statuses == {200}
