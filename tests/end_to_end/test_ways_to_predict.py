"""Every way to predict gives one figure to its last digit, by the documents' commands and with the packages they name.

The person is that of the README, and the model that of one `train.py --track`.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from drugpred.model import Model
from drugpred.schemas import EXAMPLE
from tests.documentation import blocks_of
from tests.harness import ROOT, running, skip
from tests.harness.ports import free_ports
from tests.harness.store import newest

pytestmark = pytest.mark.slow

LOCK = ROOT / "configs" / "locks" / "dev.txt"
PERSON = re.compile(r"echo '(\{[^']*\})' > p\.json")


def block(document: str, part: str, **changes: str) -> str:
    """Return the block of a document with this part, some of which is replaced."""
    (text,) = (block.text for block in blocks_of(ROOT, document) if part in block.text)
    for shown, wanted in changes.items():
        assert shown in text
        text = text.replace(shown, wanted)
    return text


@pytest.fixture(scope="module")
def home(tmp_path_factory, uci_path):
    """A BENTOML_HOME with a model that is also in the MLflow of the current folder, next to the README's p.json."""
    folder, data = tmp_path_factory.mktemp("ways"), uci_path.absolute()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            patch.delenv(name)
        patch.setenv("BENTOML_HOME", str(folder / "home"))
        command = [sys.executable, ROOT / "train.py", "--track", "--data", data]
        done = subprocess.run(
            [*command, "--config", ROOT / "tests" / "quick.yaml"], capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (written,) = PERSON.findall((ROOT / "README.md").read_text("utf-8"))
        Path("p.json").write_text(written, "utf-8")
        yield folder / "home"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "uv", "build", "--wheel", "--out-dir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        skip(f"no wheel can be built: {done.stderr.strip()}")
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(environment, wheel):
    """Return a function that makes an environment with extras that a document has `pip install` install."""

    def make(document: str, extras: str) -> Path:
        assert f"-e '.[{extras}]'" in (ROOT / document).read_text("utf-8")
        return environment("-c", LOCK, f"drugpred[{extras}] @ {wheel.as_uri()}")

    return make


@pytest.fixture(scope="module")
def server(serve, home):
    with serve(home) as server:
        yield server


@pytest.fixture(scope="module")
def model(home) -> Model:
    """The model that was stored."""
    return Model(newest(home))


@pytest.fixture(scope="module")
def figure(model) -> str:
    """The probability of cannabis, with all its digits."""
    (risk,) = model.predict(EXAMPLE, drugs=["cannabis"]).risks
    return repr(risk["probability"])


def outside(programs: Path, home: Path) -> dict[str, str]:
    """Return the variables with which an environment's programs are run, and nothing of the checkout is found."""
    found = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return found | {"PATH": f"{programs}{os.pathsep}{found['PATH']}", "BENTOML_HOME": str(home)}


@pytest.fixture
def run(home):
    """Return a function that runs a block and returns the figures of cannabis, or the first one, that it prints."""

    def output(programs: Path, program: str, text: str) -> list[str]:
        done = subprocess.run(
            [program, "-c", text], env=outside(programs, home), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return re.findall(r"(?:\bcannabis\W+(?:probability\W+)?|^)(0\.\d+)", done.stdout, re.MULTILINE)

    return output


def test_python_gives_the_figure(installed, run, figure):
    programs = installed("drugpred/README.md", "serve")
    assert run(programs, programs / "python", block("drugpred/README.md", "model.predict(")) == [figure]


def test_the_command_line_gives_the_figure(installed, run, figure):
    programs = installed("drugpred/cli/README.md", "bulk")
    assert run(programs, "bash", block("drugpred/cli/README.md", "| drugpred predict -", year="decade")) == [figure]


def test_the_client_gives_the_figure_over_http_and_grpc(installed, run, figure, server):
    programs = installed("README.md", "client")
    addresses = {"http://localhost:3000": server.url, "localhost:3001": server.grpc}
    assert run(programs, programs / "python", block("README.md", "client.predict(", **addresses)) == [figure, figure]
    # Without compiled modules. It is 33 MB, and the server's packages would add 120.
    folder = programs.parent / "lib"
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.suffix != ".pyc") < 50e6


def test_bentomls_client_gives_the_figure(environment, run, figure, server):
    programs = environment("-c", LOCK, "bentoml")
    text = block("drugpred/client/README.md", "bentoml.SyncHTTPClient", **{"http://localhost:3000": server.url})
    assert run(programs, programs / "python", text) == [figure]


@pytest.fixture(scope="module")
def mlflow(installed, home, tmp_path_factory):
    """Return the environment of MLflow's server, and the port at which it serves the model."""
    programs = installed("drugpred/training/README.md", "frames,track")
    (port,) = free_ports(1)
    command = ["bash", "-c", block("drugpred/training/README.md", "mlflow models serve", **{"5001": str(port)})]
    log = tmp_path_factory.mktemp("mlflow") / "log"
    with running(command, log, f"http://127.0.0.1:{port}/ping", env=outside(programs, home)):
        yield programs, port


def test_mlflows_server_gives_the_figure(mlflow, run, figure):
    if shutil.which("curl") is None:
        skip("no curl: apt-get install curl")
    programs, port = mlflow
    text = block("drugpred/training/README.md", "/invocations", **{"5001": str(port), "year": "decade"})
    assert run(programs, "bash", text) == [figure]


def test_mlflows_server_takes_other_rows_and_refuses_wrong_ones(mlflow, model):
    def post(rows: dict[str, object]) -> httpx.Response:
        return httpx.post(f"http://127.0.0.1:{mlflow[1]}/invocations", json=rows, timeout=30)

    def probabilities(**selected: object) -> dict[str, float]:
        return {risk["drug"]: risk["probability"] for risk in model.predict(EXAMPLE, **selected).risks}

    split = {"columns": list(EXAMPLE), "data": [list(EXAMPLE.values())]}
    assert post({"dataframe_split": split}).json() == {"predictions": [probabilities()]}
    other = {"dataframe_records": [EXAMPLE | {"drugs": ["lsd"]}], "params": {"window": "year"}}
    assert post(other).json() == {"predictions": [probabilities(window="year")]}
    wrong = post({"dataframe_records": [EXAMPLE | {"gender": "x"}]})
    assert wrong.status_code >= 400
    assert "gender, row 0: expected one of Female" in wrong.text
