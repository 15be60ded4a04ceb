"""What each extra installs, and commands and the client where a package of theirs is not installed."""

import os
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.harness import ROOT

WITHOUT = """
import sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Finder())
"""
COMMAND = "import sys; sys.argv[0] = 'drugpred'; from drugpred.cli import main; main()"
STREAM = "import drugpred.client; list(drugpred.client.Client('http://127.0.0.1:1').stream([]))"

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CALLS = """if True:
    import sys
    from drugpred.client import AsyncClient, Client
    from drugpred.errors import UnavailableError
    from drugpred.schemas import EXAMPLE
    for url in ("http://127.0.0.1:1", "grpc://127.0.0.1:1"):
        AsyncClient(url)
        with Client(url, retries=0) as client:
            try:
                client.predict(EXAMPLE)
            except UnavailableError:
                pass
    print(*{name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names)
"""


SERVER = {"bentoml", "httptools", "limits", "prometheus_client", "psutil", "pydantic_settings", "redis", "starlette"}
SERVER |= {"uvicorn", "uvloop", "yaml"}


def needed(*extras: str) -> set[str]:
    """Return the distributions that a pip install with these extras brings, drugpred aside."""
    names, waiting = set(), [(text, "") for extra in ("", *extras) for text in requirements("drugpred", extra)]
    while waiting:
        text, extra = waiting.pop()
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        if name in names or (requirement.marker and not requirement.marker.evaluate({"extra": extra})):
            continue
        names.add(name)
        waiting += [(more, each) for each in ("", *requirement.extras) for more in requirements(name, each)]
    return names - {"drugpred"}


def requirements(name: str, extra: str) -> list[str]:
    """Return the requirements of a distribution; those of drugpred are this checkout's, not the installed ones."""
    if name == "drugpred":
        return PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    return metadata.requires(name) or []


def test_the_client_installs_nothing_of_the_server():
    server = {canonicalize_name(Requirement(text).name) for text in requirements("drugpred", "serve")}
    assert {"grpcio", "httpx", "protobuf", "pydantic"} <= needed("client")
    assert needed("client") & {*server, "pandas", "polars", "scikit-learn"} == set()
    assert needed("stream") - needed("client") == {"narwhals", "numpy", "pyyaml"}


def test_the_client_imports_nothing_of_the_server():
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", CALLS], env=environment, capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert {"grpc", "httpx", "pydantic", "tenacity"} <= imported
    # Its packages import some optional ones if they are installed.
    assert imported & {*SERVER, "numpy", "pandas", "polars", "sklearn"} == set()


@pytest.mark.parametrize(
    ("package", "extra", "arguments"),
    [
        ("skops", "train", [ROOT / "train.py"]),
        pytest.param(
            "mlflow",
            "train,track",
            [ROOT / "train.py", "--track", "--config", ROOT / "tests" / "quick.yaml"],
            marks=pytest.mark.slow,
        ),
        ("click", "bulk", ["-c", COMMAND, "--help"]),
        ("pandas", "train", ["-c", COMMAND, "simulate", "--rows", "1"]),
        ("scipy", "train", ["-c", COMMAND, "evaluate"]),
        ("pyarrow", "bulk", ["-c", COMMAND, "score", "in.csv", "out.csv"]),
        ("pyarrow", "bulk", ["-c", COMMAND, "drift", "in.csv"]),
        ("bentoml", "bulk", ["-c", COMMAND, "score", "in.csv", "out.csv"]),
        ("narwhals", "frames", ["-c", "import drugpred.frames"]),
        ("numpy", "frames", ["-c", "import drugpred; drugpred.load"]),
        ("bentoml", "serve", ["-c", "import drugpred; drugpred.load()"]),
        ("skops", "train", ["-c", "import drugpred; drugpred.load_pipeline"]),
        ("pandas", "train", ["-c", "import drugpred; drugpred.load_data"]),
        ("tenacity", "client", ["-c", "import drugpred.client"]),
        ("httpx", "client", ["-c", "import drugpred.client; drugpred.client.Client('http://127.0.0.1:1')"]),
        ("numpy", "stream", ["-c", STREAM]),
    ],
)
def test_a_package_that_is_missing_is_named_with_how_to_get_it(tmp_path, store, package, extra, arguments):
    (tmp_path / "sitecustomize.py").write_text(WITHOUT.format(package=package), encoding="utf-8")
    (tmp_path / "in.csv").touch()
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}", "BENTOML_HOME": str(store)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = f"expected the package {package}, which is not installed: pip install -e '.[{extra}]' in the checkout"
    assert done.stderr.splitlines()[-1].endswith(said)
    if "import drugpred" not in str(arguments[-1]):  # which raises, as a library does
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "out.csv.parts").exists()
