"""How a server starts and is operated: from another folder, with little of the system, and without its parent."""

import re
import shutil
import signal
import time
from pathlib import Path

import grpc
import psutil
import pytest

from drugpred.client import converters
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.drugpred.v1 import drug_prediction_pb2_grpc as pb_grpc
from drugpred.schemas import EXAMPLE, Profile
from tests.harness import ROOT
from tests.harness.certificates import make_certificates
from tests.harness.ports import free_ports
from tests.harness.service import metrics_folder
from tests.harness.store import copy_of

TWO_WORKERS = {"BENTOML_CONFIG_OPTIONS": "services.drugpred.workers=2"}


def test_a_few_lines_describe_the_server(server, stored_model):
    before = server.output.partition("Starting production")[0].splitlines()
    ours = [line for line in before if "[cli]" in line and "config override" not in line]
    assert len(ours) <= 5
    for wanted in (
        f"{stored_model.tag}, trained on the real",
        f"{server.url}/app",
        f"gRPC on {server.grpc}",
        "no API keys",
    ):
        assert wanted in "".join(ours)


def test_a_browser_finds_the_page_from_the_documentation(client):
    assert 'href="./app"' in client.get("/").text


@pytest.fixture
def relative(launch, store, tmp_path):
    """A server of two workers, started in another folder with paths of that folder, and without posix_fallocate."""
    copy_of(store, tmp_path / "home")
    make_certificates(tmp_path)
    (tmp_path / "lacking").mkdir()
    (tmp_path / "lacking" / "sitecustomize.py").write_text("import os\ndel os.posix_fallocate\n")
    environment = {
        "DRUGPRED_API_KEYS_FILE": "keys",
        "DRUGPRED_FEEDBACK_FOLDER": "used",
        "DRUGPRED_GRPC_CERTIFICATE": "server.pem",
        "DRUGPRED_GRPC_KEY": "server.key",
        "DRUGPRED_GRPC_CLIENT_CA": "ca.pem",
        "DRUGPRED_GRPC_PORT": "0",
        "PROMETHEUS_MULTIPROC_DIR": "not/there",
        "PYTHONPATH": f"{tmp_path / 'lacking'}:{ROOT}",
    }
    digest = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"  # of "key"
    (tmp_path / "keys").write_text(f"caller predict,feedback,metrics {digest}\n")
    server = launch(Path("home"), str(ROOT), tmp_path, **environment, **TWO_WORKERS)
    yield server
    server.stop()


@pytest.mark.slow
def test_it_serves_from_another_folder_and_survives_the_loss_of_metrics_and_workers(relative, tmp_path):
    relative.wait_until_ready()
    (port,) = set(re.findall(r"gRPC on 127\.0\.0\.1:(\d+) with TLS; workers: 2", relative.output))
    deadline = time.monotonic() + 30
    while len({each.laddr.port for worker in relative.workers for each in worker.net_connections("tcp")}) < 2:
        assert time.monotonic() < deadline
    headers = {"x-api-key": "key"}
    options = [("grpc.ssl_target_name_override", "localhost"), ("grpc.use_local_subchannel_pool", 1)]
    request = pb.PredictRequest(profile=converters.profile(Profile.model_validate(EXAMPLE)))
    for own, code in (("client", None), ("other", grpc.StatusCode.UNAVAILABLE)):
        files = [(tmp_path / name).read_bytes() for name in ("ca.pem", f"{own}.key", f"{own}.pem")]
        with grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(*files), options) as channel:
            call = pb_grpc.DrugPredictionStub(channel).Predict.future(request, metadata=[*headers.items()], timeout=30)
            assert (call.exception() and call.exception().code()) is code
    with relative.client() as client:
        assert client.post("/predict", json=EXAMPLE).status_code == 401
        answer = client.post("/predict", json=EXAMPLE, headers=headers)
        feedback = {"prediction_id": answer.json()["prediction_id"], "outcomes": {"lsd": True}}
        assert client.post("/feedback", json=feedback, headers=headers).status_code == 200
        assert (tmp_path / "used" / "feedback.sqlite").is_file()
        folder = metrics_folder(tmp_path / "home")
        time.sleep(1.5)
        shutil.rmtree(folder)
        for _ in range(2):
            metrics = client.get("/metrics", headers=headers)
            assert metrics.status_code == 200
            time.sleep(1.5)
        assert "drugpred_profiles_total 2.0" in metrics.text
        assert len(list(folder.iterdir())) == 10
    shutil.rmtree(folder)
    workers = relative.workers
    for worker in workers:
        worker.kill()
    psutil.wait_procs(workers, timeout=10)
    relative.wait_until_ready()
    assert not list((ROOT / "not").glob("*"))
    relative.process.send_signal(signal.SIGHUP)
    time.sleep(1)
    relative.wait_until_ready()
    assert relative.stop() == (0, [])
    assert "Traceback" not in relative.output


@pytest.mark.slow
def test_workers_end_after_their_server_and_until_then_the_next_start_names_them(launch, copied_store):
    (port,) = free_ports(1)
    server = launch(copied_store, DRUGPRED_GRPC_PORT=str(port))
    server.wait_until_ready()
    (worker,) = server.workers
    worker.suspend()
    server.process.kill()
    server.process.wait()
    try:
        other = launch(copied_store, DRUGPRED_GRPC_PORT=str(port))
        try:
            assert other.process.wait(60) == 1
        finally:
            other.stop()
        line = other.output.splitlines()[-1]
        assert f"port {port} is in use by workers whose server is gone (end them: kill {worker.pid})" in line
    finally:
        worker.resume()
    assert psutil.wait_procs([worker], timeout=30)[1] == []
    assert "the process that started this worker has ended, so it ends too" in server.output
    assert "Running cleanup hook" in server.output
