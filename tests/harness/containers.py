"""Real containers on a machine without an image registry: a Debian base, the project's image, and podman to run it."""

import fcntl
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest
import uv
import yaml

from tests.harness import ROOT, answers, skip, wait

IMAGE = yaml.safe_load((ROOT / "configs" / "deploy" / "image.yaml").read_text("utf-8"))
BASE = IMAGE["base_image"]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "drugpred-tests"
"""Where the base stays from run to run."""

HARDENED = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--tmpfs=/tmp:rw,noexec,nosuid,nodev,size=64m",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--memory=512m",
    "--memory-swap=512m",
    "--pids-limit=256",
)
"""How the project's containers run."""

SECRET = "token-6512bd43"
"""A secret in the index settings of the build, which the image must not hold."""

PYTHON = f"python{IMAGE['python_version']}"
PERL = "usrmerge libfile-find-rule-perl libnumber-compare-perl libtext-glob-perl perl libperl5.36 perl-modules-5.36"
# Makes the base image, as small as python:3.11-slim; uv comes from the virtual environment, as there is no pip.
DEBIAN = (
    "mmdebstrap",
    "--quiet",
    "--variant=minbase",
    '--aptopt=Apt::Install-Recommends "false"',
    *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("man", "doc", "locale", "info")),
    f"--include=ca-certificates,usr-is-merged,python3-minimal,{PYTHON}-minimal,lib{PYTHON}-stdlib",
    f'--customize-hook=chroot "$1" dpkg --purge {PERL}',
    f"--customize-hook=install -m 755 '{uv.find_uv_bin()}' \"$1/usr/local/bin/uv\"",
    "bookworm",
)


@dataclass
class Container:
    """A running container."""

    engine: "Engine"
    id: str
    port: int
    grpc_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def log(self) -> str:
        """Its output on stdout and stderr."""
        done = self.engine.podman("logs", self.id)
        return done.stdout + done.stderr

    def state(self) -> dict[str, object]:
        """Return its state as podman reports it: `Running`, `ExitCode`, `OOMKilled`, `Pid`, ..."""
        return json.loads(self.engine("inspect", "--format={{json .State}}", self.id))

    def execute(self, *command: str) -> str:
        """Run a command in it and return its output."""
        return self.engine("exec", self.id, *command)

    def wait_until_ready(self) -> None:
        process = self.state()["Pid"]  # podman, asked again and again, would take a processor
        wait(lambda: answers(f"{self.url}/readyz") or not psutil.pid_exists(process), lambda: self.log, 120)
        assert self.state()["Running"], self.log

    def stop(self) -> dict[str, object]:
        """End it as an operator does, by SIGTERM; return its last state."""
        self.engine("stop", "--time=45", self.id)
        return self.state()


