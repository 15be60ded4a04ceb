"""The same run in processes of this machine, and on a cluster: a scheduler and two workers."""

import gc
import importlib.util
import os
import signal
import subprocess
import sys
from contextlib import suppress
from types import SimpleNamespace

import psutil
import pytest

from drugpred.bulk import executors
from drugpred.bulk.job import Job
from drugpred.errors import ConfigurationError, DataError
from tests.bulk.conftest import contents, files
from tests.harness import skip, wait


def needs_dask():
    if importlib.util.find_spec("distributed") is None:
        skip("no Dask: pip install -e '.[bulk,dask]'")


@pytest.fixture(scope="module")
def cluster():
    """A Dask cluster of two workers."""
    needs_dask()
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        yield cluster


@pytest.mark.parametrize(("source", "output"), [("in.parquet", "out/"), ("in.csv", "out.csv")])
def test_processes_write_the_same_as_one(many_parts, run, tmp_path, monkeypatch, source, output):
    path = many_parts(source)
    (tmp_path / "whole").mkdir()
    counts = run(path, f"{tmp_path}/whole/{output}")
    monkeypatch.setattr(Job, "score_part", None)  # of this process, which must do no work
    (tmp_path / "found").mkdir()
    assert run(path, f"{tmp_path}/found/{output}", engine="processes", workers=2) == counts == (4992, 8)
    assert contents(tmp_path / "found") == contents(tmp_path / "whole")


def test_an_unreadable_file_in_a_process_is_reported(people, table, write, run, tmp_path):
    path = write("in.parquet", table(people), compression="none")
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 5000 + content[5004:])
    with pytest.raises(DataError, match=r"cannot read .*in.parquet: expected a Parquet file"):
        run(path, tmp_path / "out.parquet", engine="processes")


def workers():
    """Return the processes of this one that score."""
    servers = [child for child in psutil.Process().children() if "forkserver" in " ".join(child.cmdline())]
    return [worker for server in servers for worker in server.children()]


def kill_worker(*_):
    with suppress(psutil.NoSuchProcess):
        for worker in workers()[:1]:
            worker.kill()


def test_a_killed_process_is_reported_and_no_other_is_left(many_parts, run, tmp_path, monkeypatch):
    path = many_parts("in.csv")
    run(path, tmp_path / "whole.csv")
    with monkeypatch.context() as patched:
        patched.setattr("drugpred.bulk.run.Progress.advance", kill_worker)
        with pytest.raises(ConfigurationError, match=r"^the workers of a part were lost: .* parts are kept"):
            run(path, tmp_path / "out.csv", engine="processes", workers=2)
    wait(lambda: not workers(), "the end of all workers")
    assert run(path, tmp_path / "out.csv", engine="processes", workers=2) == (4992, 8)
    assert files(tmp_path / "out.csv") == files(tmp_path / "whole.csv")


def test_processes_end_with_the_one_that_started_them(many_parts, store, tmp_path):
    code = "import sys; sys.argv[0] = 'drugpred'; from drugpred.cli import main; main()"
    command = subprocess.Popen(
        [sys.executable, "-c", code, "score", many_parts("in.csv"), tmp_path / "out.csv", "--engine", "processes"],
        env=os.environ | {"BENTOML_HOME": str(store)},
        stderr=subprocess.DEVNULL,
    )
    started = psutil.Process(command.pid)
    wait(lambda: len(started.children(recursive=True)) > 2, "the first worker")
    others = started.children(recursive=True)
    command.kill()
    command.wait()
    _, alive = psutil.wait_procs(others, timeout=10)
    assert not alive


