"""Predicts probabilities from respondents' rows, with numpy alone."""

from __future__ import annotations

import io
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self
from zipfile import BadZipFile

import numpy as np

from drugpred import codebook
from drugpred.errors import StoredModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_SIZES: Final = [len(category.labels) for category in codebook.CATEGORIES]
_N_CATEGORIES: Final = len(_SIZES)
_N_LEVELS: Final = sum(_SIZES)
_COLUMNS: Final = np.concatenate(
    [np.repeat(np.arange(_N_CATEGORIES), _SIZES), np.arange(_N_CATEGORIES, len(codebook.INPUTS))]
)
"""The input of each design column: a column for each level, then one for each score."""

STARTS: Final = np.unique(_COLUMNS, return_index=True)[1]  # the first design column of each input

N_COLUMNS: Final = len(_COLUMNS)

LEVELS: Final = np.concatenate([np.arange(size, dtype=np.float64) for size in _SIZES])
"""The code of each of the first design columns."""

QUANTIZATION_STEP: Final = 2.0**-7
"""Step of the stored weights: far finer than their sampling error, at a quarter of the size."""

_ONE: Final = np.array(1.0)

_SHAPE: Final = (-1, len(codebook.DRUGS), len(codebook.WINDOWS))


def design_matrix(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the design matrix of respondents' rows: an indicator for each level, then the scores.

    Parameters
    ----------
    rows : ndarray of shape (n, 12)
        Respondents' rows, as `drugpred.codebook` describes them.

    Returns
    -------
    ndarray of shape (n, 38)
    """
    # Here and below: skipping numpy's checks, keywords and conversions saves a fifteenth of a single prediction.
    columns = rows.take(_COLUMNS, 1, None, "clip")
    indicators = columns[:, :_N_LEVELS]
    np.equal(indicators, LEVELS, indicators, casting="unsafe")
    return columns


def to_npz(arrays: Mapping[str, NDArray[np.floating]]) -> bytes:
    """Return arrays, which are multiples of `QUANTIZATION_STEP`, as an npz file for `Predictor.load`.

    Raises
    ------
    StoredModelError
        A weight is not a finite number from -256 to 256.
    """
    limit = np.iinfo(np.int16).max * QUANTIZATION_STEP
    if not all((np.abs(array) <= limit).all() for array in arrays.values()):
        raise StoredModelError(f"expected weights from {-limit} to {limit}")
    buffer = io.BytesIO()
    quantized = {name: np.rint(array / QUANTIZATION_STEP).astype(np.int16) for name, array in arrays.items()}
    np.savez_compressed(buffer, **quantized, step=np.array(QUANTIZATION_STEP))
    return buffer.getvalue()


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Raise StoredModelError if a file of arrays cannot be read within the block, or has other arrays.

    Parameters
    ----------
    path : pathlib.Path
    kind : str
        What the arrays are, for the message.
    """
    try:
        yield
    except (OSError, ValueError, TypeError, EOFError, KeyError, BadZipFile, zlib.error) as error:
        raise StoredModelError(f"{path} is not a readable {kind}: {error}") from error


def require_shapes(arrays: Sequence[NDArray[Any]], shapes: Sequence[tuple[int, ...]]) -> None:
    """Check arrays.

    Raises
    ------
    StoredModelError
        Their shapes are others, or a value is not finite.
    """
    if [array.shape for array in arrays] != list(shapes) or not all(np.isfinite(array).all() for array in arrays):
        raise StoredModelError(f"expected finite arrays of shapes {shapes}")


class Predictor:
    """A network of one hidden layer that predicts every drug's probability of use in every window.

    The hidden layer is tanh; the outputs are the log-odds of use of 18 drugs x 6 windows, to which the inputs are also
    connected directly. The windows of a drug contain each other, so its six log-odds are sorted, which never moves an
    estimate away from the truth (V. Chernozhukov, I. Fernandez-Val and A. Galichon, Biometrika 96 (2009), 559-575).

    Parameters
    ----------
    inputs : ndarray of shape (38, h)
        Weight of each design column in each hidden unit.
    bias : ndarray of shape (h,)
        Bias of the hidden units.
    outputs : ndarray of shape (h, 108)
        Weight of each hidden unit in each log-odds, windows of a drug side by side.
    output_bias : ndarray of shape (108,)
        Bias of the log-odds.
    direct : ndarray of shape (38, 108)
        Weight of each design column in each log-odds.

    Raises
    ------
    StoredModelError
        The shapes of the arrays do not match, or a value is not finite.
    """

    def __init__(
        self,
        inputs: NDArray[np.floating],
        bias: NDArray[np.floating],
        outputs: NDArray[np.floating],
        output_bias: NDArray[np.floating],
        direct: NDArray[np.floating],
    ) -> None:
        h, m, n = bias.size, N_COLUMNS, len(codebook.DRUGS) * len(codebook.WINDOWS)
        require_shapes((inputs, bias, outputs, output_bias, direct), ((m, h), (h,), (h, n), (n,), (m, n)))
        self._inputs = np.array(inputs, np.float64)
        # Every row has exactly one age, so a bias can be added to the weights of the age levels.
        self._inputs[: _SIZES[0]] += bias
        # Negated: the logistic function takes -log-odds, and sorting them upwards puts the widest window first.
        self._outputs = -np.asarray(outputs, np.float64)
        self._direct = -np.asarray(direct, np.float64)
        self._direct[: _SIZES[0]] -= output_bias

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a predictor that `to_npz` wrote, without running code in the file.

        Raises
        ------
        StoredModelError
            The file is missing, damaged, or has other arrays.
        """
        with reading(path, "network"), path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            weights = dict(arrays)
            step = weights.pop("step")
            return cls(**{name: array * step for name, array in weights.items()})

    def weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return `inputs`, `outputs` and `direct`, with the biases in the weights of the age levels."""
        return self._inputs, -self._outputs, -self._direct

    def predict_proba(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of use of every drug in every window.

        Parameters
        ----------
        rows : ndarray of shape (n, 12)
            Respondents' rows, as `drugpred.codebook` describes them.

        Returns
        -------
        ndarray of shape (n, 18, 6)
            Probabilities in the order of `codebook.DRUGS` and `codebook.WINDOWS`, never rising along the windows.
        """
        return self.predict_design(design_matrix(rows))

    def predict_design(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities, like `predict_proba`, from a design matrix, shape (n, 38), that models share."""
        hidden = columns.dot(self._inputs)
        np.tanh(hidden, hidden)
        result: NDArray[np.float64] = hidden.dot(self._outputs)
        result += columns.dot(self._direct)
        result = result.reshape(_SHAPE)
        result.sort()
        # In place: for a single row each temporary array costs as much as the arithmetic.
        np.exp(result, result)
        result += _ONE
        return np.reciprocal(result, result)
