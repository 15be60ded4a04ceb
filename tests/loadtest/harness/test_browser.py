"""A Chromium of any package is found."""

import pytest

from loadtest.harness.browser import BROWSERS, find_chromium
from tests.harness import ROOT


@pytest.mark.parametrize("name", BROWSERS)
def test_each_package_is_found(tmp_path, monkeypatch, name):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_chromium() is None
    program = tmp_path / name
    program.touch(mode=0o755)
    assert find_chromium() == str(program)


def test_the_package_that_ci_installs_is_one_of_them():
    assert set(BROWSERS) & set((ROOT / ".ci" / "run").read_text(encoding="utf-8").split())
