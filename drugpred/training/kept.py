"""Arrays that took long to make, kept in files that the next run finds again, and whether there is room for them."""

from __future__ import annotations

import io
import os
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final

import joblib
import numpy as np

from drugpred import codebook
from drugpred.data.files import whole
from drugpred.errors import ConfigurationError, reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["check_writable", "found_or_made"]

_LIBRARIES: Final = ("imbalanced-learn", "numpy", "scikit-learn", "scipy")
_SOURCES: Final = ("codebook.py", "predictor.py", "data/cohort.*", "training/*.py")
"""Of this package: what a model depends on."""

_ROOM: Final = 2 << 20
"""More than a model with its report, or the figures of an evaluation."""


def check_writable(folder: Path) -> None:
    """Make a folder where it is not there, and try that a model can be written there.

    Raises
    ------
    ConfigurationError
        It cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(bytes(_ROOM))
            file.flush()
            os.fsync(file.fileno())  # some file systems find out only then that they are full
    except OSError as error:
        raise ConfigurationError(f"cannot write {reason(error, folder)}") from error


def found_or_made(folder: Path, make: Callable[[], NDArray[np.float64]], *deciding: object) -> NDArray[np.float64]:
    """Return the array of an earlier call with the same that decides it, else make it and keep it.

    Parameters
    ----------
    folder : pathlib.Path
        Where the files are; made where it does not exist.
    make : callable
    *deciding : object
        All that decides the array, besides this package's code and the libraries' versions.
    """
    package = Path(codebook.__file__).parent
    sources = [path.read_bytes() for pattern in _SOURCES for path in sorted(package.glob(pattern))]
    key = joblib.hash([*deciding, [version(library) for library in _LIBRARIES], sources])
    path = folder / f"{key}.npy"
    try:
        found: NDArray[np.float64] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        made = make()
        _write(path, made)
        return made
    return found


def _write(path: Path, array: NDArray[np.float64]) -> None:
    """Write a file all at once, so that an interrupted run leaves none that is cut short."""
    content = io.BytesIO()  # to a file itself, NumPy writes without saying why it could not
    np.save(content, array, allow_pickle=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as file:
        file.write(content.getbuffer())
