"""Faults of the machine below a real server: its disk, its clock, its file handles, and its end at a bad moment."""

import os
import shutil
import socket
import subprocess
import threading
import time
from base64 import urlsafe_b64decode
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import grpc
import httpx
import psutil
import pytest

from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.drugpred.v1 import drug_prediction_pb2_grpc as pb_grpc
from drugpred.schemas import EXAMPLE, Error
from tests.harness import ROOT, skip, wait
from tests.harness.store import copy_of

pytestmark = pytest.mark.slow

KEY = "0123456789abcdef0123456789abcdef"
COLUMNS = {
    "age": [3], "gender": [1], "education": [9], "country": [6], "ethnicity": [7],
    "neuroticism": [0.3], "extraversion": [-0.6], "openness": [1.2], "agreeableness": [-0.3],
    "conscientiousness": [-0.1], "impulsivity": [0.5], "sensation_seeking": [0.8],
}  # fmt: skip


def answers(client):
    """Ask in many ways, most of which nobody asked in before; return an answer."""
    for window in ("ever", "decade", "year", "month", "week", "day"):
        assert client.post("/predict", json=EXAMPLE | {"window": window}).status_code == 200
    assert client.post("/predict_batch", json={"profiles": [EXAMPLE] * 100}).status_code == 200
    assert client.post("/predict", json=EXAMPLE | {"age": "nobody"}).status_code == 400
    assert client.get("/nowhere").status_code == 404
    assert client.get("/health").status_code == 200
    return client.post("/predict", json=EXAMPLE).json()


def feed_back(client, answer):
    response = client.post("/feedback", json={"prediction_id": answer["prediction_id"], "outcomes": {"cannabis": True}})
    if response.status_code >= 400:
        Error.model_validate(response.json())
    return response.status_code


def issued(answer):
    """Return when the service made a prediction, in seconds since 1970, by its token."""
    return int.from_bytes(urlsafe_b64decode(answer["prediction_id"])[5:9], "big")


def counted(client, name="drugpred_profiles_total"):
    time.sleep(1.5)  # predictions are counted once a second
    metrics = client.get("/metrics")
    assert metrics.status_code == 200
    return sum(float(line.split()[-1]) for line in metrics.text.splitlines() if line.startswith(f"{name} "))


def ends(server, within=30):
    """Return the exit code and the last line of a server that should not start."""
    try:
        return server.process.wait(within), server.output.splitlines()[-1]
    finally:
        server.stop()


@pytest.fixture
def disk(tmp_path):
    """Return a function that mounts a small disk."""
    if os.geteuid() != 0:
        skip("only root can mount a small disk")
    with ExitStack() as stack:

        def mount(megabytes):
            folder = tmp_path / f"disk{megabytes}"
            folder.mkdir()
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], capture_output=True, check=False
            )
            if done.returncode:
                skip("no tmpfs can be mounted here")
            stack.callback(subprocess.run, ["umount", "--lazy", folder], check=True)
            return folder

        yield mount


