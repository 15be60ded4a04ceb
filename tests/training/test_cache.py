"""The cache of arrays in files."""

import numpy as np
import pytest

from drugpred.training.cache import get_or_compute


def test_a_disk_without_room_is_told_by_the_system_and_nothing_half_written_stays(tmp_path, room):
    with room(1000), pytest.raises(OSError, match="File too large"):
        get_or_compute(tmp_path / "folds", lambda: np.zeros(1000), "deciding")
    assert list((tmp_path / "folds").iterdir()) == []
