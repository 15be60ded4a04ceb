"""compose.yaml: docker compose takes it, and it holds what no schema asks for."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from drugpred.settings import Settings
from tests.harness import ROOT
from tests.harness.compose import compose_program
from tests.harness.prometheus import program

DEPLOY = ROOT / "configs" / "deploy"
TEXT = (DEPLOY / "compose.yaml").read_text("utf-8")
GIVEN = yaml.safe_load(TEXT)
SERVICES = GIVEN["services"]
FOREIGN = {"BENTOML_HOME", "FORWARDED_ALLOW_IPS"}
"""Settings of BentoML and uvicorn."""

each_service = pytest.mark.parametrize("name", sorted(SERVICES))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A copy of configs/ in which secrets.sh was run."""
    folder = tmp_path_factory.mktemp("prepared")
    shutil.copytree(ROOT / "configs", folder / "configs", ignore=shutil.ignore_patterns("secrets", ".env", "bentoml"))
    return folder, prepare(folder)


def prepare(folder):
    command = ["sh", "configs/deploy/secrets.sh", "drugpred:1", "http://127.0.0.1:9095"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def config(folder, *arguments):
    command = [compose_program(), "-f", "configs/deploy/compose.yaml", "config", *arguments]
    environment = {name: os.environ[name] for name in ("PATH", "HOME")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def resolved(prepared):
    """The file as docker compose understands it."""
    done = config(prepared[0])
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return yaml.safe_load(done.stdout)


def test_docker_compose_takes_it_once_secrets_are_made(resolved):
    assert sorted(resolved["services"]) == sorted(SERVICES)


def test_without_secrets_it_names_the_script(tmp_path):
    shutil.copytree(ROOT / "configs", tmp_path / "configs", ignore=shutil.ignore_patterns("secrets", ".env"))
    done = config(tmp_path, "--quiet")
    assert done.returncode != 0
    assert "see configs/deploy/secrets.sh" in done.stderr


def test_mounted_files_exist(resolved):
    mounts = [mount for service in resolved["services"].values() for mount in service.get("volumes", [])]
    for mount in mounts:
        if mount["type"] == "bind":
            assert os.path.lexists(mount["source"]), mount
            assert mount["read_only"], mount
        else:
            assert mount["source"] in resolved["volumes"], mount
    assert all(Path(secret["file"]).is_file() for secret in resolved["secrets"].values())
    used = {secret["source"] for service in resolved["services"].values() for secret in service.get("secrets", [])}
    assert used == set(resolved["secrets"])


def test_only_the_edge_is_published_and_to_this_machine_alone(resolved):
    published = {name: service["ports"] for name, service in resolved["services"].items() if "ports" in service}
    assert list(published) == ["edge"]
    assert {(port["host_ip"], port["published"]) for port in published["edge"]} == {
        ("127.0.0.1", "8443"),
        ("127.0.0.1", "8444"),
        ("127.0.0.1", "8445"),
    }
    binds = re.findall(r"presetenv EDGE_\w*BIND :(\d+)", (DEPLOY / "edge" / "haproxy.cfg").read_text("utf-8"))
    assert {str(port["target"]) for port in published["edge"]} < set(binds)


def test_only_the_edge_and_the_teller_of_alerts_reach_beyond_the_machine(resolved):
    outer = {name for name, network in resolved["networks"].items() if not network.get("internal")}
    assert {name for name, service in resolved["services"].items() if outer & set(service.get("networks") or {})} == {
        "edge",
        "alertmanager",
    }


@each_service
def test_a_container_may_do_little(name):
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["restart"] == "unless-stopped"
    assert "privileged" not in service


@each_service
def test_its_health_is_asked_for(name):
    check = SERVICES[name]["healthcheck"]
    assert check["interval"]
    # The image of the service says itself what to ask.
    assert ("test" in check) == (name != "drugpred")


@each_service
def test_its_image_is_pinned(name):
    image = SERVICES[name]["image"]
    if name == "drugpred":
        assert image.startswith("${DRUGPRED_IMAGE:?")
    else:
        assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+(-alpine)?", image)


def test_every_set_variable_is_a_setting():
    names = {f"DRUGPRED_{name.upper()}" for name in Settings.model_fields}
    assert set(SERVICES["drugpred"]["environment"]) <= names | FOREIGN
    asked = set(re.findall(r"\$\{(DRUGPRED_\w+)", TEXT)) - {"DRUGPRED_IMAGE"}
    assert asked <= names


def test_no_password_has_a_default():
    for variable, default in re.findall(r"\$\{(\w+):-([^}]*)\}", TEXT):
        assert not default or variable in {"DRUGPRED_MODEL", "EDGE_ADDRESS"}
    for line in TEXT.splitlines():
        if re.search(r"(?i)password|secret|_key\b", line) and ":" in line and not line.strip().startswith("#"):
            assert re.search(r"\$\{\w+:\?|/run/secrets/|\./secrets/|^ *-|secrets:|see configs", line), line


def test_secrets_are_random_kept_and_nobody_elses(prepared):
    folder, printed = prepared
    key = re.search(r"kept nowhere else: ([0-9a-f]{64})\n", printed)[1]
    deploy = folder / "configs" / "deploy"
    files = {path: path.read_bytes() for path in [deploy / ".env", *(deploy / "secrets").rglob("*")] if path.is_file()}
    assert not any(key.encode() in content for content in files.values())
    assert (deploy / ".env").stat().st_mode & 0o077 == 0
    assert (deploy / "secrets").stat().st_mode & 0o077 == 0
    random = [found for content in files.values() for found in re.findall(rb"\b[0-9a-f]{64}\b", content)]
    assert len(set(random)) == len(random) - 1  # Redis and its clients have one password
    assert "nowhere else" not in prepare(folder)
    assert all(path.read_bytes() == content for path, content in files.items())


def test_the_keys_made_are_keys(prepared):
    from drugpred.serving.access.api_keys import Keys

    folder, printed = prepared
    secrets = folder / "configs" / "deploy" / "secrets"
    keys = Keys.of((secrets / "keys" / "api_keys").read_text("utf-8"))
    first = re.search(r"kept nowhere else: (\w+)", printed)[1]
    assert sorted(keys.find(first).scopes) == ["feedback", "predict", "read"]
    assert sorted(keys.find((secrets / "metrics_key").read_text("utf-8")).scopes) == ["metrics"]


def test_prometheus_takes_its_configuration_with_the_rules_there_are(prepared, tmp_path):
    text = (DEPLOY / "compose" / "prometheus.yml").read_text("utf-8")
    key = prepared[0] / "configs" / "deploy" / "secrets" / "metrics_key"
    (tmp_path / "prometheus.yml").write_text(text.replace("/run/secrets/metrics_key", str(key)), "utf-8")
    (tmp_path / "rules").symlink_to(ROOT / "configs" / "monitoring" / "rules")
    command = [program("promtool"), "check", "config", tmp_path / "prometheus.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rules = len(list((ROOT / "configs" / "monitoring" / "rules").glob("*.yml")))
    assert f"{rules} rule files found" in done.stdout


def test_prometheus_scrapes_the_job_that_the_rules_select():
    watched = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    given = yaml.safe_load((ROOT / "configs" / "monitoring" / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    assert {job["job_name"] for job in given} <= {job["job_name"] for job in watched}
    names = {name for job in watched for found in job.get("dns_sd_configs", []) for name in found["names"]}
    names |= {
        target.partition(":")[0] for job in watched for s in job.get("static_configs", []) for target in s["targets"]
    }
    assert names <= set(SERVICES)


def test_the_addresses_that_monitoring_holds_are_those_here():
    source = yaml.safe_load((ROOT / "configs/monitoring/grafana/datasources/prometheus.yml").read_text("utf-8"))
    assert source["datasources"][0]["url"] == "http://127.0.0.1:9090"
    assert SERVICES["grafana"]["network_mode"] == "service:prometheus"
    replaced = re.search(r'sed "s\|(.*?)\|', TEXT)[1]
    assert replaced in (ROOT / "configs" / "monitoring" / "alertmanager.yml").read_text("utf-8")


@pytest.mark.parametrize("script", ["roll.sh", "secrets.sh"])
def test_a_shell_takes_the_script(script):
    subprocess.run(["sh", "-n", DEPLOY / script], check=True)
