"""The files that workers count in, in processes of their own: whose they are, and that there is room in them."""

import os
import shutil
import subprocess
import sys

import pytest
from prometheus_client.multiprocess import MultiProcessCollector

from drugpred.errors import ConfigurationError
from drugpred.serving.patches import prometheus_files

COUNT = """if True:
    import os
    import sys
    from bentoml import server_context
    server_context.worker_index = int(sys.argv[1]) or None
    from drugpred.serving import patches
    patches.apply(["prometheus_files"])
    from drugpred.monitoring import metrics
    from prometheus_client import Gauge
    working = Gauge("working", "Requests.", multiprocess_mode="livesum")
    metrics.PROFILES.inc(3)
    working.inc()
    os._exit(0)
"""


def count(folder, worker):
    folder.mkdir(exist_ok=True)
    subprocess.run(
        [sys.executable, "-c", COUNT, str(worker)],
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        check=True,
    )


def counted(folder):
    metrics = MultiProcessCollector.merge([str(path) for path in folder.glob("*.db")])
    return {sample.name: sample.value for metric in metrics for sample in metric.samples}


@pytest.mark.slow
def test_a_replacement_of_a_worker_continues_its_counts(tmp_path):
    folder = tmp_path / "metrics"
    count(folder, 1)
    first = set(folder.iterdir())
    for _ in range(3):
        count(folder, 1)
    assert set(folder.iterdir()) == first
    assert counted(folder)["drugpred_profiles_total"] == 12
    count(folder, 2)
    assert len(list(folder.iterdir())) == 2 * len(first)
    assert counted(folder)["drugpred_profiles_total"] == 15


@pytest.mark.slow
def test_requests_of_a_killed_worker_are_no_longer_in_progress(tmp_path):
    for _ in range(3):
        count(tmp_path, 1)
    assert counted(tmp_path)["working"] == 1


def test_processes_that_are_no_workers_have_files_of_their_own(tmp_path):
    count(tmp_path, 0)
    count(tmp_path, 0)
    assert len(list(tmp_path.glob("counter_*"))) == 2


@pytest.fixture
def opened(tmp_path):
    """Return a function that opens a file of counters in a folder."""
    return lambda: prometheus_files._AllocatedDict(str(tmp_path / "counter_worker1.db"))


def test_all_of_a_file_has_room_on_the_disk(opened, tmp_path):
    mapped = opened()
    for n in range(20_000):  # more than a megabyte
        mapped.write_value(f"a series that is told apart by its number: {n}", n, 0.0)
        if not n % 1000:
            status = (tmp_path / "counter_worker1.db").stat()
            assert status.st_blocks * 512 >= status.st_size >= mapped._capacity
    mapped.close()
    again = opened()
    assert again.read_value("a series that is told apart by its number: 19999") == (19999, 0)
    again.close()
    assert [path.name for path in tmp_path.iterdir()] == ["counter_worker1.db"]


def test_a_file_without_allocated_space_gets_it(opened, tmp_path):
    path = tmp_path / "counter_worker1.db"
    with path.open("wb") as file:
        file.truncate(1 << 16)
    assert path.stat().st_blocks == 0
    opened().close()
    assert path.stat().st_blocks * 512 >= path.stat().st_size > 1 << 16


def full(*_):
    raise OSError(28, "No space left on device")


def test_without_posix_fallocate_the_room_is_written(opened, tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    mapped = opened()
    status = (tmp_path / "counter_worker1.db").stat()
    assert status.st_blocks * 512 >= status.st_size >= 1 << 20
    for n in range(20_000):
        mapped.write_value(f"a series that is told apart by its number: {n}", n, 0.0)
    assert mapped.read_value("a series that is told apart by its number: 19999") == (19999, 0)
    mapped.close()


def test_a_series_without_room_is_logged_once_and_costs_nothing(opened, tmp_path, monkeypatch, caplog):
    mapped = opened()
    monkeypatch.setattr(os, "posix_fallocate", full)
    for n in range(9000):
        mapped.write_value(f"a series that is told apart by its number: {n}", n, 0.0)
    for _ in range(2):
        mapped.write_value("one more" * 100_000, 1, 0.0)
        assert mapped.read_value("one more" * 100_000) == (0.0, 0.0)
    assert mapped.read_value("a series that is told apart by its number: 0") == (0.0, 0.0)
    assert len(caplog.records) == 1
    assert "No space left on device" in caplog.text
    mapped.close()


def test_the_files_of_all_workers_are_made_or_the_needed_space_is_reported(tmp_path, monkeypatch):
    folder = tmp_path / "metrics"
    prometheus_files.make(folder, [1, 2])
    assert len(list(folder.iterdir())) == 10
    count(folder, 1)
    count(folder, 2)
    assert len(list(folder.iterdir())) == 10  # all that a worker counts in was made
    monkeypatch.setattr(os, "posix_fallocate", full)
    (folder / "counter_worker2.db").unlink()
    with pytest.raises(
        ConfigurationError, match=r"expected space for 10 files of metrics, 10 MB, in .*: No space left"
    ):
        prometheus_files.make(folder, [1, 2])
    assert len(list(folder.iterdir())) == 9


def test_a_file_that_was_removed_is_made_again_with_its_counts(opened, tmp_path):
    mapped = opened()
    mapped.write_value("[1]", 3.0, 0.0)
    shutil.rmtree(tmp_path)
    prometheus_files.restore()
    mapped.write_value("[2]", 4.0, 0.0)
    mapped.write_value("[1]", 5.0, 0.0)
    found = prometheus_files._AllocatedDict.read_all_values_from_file(str(tmp_path / "counter_worker1.db"))
    assert [(key, value) for key, value, *_ in found] == [("[1]", 5.0), ("[2]", 4.0)]
    mapped.close()
    prometheus_files.restore()


def test_a_file_that_cannot_be_restored_is_logged_once_and_still_counted(opened, tmp_path, monkeypatch, caplog):
    mapped = opened()
    shutil.rmtree(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        for n in range(3):
            prometheus_files.restore()
            mapped.write_value("[1]", n, 0.0)
    assert len(caplog.records) == 1
    prometheus_files.restore()
    assert [value for _, value, *_ in mapped.read_all_values_from_file(str(mapped.path))] == [2.0]
    assert [record.getMessage() for record in caplog.records][1:] == ["metrics are shown again"]
    mapped.close()


@pytest.mark.parametrize("worker", [0, 1])
def test_a_folder_that_is_not_there_is_made_by_a_worker_and_of_no_use_to_others(tmp_path, worker):
    folder = tmp_path / "not" / "there"
    done = subprocess.run(
        [sys.executable, "-c", COUNT, str(worker)],
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        check=False,
    )
    assert done.returncode == 0
    assert folder.exists() == bool(worker)
