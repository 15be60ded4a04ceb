"""The command: its options and its output."""

from collections import Counter

import pytest

from loadtest.fuzz import cli, runner
from tests.loadtest.fuzz.conftest import RIGHT


@pytest.mark.parametrize("key", ["short", "longer, but not of ASCII alone: \u00e9", "with\nanother line in it"])
def test_keys_that_cannot_be_sent(monkeypatch, capsys, key):
    monkeypatch.setattr("sys.argv", ["fuzz", "--key", key])
    with pytest.raises(SystemExit):
        cli.main()
    assert "expected a key of at least 16 printable ASCII characters" in capsys.readouterr().err


def test_table_and_faults():
    counts = {"paths": Counter({"404": 1200, "200": 3}), "headers": Counter({"431": 1})}
    assert cli.table(counts).splitlines()[1:] == [
        f"{'headers':26}       1  431 1",
        f"{'paths':26}   1,203  200 3, 404 1,200",
    ]
    faults = [runner.Fault("paths", i, "status 500") for i in range(22)]
    told = cli.fault_lines(faults)
    assert told[0] == '--only "paths" --index 0: status 500'
    assert told[-1] == "paths: 2 more"
    assert len(told) == 21


def test_logs(tmp_path):
    log = tmp_path / "log"
    log.write_text("started\nTraceback (most recent call last):\nPOST Zq7Marked3\n", encoding="utf-8")
    assert cli.log_faults(log) == [f"{log}, line 2: a traceback", f"{log}, line 3: a value that was sent"]
    log.write_text(f"started\nBearer {RIGHT}\n", encoding="utf-8")
    assert cli.log_faults(log, RIGHT) == [f"{log}, line 2: a value that was sent"]
    assert cli.log_faults(log) == []