def fill(folder, but=0):
    """Fill a disk, except for some bytes; return the file that fills it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - but)
        while not but:
            file.seek(0, os.SEEK_END)
            file.write(b"\0" * 4096)
    return filler


def home_on(folder, store):
    (folder / "tmp").mkdir()
    return copy_of(store, folder / "bentoml"), {"TMPDIR": str(folder / "tmp"), "DRUGPRED_FEEDBACK_KEY": KEY}


def test_predictions_continue_while_the_disk_is_full(serve, store, disk):
    home, environment = home_on(disk(60), store)
    with serve(home, **environment) as server, server.client() as client:
        filler = fill(home.parent)  # before any prediction
        before = answers(client)
        filler.unlink()
        assert answers(client)["risks"] == before["risks"]
        assert counted(client) == 2 * 107
        (worker,) = server.workers
        filler = fill(home.parent)
        for _ in range(3):
            last = answers(client)
        assert [feed_back(client, answer) for answer in (before, last)] == [503, 503]
        assert counted(client) == 5 * 107
        assert server.workers == [worker]
        worker.kill()
        worker.wait(10)
        wait_for_others(server, worker)
        answers(client)
        assert counted(client) == 6 * 107
        filler.unlink()
        assert [feed_back(client, answer) for answer in (before, last, last)] == [200, 200, 409]


def wait_for_others(server, worker):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError, psutil.Error):
            if server.workers not in ([], [worker]) and httpx.get(f"{server.url}/readyz", timeout=2).status_code == 200:
                return
        time.sleep(0.1)
    pytest.fail("the worker was not replaced")


def test_the_space_for_two_workers_is_checked_before_they_start(launch, store, disk):
    home, environment = home_on(disk(8), store)
    code, line = ends(launch(home, **environment, BENTOML_CONFIG_OPTIONS="services.drugpred.workers=2"))
    assert code == 1
    assert "expected space for 10 files of metrics, 10 MB, in " in line
    assert "No space left on device" in line


def test_a_home_that_cannot_be_written_serves_and_takes_no_feedback(serve, store, disk):
    folder = disk(60)
    home, environment = home_on(folder, store)
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    # BentoML counts in a folder of temporary files then; that the folder for them cannot be written to leaves /tmp.
    with serve(home, **environment) as server, server.client() as client:
        assert [feed_back(client, answers(client)) for _ in range(2)] == [503, 503]
        assert server.output.count("feedback is not accepted: expected to be able to write") == 1  # at the start
        assert server.output.count("feedback is not accepted: ") == 2  # and at the first that is not
        assert counted(client) == 2 * 107
        subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
        assert feed_back(client, answers(client)) == 200


def test_predictions_continue_without_the_folder_of_metrics_and_when_the_home_vanishes(serve, copied_store):
    (copied_store / "prometheus_multiproc_dir").write_bytes(b"no folder")
    (copied_store / "prometheus_multiproc_dir").chmod(0)
    with serve(copied_store, DRUGPRED_FEEDBACK_KEY=KEY) as server, server.client() as client:
        answers(client)
        assert counted(client) == 107
        (worker,) = server.workers
        shutil.rmtree(copied_store)
        answer = answers(client)
        assert feed_back(client, answer) in (200, 503)
        assert counted(client) == 2 * 107  # the metrics files are restored with their counts
        assert server.workers == [worker]


def faketime():
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        skip("no libfaketime; Debian has it as faketime")
    return str(found[0])


def test_a_clock_that_jumps_changes_no_prediction(serve, copied_store, tmp_path):
    clock = tmp_path / "clock"
    clock.write_text("+0")
    environment = {
        "LD_PRELOAD": faketime(),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",  # while a thread reads the file, others see the real time: not at each call
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # as it is with a real clock
        "DRUGPRED_FEEDBACK_KEY": KEY,
    }
    with serve(copied_store, **environment) as server, server.client() as client:
        first = answers(client)
        started, day = time.monotonic(), 24 * 3600

        def jump_to(jump, seconds):
            clock.write_text(jump)
            wait(lambda: abs(issued(client.post("/predict", json=EXAMPLE).json()) - seconds) < day / 2, jump)

        # A prediction after the last year that a token can represent accepts no feedback.
        for jump, seconds, taken in (
            ("-1d", time.time() - day, 200),
            ("+365d", time.time() + 365 * day, 200),
            ("@1970-01-01 00:00:10", 10, 200),
            ("@2200-01-01 00:00:00", 2**32 - 1, 410),
        ):
            jump_to(jump, seconds)
            answer = answers(client)
            assert answer["risks"] == first["risks"], jump
            assert feed_back(client, first) in (400, 410, 503), jump
            assert feed_back(client, answer) == taken, jump
            assert 0 <= client.get("/health").json()["uptime_seconds"] < 60 + time.monotonic() - started
        jump_to("+0", time.time())
        assert feed_back(client, first) == 200
        assert counted(client) > 0


def test_without_free_file_handles_requests_are_answered_later(server, client):
    answers(client)
    (worker,) = server.workers
    limit = worker.rlimit(psutil.RLIMIT_NOFILE)
    worker.rlimit(psutil.RLIMIT_NOFILE, (worker.num_fds() + 5, limit[1]))
    try:
        host, port = server.url.removeprefix("http://").split(":")
        with ExitStack() as stack:
            for _ in range(40):
                with suppress(OSError):
                    stack.enter_context(socket.create_connection((host, int(port)), 5))
            answers(client)  # on the connection that there is
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError), httpx.Client(base_url=server.url, timeout=2) as later:
                answers(later)
                break
            time.sleep(0.1)
        else:
            pytest.fail("nobody new is answered")
        assert server.workers == [worker]
    finally:
        worker.rlimit(psutil.RLIMIT_NOFILE, limit)


# The service with a part that fails: BEFORE it is imported, or AFTER.
SERVICE = """
from pathlib import Path
{before}
__file__ = {file!r}
exec(compile(Path(__file__).read_text(), __file__, "exec"))
{after}
"""
HOOK = """
import drugpred.serving.grpc.server as rpc
async def start(self):
    raise ArithmeticError("the hook fails")
