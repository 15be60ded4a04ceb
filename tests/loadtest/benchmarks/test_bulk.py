"""The cost of rows apart from the fixed one, and the programs that are compared."""

import numpy as np
import polars as pl
import pytest
from pyarrow import parquet

from drugpred.codebook import DECADE, DRUGS, INPUTS
from loadtest.benchmarks import bulk, bulk_peers
from loadtest.harness.payloads import draw
from tests.harness.store import newest, using


@pytest.fixture
def source(tmp_path):
    bulk_peers.people(500, tmp_path / "in.parquet")
    return tmp_path / "in.parquet"


def test_a_line_parts_the_fixed_cost_from_the_rate():
    usages = [bulk.Usage(3.0, 2.0, 100), bulk.Usage(7.0, 4.0, 120)]
    assert bulk.speed([1000, 3000], usages) == pytest.approx((1.0, 500, 1000, 120))


def test_medians_and_ratios_within_each_round():
    rounds = [
        {"one core": bulk.Speed(1, 100, 110, 50), "other": bulk.Speed(2, 300, 220, 60)},
        {"one core": bulk.Speed(3, 1000, 1000, 70), "other": bulk.Speed(3, 2000, 2000, 80)},
        {"one core": bulk.Speed(2, 200, 210, 60), "other": bulk.Speed(4, 800, 630, 70)},
    ]
    heading, *rows = (line.rsplit(maxsplit=6) for line in bulk.table(rounds).splitlines())
    assert heading[-1] == "MB"
    assert rows == [
        ["one core", "2.0", "200", "1.00", "210", "1.00", "60"],
        ["other", "3.0", "800", "3.00", "630", "2.00", "70"],
    ]


@pytest.mark.parametrize(("cores", "several"), [(1, []), (2, ["2"]), (6, ["2", "4", "6"]), (16, ["2", "4", "8", "16"])])
def test_scoring_is_measured_on_powers_of_two_and_all_cores(cores, several):
    commands = bulk.commands(cores).values()
    assert [command[-1] for command in commands if "--workers" in command] == several


def test_a_command_is_measured_with_its_processes():
    busy = "import time\nwhile time.process_time() < .3: pass"
    usage = bulk.measure(["-c", f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {busy!r}])"])
    assert usage.cpu > 0.3
    assert usage.seconds > 0
    assert usage.memory > 5


def test_the_error_of_a_command_ends_the_benchmark():
    with pytest.raises(SystemExit, match="no such model"):
        bulk.measure(["-c", "raise SystemExit('no such model')"])


def test_the_rows_of_a_file_repeat(tmp_path, monkeypatch):
    monkeypatch.setattr(bulk_peers, "_DRAWN", 200)
    bulk_peers.people(500, tmp_path / "in.parquet")
    table = parquet.read_table(tmp_path / "in.parquet")
    assert table.column_names == list(INPUTS)
    assert table.num_rows == 500
    assert table[200:400].equals(table[:200])
    assert table[400:].equals(table[:100])


def test_polars_copies_the_rows(source, tmp_path):
    bulk_peers.copy(source, tmp_path / "out.parquet")
    rows, copied = pl.read_parquet(source), pl.read_parquet(tmp_path / "out.parquet")
    assert copied.drop("sum").equals(rows)
    assert np.allclose(copied["sum"], rows["neuroticism"] + rows["extraversion"])


def test_polars_writes_as_many_numbers_as_the_command(source, tmp_path):
    bulk_peers.write_sums(source, tmp_path / "out.parquet")
    written = pl.read_parquet(tmp_path / "out.parquet")
    assert written.columns == ["line", *DRUGS]
    assert set(written.dtypes[1:]) == {pl.Float32}
    assert len(written) == 500


def test_pandas_predicts_the_same(store, source, tmp_path):
    with using(store):
        bulk_peers.score_with_pandas(source, tmp_path / "out.parquet")
    expected = newest(store).predictor.predict_proba(draw(500))[:, :, DECADE]
    assert np.abs(pl.read_parquet(tmp_path / "out.parquet").to_numpy() - expected).max() < 1e-12
