"""The contracts: the code that is generated from them is current, and they read as such contracts should."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.harness import ROOT, skip

CONTRACTS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "drugpred").rglob("*.proto"))
LINT = {
    "version": "v2",
    "lint": {
        "use": ["STANDARD"],
        "except": ["SERVICE_SUFFIX"],
        "ignore_only": {"PACKAGE_VERSION_SUFFIX": ["inference"]},  # a public standard's name
    },
}


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """A folder with what the README's command generates."""
    folder = tmp_path_factory.mktemp("generated")
    outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I.", *outputs, *CONTRACTS], cwd=ROOT, check=True)
    return folder


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize("ending", ["_pb2.py", "_pb2.pyi", "_pb2_grpc.py"])
def test_generated_code_is_current(generated, contract, ending):
    name = contract.replace(".proto", ending)
    assert (generated / name).read_bytes() == (ROOT / name).read_bytes()


def test_no_generated_code_is_left_over(generated):
    made = {path.relative_to(generated).as_posix() for path in generated.rglob("*_pb2*.py*")}
    committed = {path.relative_to(ROOT).as_posix() for path in (ROOT / "drugpred").rglob("*_pb2*.py*")}
    assert {name for name in committed if "__pycache__" not in name} == made


def test_the_contracts_pass_bufs_standard_rules():
    buf = shutil.which("buf", path=str(Path(sys.executable).parent)) or shutil.which("buf")
    if not buf:
        skip("no buf to check the contracts with")
    folder = ROOT / "drugpred" / "proto"
    done = subprocess.run(
        [buf, "lint", "--config", json.dumps(LINT)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


NEEDED = {"grpcio": "GRPC_GENERATED_VERSION = '(.*)'", "protobuf": "Protobuf Python Version: (.*)"}


@pytest.mark.parametrize(("package", "pattern"), NEEDED.items(), ids=list(NEEDED))
def test_the_lowest_version_that_may_be_installed_runs_the_generated_code(generated, package, pattern):
    code = "".join(path.read_text(encoding="utf-8") for path in generated.rglob("*_pb2*.py"))
    (needed,) = set(re.findall(pattern, code))
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    (lowest,) = [found[1] for found in (re.match(rf"{package}>=([\d.]+)", each) for each in dependencies) if found]
    assert [int(part) for part in lowest.split(".")] >= [int(part) for part in needed.split(".")]