rpc.Server.start = start
"""
PREDICTOR_AND_ROUTE = """
from drugpred.monitoring import drift
from drugpred.predictor import Predictor
def fail(*_):
    raise ArithmeticError(str(1 + 0.2345))
Predictor.predict_design = drift.measure = fail
"""
MIDDLEWARE = """
class Failing:
    def __init__(self, app):
        self.app = app
    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and scope["path"] == "/model":
            raise ArithmeticError(str(1 + 0.2345))
        await self.app(scope, receive, send)
DrugPrediction.add_asgi_middleware(Failing)
"""


def service(folder, before="", after=""):
    (folder / "service.py").write_text(SERVICE.format(before=before, after=after, file=str(ROOT / "service.py")))
    return folder


def test_any_exception_is_answered_at_once_in_the_error_format(serve, store, tmp_path):
    with serve(store, ".", service(tmp_path, PREDICTOR_AND_ROUTE, MIDDLEWARE)) as server, server.client() as client:
        tensors = [{"name": name, "shape": [1], "datatype": "FP64", "data": [0.1]} for name in COLUMNS]
        for method, path, body in (
            ("POST", "/predict", EXAMPLE),
            ("POST", "/predict", EXAMPLE | {"include": ["explanation"]}),
            ("POST", "/predict_batch", {"profiles": [EXAMPLE] * 10}),
            ("GET", "/drift", None),  # of the mounted application
            ("GET", "/model", None),  # which the middleware fails before
        ):
            with server.client() as one:
                response = one.request(method, path, json=body, timeout=20)  # BentoML would let it hang for 60
            assert response.status_code == 500, path
            assert response.json() == {"error": "Internal Server Error", "detail": []}, path
        assert client.post("/v2/models/drug_consumption/infer", json={"inputs": tensors}, timeout=20).is_error
        with grpc.insecure_channel(server.grpc) as channel:
            request = pb.PredictStreamRequest(**COLUMNS)
            with pytest.raises(grpc.RpcError) as caught:
                list(pb_grpc.DrugPredictionStub(channel).PredictStream(iter([request]), timeout=20))
        assert caught.value.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
        assert "1.2345" not in server.output + caught.value.details()
        assert client.get("/readyz").status_code == 200


def test_a_start_hook_that_fails_is_tried_again_and_then_ends_the_server(launch, store, tmp_path):
    server = launch(store, ".", service(tmp_path, HOOK))
    code, line = ends(server, 60)
    assert code == 1
    assert server.output.count("Running startup hook") in {3, 4}  # the next one may have started
    assert "ArithmeticError: the hook fails" in server.output
    assert "error: 3 workers ended one after the other before they were ready: exit code 3" in line


def test_sigterm_lets_a_long_stream_and_long_batches_end(launch, copied_store):
    server = launch(copied_store)
    server.wait_until_ready()
    sent, told = [], threading.Event()

    def chunks():
        for number in range(40):  # 4 seconds
            if number == 10:
                server.process.terminate()
                told.set()
            sent.append(number)
            yield pb.PredictStreamRequest(**{name: values * 100 for name, values in COLUMNS.items()})
            time.sleep(0.1)

    def batch(_):
        with server.client() as client:
            told.wait(30)
            response = client.post("/predict_batch", json={"profiles": [EXAMPLE | {"include": ["windows"]}] * 1000})
            return response.status_code, len(response.json())

    def slow_upload():
        host, port = server.url.removeprefix("http://").split(":")
        body = httpx.Request("POST", server.url, json=EXAMPLE).content
        with socket.create_connection((host, int(port)), 30) as connection:
            head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
            connection.sendall(f"{head}\r\n\r\n".encode() + body[:50])
            told.wait(30)
            time.sleep(3)  # longer than new requests are taken
            connection.sendall(body[50:])
            return connection.makefile("rb").readline()

    try:
        with ThreadPoolExecutor(8) as pool, grpc.insecure_channel(server.grpc) as channel:
            batches = pool.map(batch, range(6))
            slow = pool.submit(slow_upload)
            answered = [
                len(answer.probabilities) for answer in pb_grpc.DrugPredictionStub(channel).PredictStream(chunks())
            ]
            assert answered == [1800] * 40
            assert list(batches) == [(200, 1000)] * 6
            assert slow.result() == b"HTTP/1.1 200 OK\r\n"
        assert server.process.wait(30) == 0
    finally:
        server.stop()