@dataclass
class Engine:
    """Podman, with storage and configuration of its own below a folder."""

    folder: Path

    def podman(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["podman", *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=300
        )

    def __call__(self, *arguments: str) -> str:
        """Run podman and return its output."""
        done = self.podman(*arguments)
        assert done.returncode == 0, f"podman {' '.join(arguments)}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables by which any podman uses this engine."""
        names = ("containers", "storage", "registries")
        return (
            os.environ
            | {f"{name.upper()}_CONF": str(self.folder / f"{name}.conf") for name in names}
            | {
                "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
                "CONTAINERS_REGISTRIES_CONF": str(self.folder / "registries.conf"),
                "TMPDIR": str(self.folder / "tmp"),
                "BUILDAH_FORMAT": "docker",  # the format that has a health check
            }
        )

    def configure(self, *volumes: str) -> None:
        """Write the configuration; the volumes are mounted into all later builds and containers."""
        files, processes = resource.getrlimit(resource.RLIMIT_NOFILE)[1], _most_processes()
        (self.folder / "tmp").mkdir(exist_ok=True)
        (self.folder / "registries.conf").write_text("unqualified-search-registries = []\n")
        (self.folder / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{self.folder}/root"\nrunroot = "{self.folder}/run"\n'
        )
        (self.folder / "containers.conf").write_text(
            f'[containers]\ndefault_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]\n'
            f'netns = "host"\nvolumes = {json.dumps(volumes)}\n'
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        )

    @contextmanager
    def serve(
        self,
        image: str,
        *options: str,
        ports: tuple[int, int],
        environment: Mapping[str, str] | None = None,
        volumes: Mapping[Path, str] | None = None,
    ) -> Iterator[Container]:
        """Run an image of the project, hardened and on loopback, until the end of the block; do not wait for it.

        Parameters
        ----------
        image : str
        options : str
            More of `podman run`'s.
        ports : tuple of int
            Those of HTTP and gRPC, on this machine's loopback.
        environment : mapping of str to str, optional
        volumes : mapping of Path to str, optional
            Files and folders of this machine, and their read-only places in the container.
        """
        settings = {
            "BENTOML_HOST": "127.0.0.1",
            "BENTOML_PORT": str(ports[0]),
            "DRUGPRED_GRPC_PORT": str(ports[1]),
        } | dict(environment or {})
        command = ["run", "--detach", *HARDENED, *options]
        command += [f"--env={name}={value}" for name, value in settings.items()]
        command += [f"--volume={path}:{place}:ro" for path, place in (volumes or {}).items()]
        container = Container(self, self(*command, image), *ports)
        try:
            yield container
        finally:
            self.podman("rm", "--force", "--time=2", container.id)


@contextmanager
def engine(folder: Path) -> Iterator[Engine]:
    """Yield an engine that has the base image; skip if none can run. At its end nothing stays mounted.

    Parameters
    ----------
    folder : Path
        An empty one.
    """
    if os.geteuid():
        skip("containers need root here")
    missing = [name for name in ("mmdebstrap", "podman", "runc") if shutil.which(name) is None]
    if missing:
        skip(f"no {', '.join(missing)}: apt-get install mmdebstrap podman runc")
    archive = _base()
    podman = Engine(folder)
    podman.configure()
    try:
        tried = podman.podman("import", "--quiet", '--change=CMD ["python3"]', str(archive), BASE)
        if tried.returncode == 0:
            tried = podman.podman("run", "--rm", BASE, "true")
        if tried.returncode:
            skip(f"podman cannot run a container here: {tried.stderr}")
        yield podman
    finally:
        podman.podman("rm", "--all", "--force", "--time=2")
        podman.podman("rmi", "--all", "--force")
        # Each health check leaves one for five minutes, whose last act would be to mount the folder again.
        for process in psutil.process_iter(["name", "cmdline"]):
            if process.info["name"] == "conmon" and str(folder) in " ".join(process.info["cmdline"] or ()):
                process.kill()
        subprocess.run(["umount", "--lazy", folder / "root" / "overlay"], capture_output=True, check=False)
        shutil.rmtree(folder)


def build(podman: Engine, home: Path, name: str, checkout: Path = ROOT) -> str:
    """Make the bento of a checkout and its image, as a user does; return the bento's tag.

    Parameters
    ----------
    podman : Engine
    home : Path
        A BENTOML_HOME with the model; the bento is added to it.
    name : str
        The image's, as in `drugpred:test`.
    checkout : Path
    """
    index = f"https://someone:{SECRET}@index.example/simple"
    environment = podman.environment | {"BENTOML_HOME": str(home)}
    environment |= dict.fromkeys(("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX"), index)
    built = _run([sys.executable, "-m", "bentoml", "build", "--output=tag"], checkout, environment)
    tag = built.split("__tag__:")[-1].split()[0]
    # The machine's way to the package registry, which the image must not keep.
    (podman.folder / "uv.toml").write_text("system-certs = true\n")
    certificates = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    podman.configure(
        f"{certificates}:/etc/ssl/certs/ca-certificates.crt:ro", f"{podman.folder}/uv.toml:/etc/uv/uv.toml:ro"
    )
    try:
        _run(
            [sys.executable, "-m", "bentoml", "containerize", tag, "--backend=podman", f"--image-tag={name}"],
            podman.folder,
            environment,
        )
    finally:
        podman.configure()
    return tag


def _run(command: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _base() -> Path:
    """Return the base's root file system as a tar, made once on a machine."""
    key = hashlib.sha256(repr((DEBIAN, version("uv"))).encode()).hexdigest()[:12]
    archive = CACHE / f"base-{key}.tar"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            part = archive.with_suffix(".part.tar")
            done = subprocess.run([*DEBIAN, part], capture_output=True, text=True, check=False, timeout=600)
            if done.returncode:
                skip(f"mmdebstrap makes no base:\n{done.stderr[-2000:]}")
            part.rename(archive)
    return archive


def _most_processes() -> int:
    most = int(Path("/proc/sys/kernel/pid_max").read_text())
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    return most if limit == resource.RLIM_INFINITY else min(limit, most)


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that has the base image."""
    with engine(tmp_path_factory.mktemp("podman")) as podman:
        yield podman


@pytest.fixture(scope="session")
def image_home(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the store, to which the bento of the image is added."""
    return shutil.copytree(store, tmp_path_factory.mktemp("image-home"), dirs_exist_ok=True)


@pytest.fixture(scope="session")
def image(podman: Engine, image_home: Path) -> str:
    """The image of the checkout, built as a user does."""
    build(podman, image_home, "drugpred:test")
    return "drugpred:test"
