"""What type checkers without a plug-in find in `typed_uses.py`: each wrong use, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import ROOT, skip

USES = ROOT / "tests" / "typed_uses.py"


def mypy(folder: Path) -> set[int]:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "-O", "json", USES]
    done = run(command, folder)
    errors = [json.loads(line) for line in done.stdout.splitlines()]
    assert {error["file"] for error in errors} == {str(USES)}
    return {error["line"] for error in errors if error["severity"] == "error"}


def pyright(folder: Path) -> set[int]:
    """Run basedpyright, which is pyright with all that it needs, by pyright's own strict rules."""
    checker = Path(sys.executable).with_name("basedpyright")
    if not checker.is_file():
        skip("no basedpyright: pip install -e '.[test]'")
    configuration = {"include": [str(USES)], "extraPaths": [str(ROOT)], "typeCheckingMode": "strict"}
    (folder / "pyrightconfig.json").write_text(json.dumps(configuration), encoding="utf-8")
    done = run([checker, "--outputjson", "--pythonpath", sys.executable, "-p", folder], folder)
    errors = json.loads(done.stdout)["generalDiagnostics"]
    assert {error["file"] for error in errors} == {str(USES)}
    return {error["range"]["start"]["line"] + 1 for error in errors}


def run(command: list, folder: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"MYPYPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize(
    "checker", [pytest.param(mypy, marks=pytest.mark.nightly), pytest.param(pyright, marks=pytest.mark.slow)]
)
def test_each_wrong_use_is_found_and_nothing_else(tmp_path, checker):
    lines = USES.read_text(encoding="utf-8").splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
    assert len(wrong) > 10
    assert checker(tmp_path) == wrong


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "drugpred" / "py.typed").is_file()
