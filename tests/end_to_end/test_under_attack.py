"""Callers with a key while others attack without one, for as long as CI can wait."""

import os
import subprocess
import sys

import pytest

from tests.harness import ROOT

ATTACKS = ("smuggling", "silent-probes", "half-bodies")


@pytest.mark.slow
def test_callers_do_not_notice_those_without_a_key(copied_store):
    options = [option for attack in ATTACKS for option in ("--attack", attack)]
    done = subprocess.run(
        [sys.executable, "-m", "loadtest.resilience.under_attack", "--seconds", "5", *options],
        cwd=ROOT,
        env=os.environ | {"BENTOML_HOME": str(copied_store)},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    # Other tests run at the same time, so here no time counts, which the nightly run measures on a machine of its own.
    table, _, missed = done.stdout.partition("\nMissed:\n")
    lines = {line.split()[0]: line.split() for line in table.strip().splitlines()[2:]}
    assert set(lines) == set(ATTACKS), done.stdout + done.stderr
    for cells in lines.values():
        sent, *failed, ended = (int(cells[i].replace(",", "")) for i in (1, 3, 5, 7, 11))
        assert sent > 0
        assert (failed, ended) == ([0, 0, 0], 0), done.stdout
    assert not [line for line in missed.splitlines() if " s, expected at most " not in line], done.stdout
