"""The manifests of each namespace fit each other, the service and the rules; and the checks of that see faults."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from drugpred.serving.grpc import server as rpc
from drugpred.serving.middleware import shutdown
from drugpred.settings import Settings
from tests.configs.deploy.kubernetes import checks
from tests.configs.deploy.kubernetes.manifests import (
    ENVIRONMENTS,
    KUBERNETES,
    OPERATOR,
    container,
    environment,
    labels,
    manifests,
    of,
    one,
    pod,
    ports,
    with_component,
    workloads,
)
from tests.harness import skip
from tests.harness.prometheus import MONITORING, program

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

environments = pytest.mark.parametrize("name", ENVIRONMENTS)


@environments
@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_they_fit_each_other(name, check):
    assert list(check(environment(name))) == []


FAULTS = {
    "identities": lambda found: one(found, "Service", "drugpred")["metadata"].update(namespace="default"),
    "ownership": lambda found: one(found, "Deployment", "drugpred")["spec"]["selector"]["matchLabels"].pop("track"),
    "services": lambda found: labels(one(found, "StatefulSet", "redis")).update({"app.kubernetes.io/name": "drugpred"}),
    "edge": lambda found: one(found, "Service", "drugpred")["spec"]["ports"][0].update(name="web"),
    "scaling": lambda found: one(found, "Deployment", "drugpred")["spec"].update(replicas=3),
    "disruption": lambda found: labels(one(found, "Deployment", "drugpred")).update(track="new"),
    "network": lambda found: one(found, "NetworkPolicy", "redis")["spec"]["ingress"][0]["ports"][0].update(port=6380),
    "monitoring": lambda found: one(found, "Service", "drugpred-grpc")["metadata"]["labels"].update(
        {"app.kubernetes.io/component": "http"}
    ),
    "containers": lambda found: container(one(found, "Deployment", "drugpred")).update(image="drugpred:latest"),
}


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_a_fault_is_seen(check):
    found = environment("production and canary")
    FAULTS[check.__name__](found)
    assert list(check(found))


@pytest.mark.slow
@environments
@pytest.mark.parametrize("version", ["1.30", "1.37"])
def test_each_is_well_formed_in_old_and_new_clusters(name, version):
    for each in environment(name):
        if each["kind"] not in OPERATOR:
            validate(each, version)


def validate(manifest, version):
    try:
        import kubernetes_validate
    except ImportError:
        skip("no kubernetes-validate: pip install kubernetes-validate")
    kubernetes_validate.validate(manifest, version, strict=True)


@environments
def test_the_environment_has_only_settings_of_the_service(name):
    known = {f"DRUGPRED_{field.upper()}" for field in Settings.model_fields} | {"BENTOML_HOME"}
    for server in of(environment(name), "Deployment"):
        assert {each["name"] for each in container(server)["env"]} <= known


@environments
def test_no_service_adds_variables_to_a_pod(name):
    found = list(workloads(environment(name)))
    assert found
    assert all(pod(each)["enableServiceLinks"] is False for each in found)


@environments
def test_the_home_is_writable_and_its_files_fit_into_memory(name):
    for server in of(environment(name), "Deployment"):
        only = container(server)
        (home,) = [each["value"] for each in only["env"] if each["name"] == "BENTOML_HOME"]
        (mount,) = [each for each in only["volumeMounts"] if home.startswith(f"{each['mountPath']}/")]
        (volume,) = [each for each in pod(server)["volumes"] if each["name"] == mount["name"]]
        assert not mount.get("readOnly")
        assert volume["emptyDir"]["medium"] == "Memory"
        assert mebibytes(volume["emptyDir"]["sizeLimit"]) < mebibytes(only["resources"]["limits"]["memory"]) / 4


def mebibytes(quantity: str) -> int:
    return int(re.fullmatch(r"(\d+)Mi", quantity)[1])


@environments
def test_there_is_time_to_answer_accepted_requests(name):
    for server in of(environment(name), "Deployment"):
        waited = container(server)["lifecycle"]["preStop"]["sleep"]["seconds"]
        ending = waited + shutdown._NOTICE + shutdown._ARRIVAL + rpc.SHUTDOWN_GRACE
        assert ending + 10 <= pod(server)["terminationGracePeriodSeconds"]


@environments
def test_ports_are_those_of_the_service(name):
    for server in of(environment(name), "Deployment"):
        assert ports(server) == {"http": 3000, "grpc": Settings.model_fields["grpc_port"].default}


@environments
def test_redis_is_the_image_of_compose(name):
    compose = yaml.safe_load((KUBERNETES.parent / "compose.yaml").read_text("utf-8"))
    image = container(one(environment(name), "StatefulSet", "redis"))["image"]
    assert image == f"docker.io/library/{compose['services']['redis']['image']}"


def test_the_namespaces_take_no_pod_that_may_do_more():
    for name, namespace in (("staging", "drugpred-staging"), ("production", "drugpred")):
        told = one(environment(name), "Namespace", namespace)["metadata"]["labels"]
        assert {told[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {"restricted"}


def test_the_canary_is_a_pod_of_production():
    canary = one(manifests("canary"), "Deployment", "drugpred-canary")
    stable = one(environment("production"), "Deployment", "drugpred")
    for each in (canary, stable):
        container(each).pop("image")
    assert canary["spec"].pop("replicas") == 1
    text = yaml.safe_dump(canary).replace("drugpred-canary", "drugpred").replace("track: canary", "track: stable")
    assert yaml.safe_load(text) == stable


@environments
def test_every_secret_is_one_that_is_made(name, made):
    found = environment(name)
    if not of(found, "ServiceMonitor"):  # prometheus.yml has the file of the key
        made = made - {("drugpred-metrics", "key")}
    assert referenced(found) - {("drugpred-tls", None)} == made


@pytest.fixture(scope="module")
def made(secrets):
    """The secrets and their keys that secrets.sh makes."""
    return {(name, key) for name, data in secrets.items() for key in data}


def referenced(found) -> set[tuple[str, str | None]]:
    """The secrets and their keys that the manifests name, None for all of them."""
    names = {(each["secretName"], None) for ingress in of(found, "Ingress") for each in ingress["spec"]["tls"]}
    for monitor in of(found, "ServiceMonitor"):
        for endpoint in monitor["spec"]["endpoints"]:
            credentials = endpoint["authorization"]["credentials"]
            names.add((credentials["name"], credentials["key"]))
    for workload in workloads(found):
        for variable in container(workload).get("env", []):
            if "valueFrom" in variable:
                reference = variable["valueFrom"]["secretKeyRef"]
                names.add((reference["name"], reference["key"]))
        for volume in pod(workload)["volumes"]:
            if "secret" in volume:
                (mount,) = [m for m in container(workload)["volumeMounts"] if m["name"] == volume["name"]]
                keys = [each["key"] for each in volume["secret"].get("items", [])]
                names |= {(volume["secret"]["secretName"], key) for key in keys or files(workload, mount["mountPath"])}
    return names


def files(workload, folder: str) -> list[str]:
    """The files of a folder that the settings name."""
    values = [each.get("value", "") for each in container(workload)["env"]]
    return [value.rpartition("/")[2] for value in values if value.rpartition("/")[0] == folder]


def test_the_rules_are_those_of_the_folder_of_monitoring():
    found = of(environment("production"), "PrometheusRule")
    ours = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in (MONITORING / "rules").glob("*.yml")}
    assert {each["metadata"]["name"].removeprefix("drugpred-"): one_line(each["spec"]) for each in found} == one_line(
        ours
    )


def one_line(value):
    """The same without line ends: kustomize doubles some of those in a folded text."""
    if isinstance(value, dict):
        return {key: one_line(each) for key, each in value.items()}
    if isinstance(value, list):
        return [one_line(each) for each in value]
    return " ".join(value.split()) if isinstance(value, str) else value


def test_the_command_that_makes_the_rules_makes_them(tmp_path):
    shutil.copytree(MONITORING / "rules", tmp_path / "configs" / "monitoring" / "rules")
    base = tmp_path / "configs" / "deploy" / "kubernetes" / "base"
    base.mkdir(parents=True)
    shutil.copy(KUBERNETES / "base" / "rules.sh", base)
    subprocess.run([base / "rules.sh"], check=True, timeout=60)
    assert (base / "rules.yaml").read_bytes() == (KUBERNETES / "base" / "rules.yaml").read_bytes()


def test_a_volume_of_models_can_be_added(tmp_path):
    found = with_component("models", tmp_path)
    assert [fault for check in checks.CHECKS for fault in check(found)] == []
    (claim,) = of(found, "PersistentVolumeClaim")
    (loader,) = yaml.safe_load_all((KUBERNETES / "models" / "loader.yaml").read_text("utf-8"))
    server = one(found, "Deployment", "drugpred")
    (volume,) = [each for each in pod(server)["volumes"] if "persistentVolumeClaim" in each]
    claims = [volume["persistentVolumeClaim"]["claimName"]]
    claims += [each["persistentVolumeClaim"]["claimName"] for each in loader["spec"]["volumes"]]
    assert set(claims) == {claim["metadata"]["name"]}


@pytest.mark.slow
def test_a_volume_of_models_is_well_formed(tmp_path):
    (loader,) = yaml.safe_load_all((KUBERNETES / "models" / "loader.yaml").read_text("utf-8"))
    for each in (*with_component("models", tmp_path), loader):
        if each["kind"] not in OPERATOR:
            validate(each, "1.37")


@pytest.mark.parametrize("overlay", ["production", "plain"])
def test_a_gateway_can_be_added(overlay, tmp_path):
    found = with_component("gateway", tmp_path, overlay)
    assert [fault for check in checks.CHECKS for fault in check(found)] == []
    one(found, "GRPCRoute", "drugpred")["spec"]["rules"][0]["backendRefs"][0]["port"] = 80
    assert list(checks.edge(found))


def test_a_plain_cluster_has_all_kinds():
    groups = {each["apiVersion"].rpartition("/")[0] for each in environment("plain")}
    assert groups == {"", "apps", "policy", "networking.k8s.io"}
    (server,) = of(environment("plain"), "Deployment")
    assert {each["whenUnsatisfiable"] for each in pod(server)["topologySpreadConstraints"]} == {"ScheduleAnyway"}


def test_a_prometheus_without_the_operator_finds_every_pod(tmp_path):
    (scrape,) = yaml.safe_load((KUBERNETES / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    (discovery,) = scrape["dns_sd_configs"]
    (name,) = discovery["names"]
    found = environment("plain")
    service, namespace, rest = name.split(".", 2)
    assert (namespace, rest) == ("drugpred", "svc.cluster.local")
    assert one(found, "Service", service)["spec"]["clusterIP"] == "None"
    assert discovery["port"] == ports(one(found, "Deployment", "drugpred"))["http"]
    path = Path(scrape["authorization"]["credentials_file"])
    given = (KUBERNETES / "prometheus.yml").read_text("utf-8").replace(str(path), "key")
    (tmp_path / "prometheus.yml").write_text(given, "utf-8")
    (tmp_path / path.name).touch()
    command = [program("promtool"), "check", "config", tmp_path / "prometheus.yml"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def test_no_secret_is_in_the_files():
    for path in KUBERNETES.rglob("*.yaml"):
        content = path.read_text("utf-8")
        assert "kind: Secret" not in content.splitlines(), path
        assert not re.search(r"[0-9a-f]{32}|BEGIN [A-Z ]*PRIVATE KEY", content), path
