"""The `prediction_id`: a signed token that contains a prediction, so that any replica can score its outcomes.

The service stores no prediction: a report of outcomes contains the token. A token is 72 bytes in base64url::

    1   version of this layout
    4   start of the SHA-256 of the model's tag
    4   seconds since 1970, big-endian
    8   nonce
    3   requested drugs (a bit each), then the window (3 bits), big-endian
    36  probability of each drug within the window, 16 bits each, little-endian; 0 if not requested
    16  keyed BLAKE2b (RFC 7693) of all of the above

With a challenger it is 111 bytes, of which 39 come before the last 16::

    3   start of the SHA-256 of the challenger's tag
    36  its probabilities, likewise

It is signed, not encrypted: anyone with the token can read the requested drugs, the window, the time and the rounded
probabilities. All of that is in the answer too. It contains nothing of the profile.

A probability is stored as the cell of width 1 / 65534 that it lies in and read as the middle of the cell. So it is
never off by more than 7.7e-6, never 0 or 1 (a log-loss stays finite), and the error has mean zero: the mean of a
thousand is off by about 1e-7. The finer steps of log-odds would cost a logarithm each and gain nothing: rounding a
probability p adds 1e-11 / p to the expected log-loss, even at p = 1e-4 a ten-thousandth of it. Each drug's cells within
a window are shifted so that its threshold is the edge of two: a prediction of High Risk is read as High Risk.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import time
from binascii import a2b_base64, b2a_base64
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np

from drugpred import codebook
from drugpred.errors import (
    ConfigurationError,
    ExpiredPredictionError,
    InvalidSignatureError,
    StoreUnavailableError,
    WrongModelError,
)
from drugpred.schemas import LONG_TOKEN_LENGTH, TOKEN_LENGTH, TOKEN_PATTERN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drugpred.codebook import Drug, Window
    from drugpred.model_store import StoredModel
    from drugpred.selection import Selection

MAX_AGE: Final = 90 * 24 * 3600
"""Seconds during which outcomes are accepted: a quarter. Older ones say little about the present model, and each used
token must be stored until then."""

CLOCK_SKEW: Final = 300  # seconds by which the clocks of two replicas may differ

_KEY_BYTES: Final = 32
_VERSION: Final = b"\x01"
_VERSION_WITH_CHALLENGER: Final = b"\x02"
_CHALLENGER_BYTES: Final = 3
_MAC_BYTES: Final = 16
_NONCE_BYTES: Final = 8
_N_DRUGS: Final = len(codebook.DRUGS)
_ROW_BYTES: Final = 2 * _N_DRUGS
_UINT16: Final = np.dtype("<u2")
_CELLS: Final = 65534.0  # with a shift of up to one cell, all fit into 16 bits
_NEAREST: Final = 2.0**-17  # smallest distance from 0 and 1
_ALL: Final = (1 << _N_DRUGS) - 1
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_TOKEN: Final = re.compile(TOKEN_PATTERN.replace("$", r"\Z"))


class _Packed(NamedTuple):
    """A selection as it is written in tokens."""

    window: int
    code: bytes
    mask: int | None  # mask of the bytes of the probabilities; None for all drugs


class PredictionClaim(NamedTuple):
    """The content of a verified token."""

    window: Window
    probabilities: dict[Drug, float]  # of each requested drug
    issued: int  # seconds since 1970
    nonce: bytes
    challenger: dict[Drug, float] | None = None  # the probabilities of the present challenger, if it was there

    @property
    def until(self) -> int:
        """The expiry, in seconds since 1970."""
        return self.issued + MAX_AGE


@lru_cache(256)
def _pack(selection: Selection) -> _Packed:
    window, drugs = selection.window_index, selection.drug_indices
    bits = sum(1 << i for i in drugs)
    mask = sum(0xFFFF << 16 * i for i in drugs)
    return _Packed(window, (bits << 3 | window).to_bytes(3, "big"), None if bits == _ALL else mask)


def new_key() -> str:
    """Return a random key, for a server without a configured one."""
    return secrets.token_urlsafe(_KEY_BYTES)


class PredictionIdSigner:
    """Signer and verifier of one model's tokens; several threads may use it at the same time.

    Parameters
    ----------
    keys : str
        Secrets of at least 32 bytes, separated by commas: the first one signs, all verify.
    tag : str
        Tag of the model.
    thresholds : ndarray of shape (18, 6)
        Thresholds of High Risk.
    challenger : tuple of str and ndarray of shape (18, 6), optional
        Tag and thresholds of a second model, whose probabilities are signed too.

    Raises
    ------
    ConfigurationError
        A key is too short.
    """

    def __init__(
        self,
        keys: str,
        tag: str,
        thresholds: NDArray[np.float64],
        challenger: tuple[str, NDArray[np.float64]] | None = None,
    ) -> None:
        secret = [key.strip().encode() for key in keys.split(",")]
        if min(map(len, secret)) < _KEY_BYTES:
            raise ConfigurationError(
                f"DRUGPRED_FEEDBACK_KEY: expected keys of at least {_KEY_BYTES} bytes, separated by commas, "
                "for example from `openssl rand -hex 32`"
            )
        # BLAKE2b takes keys of up to 64 bytes. Copying a keyed state takes half the time of making one.
        self._keyed = [
            blake2b(key=blake2b(key).digest(), digest_size=_MAC_BYTES, person=b"drugpred-id") for key in secret
        ]
        self._model = sha256(tag.encode()).digest()[:4]
        self._shifts = _shifts(thresholds)
        if challenger:
            self._challenger = sha256(challenger[0].encode()).digest()[:_CHALLENGER_BYTES]
            self._challenger_shifts = _shifts(challenger[1])
        else:
            self._challenger = b""

    @classmethod
    def of(cls, keys: str, model: StoredModel, challenger: StoredModel | None = None) -> Self:
        """Return the signer for a stored model and its challenger.

        Raises
        ------
        ConfigurationError
            A key is too short.
        """
        second = (challenger.tag, challenger.card.thresholds) if challenger else None
        return cls(keys, model.tag, model.card.thresholds, second)

    def sign(
        self,
        probabilities: NDArray[np.float64],
        selections: Sequence[Selection],
        challenger: NDArray[np.float64] | None = None,
    ) -> list[str]:
        """Return the tokens of n predictions.

        Parameters
        ----------
        probabilities : ndarray of shape (n, 18, 6)
            From 0 to 1, as `Predictor.predict_proba` returns them.
        selections : sequence of Selection
            Drugs and window of each prediction.
        challenger : ndarray of shape (n, 18, 6), optional
            The challenger's probabilities.
        """
        rows = _cells(probabilities, self._shifts)
        version, length, seconds = _VERSION, TOKEN_LENGTH, b""
        if challenger is not None:
            version, length = _VERSION_WITH_CHALLENGER, LONG_TOKEN_LENGTH
            seconds = _cells(challenger, self._challenger_shifts)
        head = version + self._model + min(int(time.time()), 2**32 - 1).to_bytes(4, "big")
        nonces = os.urandom(_NONCE_BYTES * len(selections))
        keyed = self._keyed[0]
        signed: list[bytes] = []
        for i, selection in enumerate(selections):
            window, code, mask = _pack(selection)
            at = (i * len(codebook.WINDOWS) + window) * _ROW_BYTES
            message = head + nonces[_NONCE_BYTES * i : _NONCE_BYTES * (i + 1)] + code + _row(rows, at, mask)
            if seconds:
                message += self._challenger + _row(seconds, at, mask)
            mac = keyed.copy()
            mac.update(message)
            signed += (message, mac.digest())
        # All at once, because no token needs padding.
        text = b2a_base64(b"".join(signed), newline=False).translate(_URL_SAFE).decode()
        return [text[at : at + length] for at in range(0, len(text), length)]

    def verify(self, token: str) -> PredictionClaim:
        """Return the content of a token.

        Raises
        ------
        InvalidSignatureError
            The token was not signed with one of the keys.
        WrongModelError
            The token is of another model.
        ExpiredPredictionError
            The token is older than 90 days.
        StoreUnavailableError
            The token is more than five minutes in the future: this clock was set back.
        """
        if not _TOKEN.match(token):
            raise _forged()
        content = a2b_base64(token.encode().translate(_STANDARD))
        message, mac = content[:-_MAC_BYTES], content[-_MAC_BYTES:]
        if not any(hmac.compare_digest(mac, _mac(keyed, message)) for keyed in self._keyed):
            raise _forged()
        at = len(_VERSION)
        if message[:at] != (_VERSION if len(token) == TOKEN_LENGTH else _VERSION_WITH_CHALLENGER):
            raise _forged()
        if not message.startswith(self._model, at):
            raise WrongModelError("expected a prediction of the model served here", "prediction_id")
        at += len(self._model)
        issued = int.from_bytes(message[at : at + 4], "big")
        age = time.time() - issued
        if age < -CLOCK_SKEW:
            raise StoreUnavailableError(
                "expected a prediction of the past: a clock is wrong; try again later", "prediction_id"
            )
        if age > MAX_AGE:
            raise ExpiredPredictionError(f"expected a prediction of the last {MAX_AGE // 86400} days", "prediction_id")
        nonce, at = message[at + 4 : at + 4 + _NONCE_BYTES], at + 4 + _NONCE_BYTES
        code = int.from_bytes(message[at : at + 3], "big")
        row, second = message[at + 3 : at + 3 + _ROW_BYTES], message[at + 3 + _ROW_BYTES :]
        own = self._challenger and second.startswith(self._challenger)
        return PredictionClaim(
            window=codebook.WINDOWS[code & 7],
            probabilities=_probabilities(row, code, self._shifts),
            issued=issued,
            nonce=nonce,
            challenger=_probabilities(second[_CHALLENGER_BYTES:], code, self._challenger_shifts) if own else None,
        )


def _shifts(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    shifts: NDArray[np.float64] = np.ceil(thresholds * _CELLS) - thresholds * _CELLS
    return shifts


def _cells(probabilities: NDArray[np.float64], shifts: NDArray[np.float64]) -> bytes:
    """Return the cells of n probabilities by window and drug, as bytes."""
    # All drugs at once: selecting first would cost more than rounding all.
    cells = probabilities * _CELLS
    cells += shifts
    return cells.astype(_UINT16).transpose(0, 2, 1).tobytes()


def _row(rows: bytes, at: int, mask: int | None) -> bytes:
    row = rows[at : at + _ROW_BYTES]
    return row if mask is None else (int.from_bytes(row, "little") & mask).to_bytes(_ROW_BYTES, "little")


def _probabilities(row: bytes, code: int, shifts: NDArray[np.float64]) -> dict[Drug, float]:
    """Return the probabilities of the requested drugs from their cells."""
    middles = (np.frombuffer(row, _UINT16) + 0.5 - shifts[:, code & 7]) / _CELLS
    probabilities = middles.clip(_NEAREST, 1 - _NEAREST).tolist()
    return {
        drug: probability
        for i, (drug, probability) in enumerate(zip(codebook.DRUGS, probabilities, strict=True))
        if code >> 3 + i & 1
    }


def _mac(keyed: blake2b, message: bytes) -> bytes:
    mac = keyed.copy()
    mac.update(message)
    return mac.digest()


def _forged() -> InvalidSignatureError:
    return InvalidSignatureError("expected the prediction_id of a prediction", "prediction_id")
