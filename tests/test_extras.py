"""Commands and the client where a package of their extra is not installed."""

import os
import subprocess
import sys

import pytest

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


@pytest.mark.parametrize(
    ("package", "extra", "arguments"),
    [
        ("skops", "train", [ROOT / "train.py"]),
        ("mlflow", "train,track", [ROOT / "train.py", "--track", "--config", ROOT / "tests" / "quick.yaml"]),
        ("click", "bulk", ["-c", COMMAND, "--help"]),
        ("pandas", "train", ["-c", COMMAND, "simulate", "--rows", "1"]),
        ("scipy", "train", ["-c", COMMAND, "evaluate"]),
        ("pyarrow", "bulk", ["-c", COMMAND, "score", "in.csv", "out.csv"]),
        ("pyarrow", "bulk", ["-c", COMMAND, "drift", "in.csv"]),
        ("narwhals", "frames", ["-c", "import drugpred.frames"]),
        ("tenacity", "client", ["-c", "import drugpred.client"]),
        ("httpx", "client", ["-c", "import drugpred.client; drugpred.client.Client('http://127.0.0.1:1')"]),
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
    if extra not in {"client", "frames"}:  # which raise, as a library does
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "out.csv.parts").exists()
