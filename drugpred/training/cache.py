"""A cache of arrays in files, for results that take long to compute."""

from __future__ import annotations

import io
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import joblib
import numpy as np

from drugpred import codebook
from drugpred.data.files import open_atomic

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_LIBRARIES: Final = ("imbalanced-learn", "numpy", "scikit-learn", "scipy")
_SOURCES: Final = ("codebook.py", "predictor.py", "data/cohort.npz", "data/simulator.py", "training/*.py")
"""Files of this package that a model depends on."""


def get_or_compute(folder: Path, compute: Callable[[], NDArray[np.float64]], *key: object) -> NDArray[np.float64]:
    """Return the cached array of an earlier call with the same key, or compute and cache it.

    A missing or damaged file is computed again. joblib.Memory would also write the repr of the arguments, which
    contains values of respondents.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the files; created if missing.
    compute : callable
    *key : object
        Everything that the array depends on, besides this package's code and the versions of the libraries.
    """
    package = Path(codebook.__file__).parent
    sources = [path.read_bytes() for pattern in _SOURCES for path in sorted(package.glob(pattern))]
    path = folder / f"{joblib.hash([*key, [version(library) for library in _LIBRARIES], sources])}.npy"
    try:
        array: NDArray[np.float64] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        array = compute()
        content = io.BytesIO()  # np.save does not report why it cannot write to a file
        np.save(content, array, allow_pickle=False)
        folder.mkdir(parents=True, exist_ok=True)
        with open_atomic(path) as file:  # an interrupted run leaves no incomplete file
            file.write(content.getbuffer())
    return array
