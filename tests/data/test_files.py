"""Folders that files are written to."""

import pytest

from drugpred.data.files import require_writable
from drugpred.errors import ConfigurationError


def test_a_folder_that_can_be_written_is_made_and_left_empty(tmp_path):
    require_writable(tmp_path / "deep" / "folder")
    assert list((tmp_path / "deep" / "folder").iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("{}/file", "cannot write .*/file: File exists"),
        ("{}/file/folder", "cannot write .*/file/folder: Not a directory"),
        ("/proc/absent", "cannot write /proc/absent: No such file or directory"),
        (
            "/sys/kernel",
            "cannot write /sys/kernel.*: (Permission denied|.* not permitted|Read-only file system)",
        ),
        ("{}/full", "cannot write .*/full: File too large"),
    ],
)
def test_an_unwritable_folder_is_reported_with_the_reason(tmp_path, room, folder, expected):
    (tmp_path / "file").touch()
    with room(1 << 20), pytest.raises(ConfigurationError, match=rf"^{expected}$"):
        require_writable(tmp_path / folder.format(tmp_path))
    assert not (tmp_path / "full").exists() or list((tmp_path / "full").iterdir()) == []