@pytest.mark.slow
@pytest.mark.parametrize(("source", "output"), [("in.parquet", "out.parquet"), ("in.csv", "out.csv")])
def test_a_cluster_writes_the_same_as_one_process(many_parts, run, cluster, tmp_path, monkeypatch, source, output):
    path = many_parts(source)
    (tmp_path / "whole").mkdir()
    counts = run(path, tmp_path / "whole" / output)
    monkeypatch.setattr(Job, "score_part", None)  # of this process, which must do no work
    address = cluster.scheduler_address
    assert run(path, tmp_path / output, engine="dask", cluster=address) == counts == (4992, 8)
    assert files(tmp_path / output) == files(tmp_path / "whole" / output)
    assert not (tmp_path / f"{output}.parts").exists()


@pytest.mark.slow
def test_the_part_of_a_lost_worker_is_given_to_another(many_parts, run, cluster, tmp_path, monkeypatch):
    path = many_parts("in.csv")
    run(path, tmp_path / "whole.csv")
    lost, killed = next(iter(cluster.workers.values())).pid, []

    def kill(*_):
        if not killed:
            os.kill(lost, signal.SIGKILL)
            killed.append(lost)

    monkeypatch.setattr("drugpred.bulk.run.Progress.advance", kill)
    assert run(path, tmp_path / "out.csv", engine="dask", cluster=cluster.scheduler_address) == (4992, 8)
    assert files(tmp_path / "out.csv") == files(tmp_path / "whole.csv")
    assert killed


@pytest.mark.slow
def test_without_an_address_the_cores_of_this_machine_work(many_parts, run, tmp_path, monkeypatch):
    needs_dask()
    path = many_parts("in.parquet")
    run(path, tmp_path / "whole.parquet")
    monkeypatch.setattr(Job, "score_part", None)
    assert run(path, tmp_path / "out.parquet", engine="dask") == (4992, 8)
    assert files(tmp_path / "out.parquet") == files(tmp_path / "whole.parquet")


@pytest.mark.slow
def test_an_unreadable_file_on_a_worker_is_reported(people, table, write, run, cluster, tmp_path):
    path = write("in.parquet", table(people), compression="none")
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 5000 + content[5004:])
    with pytest.raises(DataError, match=r"cannot read .*in.parquet: expected a Parquet file"):
        run(path, tmp_path / "out.parquet", engine="dask", cluster=cluster.scheduler_address)
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(
    ("address", "setting"),
    [
        ("tcp://127.0.0.1:1", {}),
        ("nonsense://x", {}),
        ("tls://127.0.0.1:1", {}),
        ("tcp://127.0.0.1:1", {"distributed.comm.require-encryption": True}),
        ("tcp://127.0.0.1:1", {"distributed.comm.timeouts.connect": "soon"}),
    ],
    ids=["nobody", "scheme", "no-certificate", "not-encrypted", "setting"],
)
def test_an_address_without_a_scheduler_is_reported_and_nothing_stays_open(many_parts, run, tmp_path, address, setting):
    needs_dask()
    import dask
    from distributed import Client  # first, because its defaults would override these settings

    def opened():
        clients = [client for client in gc.get_objects() if isinstance(client, Client)]
        return {client for client in clients if vars(client).get("status") not in (None, "newly-created", "closed")}

    before = opened()
    settings = {"distributed.comm.timeouts.connect": "1s"} | setting
    reported = pytest.raises(ConfigurationError, match=f"^expected a Dask scheduler at {address}: [^\n]+$")
    gc.disable()
    try:
        with dask.config.set(settings), reported:
            run(many_parts("in.csv"), tmp_path / "out.csv", engine="dask", cluster=address)
        assert opened() == before
    finally:
        gc.enable()


def starting(**options):
    """Return a cluster of one worker, whose tasks may be lost once."""
    needs_dask()
    import dask
    from distributed import LocalCluster

    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        return LocalCluster(threads_per_worker=1, dashboard_address="127.0.0.1:0", **options)


def test_a_cluster_without_workers_is_reported(many_parts, run, tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "_WORKER_TIMEOUT", 0.1)
    with starting(n_workers=0) as cluster:
        address = cluster.scheduler_address
        with pytest.raises(ConfigurationError, match=f"^expected at least one worker at the Dask scheduler {address}"):
            run(many_parts("in.csv"), tmp_path / "out.csv", engine="dask", cluster=address)


