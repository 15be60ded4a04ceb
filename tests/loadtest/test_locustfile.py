"""Load by locust on a real service, in processes of their own as an operator runs them."""

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest

from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from tests.harness import NIGHTLY, ROOT, serving

pytestmark = pytest.mark.slow

ENDPOINTS = {
    "one": "POST /predict",
    "batch": "POST /predict_batch",
    "grpc": "gRPC /drugpred.v1.DrugPrediction/Predict",
}
LENIENT = {"p95_ms": 30_000, "error_rate": 0, "requests_per_second": 0.1}


@pytest.fixture
def load(tmp_path):
    """Return a function that runs locust without its web page; levels are the content of the file."""

    def run(*arguments, host, grpc_port=1, levels=None, files="loadtest/locustfile.py"):
        command = ["-m", "locust", "-f", files, *arguments, "--host", host, "--grpc-port", str(grpc_port)]
        if levels is not None:
            path = tmp_path / "levels.yaml"
            path.write_text(json.dumps(levels))  # which YAML takes
            command += ["--levels", str(path)]
        return subprocess.run(
            [sys.executable, *command, "--headless", "--only-summary"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def port(address):
    return int(address.rpartition(":")[2])


def failures(done, endpoint):
    """Return the number of requests and of failures in locust's table."""
    method, _, name = endpoint.partition(" ")
    found = re.search(rf"^{method} +{re.escape(name)} +(\d+) +(\d+)\(", done.stdout + done.stderr, re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def names(done):
    """Return the names of the endpoints in locust's table."""
    return {name for name, endpoint in ENDPOINTS.items() if failures(done, endpoint) != (0, 0)}


def test_all_users_are_answered_and_the_levels_met(load, server, tmp_path):
    report = tmp_path / "report.html"
    done = load(
        *("-u", "4", "-r", "4", "-t", "3s", "--html", str(report)),
        host=server.url,
        grpc_port=port(server.grpc),
        levels=dict.fromkeys(ENDPOINTS.values(), LENIENT) | {"Aggregated": LENIENT},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = done.stdout.splitlines()[-12:]
    assert all(line.endswith(" yes") for line in verdicts), done.stdout
    assert {line.rpartition(" p95 ")[0] for line in verdicts if " p95 " in line} == {*ENDPOINTS.values(), "Aggregated"}
    page = report.read_text(encoding="utf-8")
    assert "<html" in page
    assert "/predict_batch" in page
    assert "/drugpred.v1.DrugPrediction/Predict" in page


@pytest.mark.parametrize(
    ("user", "asked"),
    [("PredictBatchUser", {"batch"}), ("MixedUser", {"one", "batch"}), ("GrpcUser", {"grpc"})],
)
def test_a_user_asks_by_its_own_calls_alone(load, server, user, asked):
    done = load(user, "-u", "4", "-r", "4", "-t", "2s", host=server.url, grpc_port=port(server.grpc))
    assert done.returncode == 0, done.stdout + done.stderr
    assert names(done) == asked


def test_a_missed_level_is_reported_with_the_exit_code(load, server):
    levels = {"POST /predict": LENIENT | {"p95_ms": 0.001}, "GET /predict": {"error_rate": 1}}
    done = load("PredictUser", "-u", "1", "-t", "2s", host=server.url, levels=levels)
    assert done.returncode == 1
    assert re.search(r"^POST /predict p95 +under 0.001 ms +\d+ ms +NO$", done.stdout, re.MULTILINE)
    assert re.search(r"^POST /predict errors +at most 0% +0% +yes$", done.stdout, re.MULTILINE)
    assert re.search(r"^GET /predict errors +at most 100% +no request +NO$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(("allowed", "exit_code"), [(0, 1), (1, 0)])
def test_a_service_that_answers_errors_misses_the_levels(load, server, allowed, exit_code):
    # no such path, and no gRPC on that port
    levels = {endpoint: {"error_rate": allowed} for endpoint in ENDPOINTS.values()}
    done = load(
        *("-u", "4", "-r", "4", "-t", "2s"), host=f"{server.url}/nowhere", grpc_port=port(server.url), levels=levels
    )
    assert done.returncode == exit_code, done.stdout + done.stderr
    assert done.stdout.count("at most") == len(ENDPOINTS)
    assert done.stdout.count(" 100% ") == len(ENDPOINTS) * (1 + allowed)
    for endpoint in ENDPOINTS.values():
        requests, failed = failures(done, endpoint)
        assert requests == failed > 0, done.stderr


def test_the_run_time_begins_after_the_imports(load, server, tmp_path):
    slow = tmp_path / "slow.py"
    slow.write_text("import time\nuntil = time.monotonic() + 2\nwhile time.monotonic() < until:\n    pass\n")
    done = load("PredictUser", "-u", "1", "-t", "2s", host=server.url, files=f"{slow},loadtest/locustfile.py")
    requests, failed = failures(done, ENDPOINTS["one"])
    assert requests > 5 > failed == 0, done.stderr


def test_without_levels_the_exit_code_reports_an_error(load, server):
    assert load("PredictUser", "-u", "1", "-t", "3s", host=f"{server.url}/nowhere").returncode == 1


@contextmanager
def answering(one, batch, status=200):
    """Answer each endpoint over HTTP with the same, and without risks over gRPC; give both ports."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            body = (one if self.path == "/predict" else batch).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    rpc = grpc.server(ThreadPoolExecutor())
    predict = grpc.unary_unary_rpc_method_handler(lambda *_: pb.PredictResponse().SerializeToString())
    rpc.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("drugpred.v1.DrugPrediction", {"Predict": predict})]
    )
    grpc_port = rpc.add_insecure_port("127.0.0.1:0")
    rpc.start()
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
        yield f"http://{address}", grpc_port
    rpc.stop(None).wait()


RISKS = {"risks": [{}] * 18}
ONE, BATCH = json.dumps(RISKS), json.dumps([RISKS] * 100)


@pytest.mark.parametrize(
    ("one", "batch", "status", "right"),
    [
        pytest.param(ONE, ONE, 200, {"one"}, id="one"),
        pytest.param(BATCH, BATCH, 200, {"batch"}, id="batch"),
        pytest.param(json.dumps({"risks": [{}] * 17}), json.dumps([RISKS] * 99), 200, set(), id="less"),
        pytest.param("<p>", json.dumps([RISKS] * 99 + [{"risks": []}]), 200, set(), id="HTML, no drugs"),
        pytest.param(ONE, BATCH, 202, set(), id="another status"),
    ],
)
def test_a_wrong_answer_is_a_failure(load, one, batch, status, right):
    with answering(one, batch, status) as (host, grpc_port):
        done = load("-u", "4", "-r", "4", "-t", "2s", host=host, grpc_port=grpc_port)
    assert done.returncode == 1
    for name, endpoint in ENDPOINTS.items():
        requests, failed = failures(done, endpoint)
        assert requests > 0, done.stderr
        assert failed == (0 if name in right else requests), done.stderr


def test_malformed_levels_are_refused_before_any_load(load, server):
    done = load("PredictUser", "-t", "60s", host=server.url, levels={"POST /predict": {"p95": 25}})
    assert done.returncode == 2
    assert re.search(r"^error: .*levels.yaml: POST /predict: p95: .*expected.* p95_ms ", done.stderr, re.MULTILINE)
    assert failures(done, ENDPOINTS["one"]) == (0, 0)


def test_a_shape_sets_the_number_of_users(load, server):
    files = "loadtest/locustfile.py,loadtest/shapes/steady.py"
    done = load("PredictUser", "-u", "3", "-t", "2s", host=server.url, files=files)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Shape test updating to 3 users" in done.stderr
    assert names(done) == {"one"}
    assert failures(done, ENDPOINTS["one"])[1] == 0


def test_service_levels_are_met(server, tmp_path):
    # Other tests run on the machine's cores meanwhile, but at night the levels are those that the README promises.
    levels, seconds = ROOT / "loadtest" / "slo.yaml", "10s"
    if not NIGHTLY:
        levels, seconds = tmp_path / "slo.yaml", "3s"
        levels.write_text("POST /predict: {p95_ms: 2000, requests_per_second: 20}\nAggregated: {error_rate: 0}\n")
    command = [sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", "PredictUser", "--headless"]
    command += ["--only-summary", "--host", server.url, "-u", "55", "-r", "55", "--levels", str(levels), "-t", seconds]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^(.*?)  +(?:under|at least|at most) .* yes$", done.stdout, re.MULTILINE)
    assert rows == ["POST /predict p95", "POST /predict requests/s", "Aggregated errors"]
