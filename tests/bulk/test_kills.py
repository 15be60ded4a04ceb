"""Runs that are killed at random moments, on each engine and in a bucket, against undisturbed ones."""

import random
import subprocess
import sys
import time

import pytest
from pyarrow import fs

from drugpred.errors import ConfigurationError
from tests.bulk.conftest import contents
from tests.harness import NIGHTLY, wait
from tests.harness.ports import free_ports
from tests.harness.s3 import stored

KILLS = 10 if NIGHTLY else 3

PROCESS = """
import sys
from types import SimpleNamespace
from rich.console import Console
from drugpred.bulk import csv_source, parquet_source, run
from drugpred.codebook import DRUGS
from drugpred.data.simulator import Cohort

parquet_source._PART_ROWS, csv_source._PART_BYTES = 500, 50_000
prepare = run.prepare
run.prepare = lambda *arguments: (prepare(*arguments), print("begun", flush=True))
model = SimpleNamespace(tag="drug_consumption:test", predictor=Cohort.load().predictor)
source, output, engine = sys.argv[1:]
workers = None if engine == "local" else 2
options = run.Options(DRUGS, "decade", "standardized")
run.score(run.plan(source, output, model, options), Console(stderr=True), engine, None, workers)
"""


def start(source, output, engine):
    """Start a run, and return its process when it begins to score."""
    command = [sys.executable, "-c", PROCESS, source, output, engine]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"begun\n", process.communicate()
    return process


def seconds(process):
    """Wait for the end of a run, and return the time."""
    begun = time.monotonic()
    with process:
        assert process.wait(100) == 0
    return time.monotonic() - begun


def killed_at_random_moments(source, whole, output, engine, read):
    """Kill runs, continue each with the next one, and compare each that ends with an undisturbed one."""
    moments = random.Random(5)
    longest = seconds(start(source, whole, engine))
    kills = number = 0
    while kills < KILLS:
        process = start(source, output.format(number), engine)
        try:
            process.wait(moments.uniform(0, longest * 0.7))  # most are killed before they end
        except subprocess.TimeoutExpired:
            kills += 1
        finally:
            process.kill()
        process.communicate()
        found = read(str(number))
        if "out.manifest.json" in found and "out.parts/run.json" not in found:
            number += 1  # finished; the next one has another output
    seconds(start(source, output.format(number), engine))
    expected = read("whole")
    assert len(expected) > 10
    for i in range(number + 1):
        found = read(str(i))
        found.pop("out.parts/lock", None)  # of one that was killed as it ended
        assert found == expected


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "processes", "dask"])
def test_a_run_killed_at_random_moments_continues(many_parts, tmp_path, engine):
    path = many_parts("in.parquet")
    for name in ("whole", *map(str, range(10 * KILLS))):  # more than there are runs that end before they are killed
        (tmp_path / name).mkdir()
    killed_at_random_moments(
        str(path),
        f"{tmp_path}/whole/out/",
        f"{tmp_path}/{{}}/out/",
        engine,
        lambda name: contents(tmp_path / name),
    )


@pytest.mark.slow
def test_a_run_to_a_bucket_killed_at_random_moments_continues(many_parts, s3):
    url = "s3://bucket/kills"
    files, _ = fs.FileSystem.from_uri(url)
    with files.open_output_stream("bucket/kills/in.parquet") as file:
        file.write(many_parts("in.parquet").read_bytes())
    killed_at_random_moments(
        f"{url}/in.parquet",
        f"{url}/whole/out/",
        f"{url}/{{}}/out/",
        "local",
        lambda name: stored(files, f"{url}/{name}"),
    )


@pytest.mark.slow
def test_a_scheduler_that_dies_is_reported_and_the_rest_is_scored_later(many_parts, run, tmp_path, monkeypatch):
    dask = pytest.importorskip("dask")
    pytest.importorskip("distributed")
    path = many_parts("in.parquet")
    run(path, f"{tmp_path}/whole.csv")
    (port,) = free_ports(1)
    address = f"tcp://127.0.0.1:{port}"
    python = [sys.executable, "-m"]
    scheduler = [
        *python,
        "distributed.cli.dask_scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-dashboard",
    ]
    worker = [*python, "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    processes = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for command in (scheduler, worker)]
    wait(lambda: has_worker(address), "the worker")

    def kill(*_):
        if done := list((tmp_path / "out.csv.parts").glob("0*.json")):
            processes[0].kill()
        return done

    try:
        reported = pytest.raises(ConfigurationError, match=r"parts are kept")
        settings = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
        with monkeypatch.context() as patched, settings, reported:
            patched.setattr("drugpred.bulk.run.Progress.advance", kill)
            run(path, tmp_path / "out.csv", engine="dask", cluster=address)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert not (tmp_path / "out.csv").exists()
    assert run(path, tmp_path / "out.csv") == (4992, 8)
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def has_worker(address):
    from distributed import Client

    try:
        with Client(address, timeout=2) as client:
            return bool(client.scheduler_info()["workers"])
    except OSError:
        return False
