"""The same run on a cluster: a scheduler and two workers, processes of their own."""

import importlib.util
import os
import signal
import sys

import pytest

from drugpred.bulk import csv_source, parquet_source
from drugpred.bulk.job import Job
from drugpred.bulk.run import rejected_path
from drugpred.errors import ConfigurationError, DataError
from tests.conftest import skip


@pytest.fixture
def cluster():
    """A Dask cluster of two workers."""
    if importlib.util.find_spec("distributed") is None:
        skip("no Dask: pip install -e '.[bulk,dask]'")
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        yield cluster


@pytest.fixture
def many_parts(people, table, write, monkeypatch):
    """Write a file of ten parts or more with bad rows in some."""
    monkeypatch.setattr(parquet_source, "_PART_ROWS", 500)
    monkeypatch.setattr(csv_source, "_PART_BYTES", 50_000)
    rows = people.copy()
    rows[::700, 6] = 99
    return lambda name: write(name, table(rows), **({"row_group_size": 500} if name.endswith("parquet") else {}))


def files(output):
    return output.read_bytes(), rejected_path(output).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("source", "output"), [("in.parquet", "out.parquet"), ("in.csv", "out.csv")])
def test_a_cluster_writes_what_one_process_writes(many_parts, run, cluster, tmp_path, monkeypatch, source, output):
    path = many_parts(source)
    (tmp_path / "whole").mkdir()
    counts = run(path, tmp_path / "whole" / output)
    monkeypatch.setattr(Job, "run", None)  # of this process, in which nothing is to be done
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
def test_without_an_address_the_cores_of_this_machine_work(many_parts, cluster, run, tmp_path, monkeypatch):
    path = many_parts("in.parquet")
    run(path, tmp_path / "whole.parquet")
    monkeypatch.setattr(Job, "run", None)
    assert run(path, tmp_path / "out.parquet", engine="dask") == (4992, 8)
    assert files(tmp_path / "out.parquet") == files(tmp_path / "whole.parquet")


@pytest.mark.slow
def test_what_a_worker_cannot_read_is_told(people, table, write, run, cluster, tmp_path):
    path = write("in.parquet", table(people), compression="none")
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 5000 + content[5004:])
    with pytest.raises(DataError, match=r"cannot read .*in.parquet: expected a Parquet file"):
        run(path, tmp_path / "out.parquet", engine="dask", cluster=cluster.scheduler_address)
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x"])
def test_an_address_where_nothing_answers_is_told(many_parts, run, tmp_path, address):
    if importlib.util.find_spec("distributed") is None:
        skip("no Dask: pip install -e '.[bulk,dask]'")
    import dask
    import distributed  # noqa: F401 - first, or its defaults go with what is set here

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ConfigurationError, match=f"expected a Dask scheduler at {address}"),
    ):
        run(many_parts("in.csv"), tmp_path / "out.csv", engine="dask", cluster=address)


def test_without_dask_it_is_told_how_to_get_it(many_parts, run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigurationError, match="pip install"):
        run(many_parts("in.csv"), tmp_path / "out.csv", engine="dask")
