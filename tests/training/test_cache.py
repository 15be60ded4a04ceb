"""The cache of arrays in files."""

import numpy as np
import pytest

from drugpred.training.cache import get_or_compute


def test_a_full_disk_raises_the_error_of_the_system_and_leaves_no_partial_file(tmp_path, room):
    with room(1000), pytest.raises(OSError, match="File too large"):
        get_or_compute(tmp_path / "folds", lambda: np.zeros(1000), "deciding")
    assert list((tmp_path / "folds").iterdir()) == []