def test_workers_that_do_not_start_are_reported(many_parts, run, tmp_path, monkeypatch):
    needs_dask()

    def refuse(**_):
        raise RuntimeError("Nanny failed to start.\nMuch more.")

    monkeypatch.setattr("distributed.LocalCluster", refuse)
    with pytest.raises(ConfigurationError, match=r"^Dask could not start workers .*: Nanny failed to start\.$"):
        run(many_parts("in.csv"), tmp_path / "out.csv", engine="dask")


@pytest.mark.parametrize("use", ["Client.wait_for_workers", "Client.run", "Client.submit", "Future.result"])
def test_a_scheduler_that_ends_in_the_middle_of_an_answer_is_reported(cluster, monkeypatch, use):
    from distributed.comm.core import CommClosedError

    def ended(*_args, **_options):
        raise CommClosedError("in <TCP (closed)>: ConnectionResetError")

    monkeypatch.setattr(f"distributed.{use}", ended)
    job = SimpleNamespace(source=SimpleNamespace(parts=[SimpleNamespace(size=1)]), first=0, score_part=abs)
    with pytest.raises(ConfigurationError, match=r"^the workers of a part were lost: .* parts are kept"):
        list(executors.run_on_dask([executors.Task(job, 0)], print, address=cluster.scheduler_address))


@pytest.mark.slow
def test_a_part_that_ends_every_worker_is_reported():
    class Fatal:
        source = SimpleNamespace(parts=[SimpleNamespace(size=1)])
        first = 0

        def score_part(self, number):
            os._exit(9)

    refused = pytest.raises(ConfigurationError, match=r"^the workers of a part were lost: .* parts are kept")
    with starting(n_workers=1, silence_logs=50) as cluster, refused:
        list(executors.run_on_dask([executors.Task(Fatal(), 0)], print, address=cluster.scheduler_address))


@pytest.mark.slow
def test_workers_without_this_package_are_reported(many_parts, run, tmp_path):
    hide = tmp_path / "hide.py"
    code = (
        "import os, sys\nsys.path = [path for path in sys.path if not os.path.exists(os.path.join(path, 'drugpred'))]\n"
    )
    hide.write_text(code, encoding="utf-8")
    refused = pytest.raises(ConfigurationError, match=r"^expected this package .* tcp://127.0.0.1:\d+$")
    with starting(n_workers=1, preload=[str(hide)], silence_logs=50) as cluster, refused:
        run(many_parts("in.csv"), tmp_path / "out.csv", engine="dask", cluster=cluster.scheduler_address)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["dask", "processes"])
def test_an_interrupt_from_the_keyboard_reaches_all_processes_and_is_a_line(many_parts, store, tmp_path, engine):
    code = "import sys; sys.argv[0] = 'drugpred'; from drugpred.cli import main; main()"
    with (tmp_path / "said").open("wb") as said:
        command = subprocess.Popen(
            [sys.executable, "-c", code, "score", many_parts("in.csv"), tmp_path / "out.csv", "--engine", engine],
            env=os.environ | {"BENTOML_HOME": str(store)},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    started = psutil.Process(command.pid)
    wait(
        lambda: command.poll() is not None or len(started.children()) > 1, "the first worker"
    )  # one is its resource tracker
    os.killpg(command.pid, signal.SIGINT)
    assert command.wait(60) == 130
    *_, last = lines = (tmp_path / "said").read_text(encoding="utf-8").splitlines()
    assert last.startswith("Error: interrupted: finished parts are kept, and the same command continues")
    assert len(lines) <= 2, lines  # the other is the progress


def test_without_dask_the_error_names_the_extra(many_parts, run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigurationError, match="pip install"):
        run(many_parts("in.csv"), tmp_path / "out.csv", engine="dask")
