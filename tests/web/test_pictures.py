"""The pictures of the documentation can be made again, and are small."""

import shutil
import subprocess
import sys

import pytest

from tests.harness import ROOT

IMAGES = ROOT / ".github" / "images"
PNG = b"\x89PNG\r\n"
MAX_BYTES = 120_000


def test_they_are_small():
    assert {path.name for path in IMAGES.glob("*.png")} == {"page.png", "report.png"}
    assert all(path.stat().st_size <= MAX_BYTES for path in IMAGES.glob("*.png"))


@pytest.mark.slow
@pytest.mark.usefixtures("chromium")  # which skips if there is none
def test_they_can_be_made_again(url, tmp_path):
    shutil.copy(IMAGES / "make.py", tmp_path)
    subprocess.run([sys.executable, tmp_path / "make.py", url], check=True)
    for name in ("page.png", "report.png"):
        content = (tmp_path / name).read_bytes()
        assert content.startswith(PNG)
        assert 20_000 < len(content) <= MAX_BYTES
