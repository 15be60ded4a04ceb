"""The `prediction_id`: a signed token that carries an answer, so that its outcomes can be scored by any replica.

Nothing is kept of an answer: who reports an outcome brings the answer back. A token is 72 bytes in base64url::

    1   version of this layout
    4   start of the SHA-256 of the model's tag
    4   seconds since 1970, big-endian
    8   nonce
    3   drugs asked for (a bit each), then the window (3 bits), big-endian
    36  probability of each drug within the window, 16 bits each, little-endian; 0 where it was not asked for
    16  keyed BLAKE2b (RFC 7693) of all before

It is signed, not encrypted: who has it can read which drugs and window were asked for, when, and the probabilities,
rounded. All of that stood in the answer. It holds nothing of the profile.

A probability is stored as the cell of width 1 / 65534 that it lies in and read as the middle of the cell. So it is
never off by more than 7.7e-6, never 0 or 1 (a log-loss stays finite), and the error has mean zero: the mean of a
thousand is off by about 1e-7. The finer steps of log-odds would cost a logarithm each and gain nothing: rounding a
probability p adds 1e-11 / p to the expected log-loss, even at p = 1e-4 a ten-thousandth of it. Each drug's cells within
a window are shifted so that its threshold is the edge of two: what was told as High Risk is read as such.
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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drugpred.codebook import Drug, Window
    from drugpred.model_store import StoredModel
    from drugpred.selection import Selection

MAX_AGE: Final = 90 * 24 * 3600
"""Seconds in which outcomes are taken: a quarter. Older ones tell little of the model's present state, and each token
that was used must be remembered for as long."""

CLOCK_SKEW: Final = 300  # seconds that the clocks of two replicas may differ by
TOKEN_LENGTH: Final = 96  # the characters of a token

TOKEN_PATTERN: Final = rf"^[A-Za-z0-9_-]{{{TOKEN_LENGTH}}}$"
"""A regular expression of all tokens: 72 bytes fill 96 characters, so no two of them mean the same bytes."""

_KEY_BYTES: Final = 32
_VERSION: Final = b"\x01"
_MAC_BYTES: Final = 16
_NONCE_BYTES: Final = 8
_N_DRUGS: Final = len(codebook.DRUGS)
_ROW_BYTES: Final = 2 * _N_DRUGS
_UINT16: Final = np.dtype("<u2")
_CELLS: Final = 65534.0  # with a shift of up to one cell, all fit into 16 bits
_NEAREST: Final = 2.0**-17  # to 0 and 1
_ALL: Final = (1 << _N_DRUGS) - 1
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_TOKEN: Final = re.compile(TOKEN_PATTERN.replace("$", r"\Z"))


class _Packed(NamedTuple):
    """A selection as tokens hold it."""

    window: int
    code: bytes
    mask: int | None  # of the bytes of the probabilities; None for all drugs


class PredictionClaim(NamedTuple):
    """What a token says, once it is known to be true."""

    window: Window
    probabilities: dict[Drug, float]  # by drug that was asked for
    issued: int  # seconds since 1970
    nonce: bytes

    @property
    def until(self) -> int:
        """When it expires, in seconds since 1970."""
        return self.issued + MAX_AGE


@lru_cache(256)
def _pack(selection: Selection) -> _Packed:
    window, drugs = selection.window_index, selection.drug_indices
    bits = sum(1 << i for i in drugs)
    mask = sum(0xFFFF << 16 * i for i in drugs)
    return _Packed(window, (bits << 3 | window).to_bytes(3, "big"), None if bits == _ALL else mask)


def new_key() -> str:
    """Return a random key, for a server that was given none."""
    return secrets.token_urlsafe(_KEY_BYTES)


class PredictionIdSigner:
    """Signs answers of one model and verifies them; several threads may use it at the same time.

    Parameters
    ----------
    keys : str
        Secrets of at least 32 bytes, separated by commas: the first signs, any verifies.
    tag : str
        The model's.
    thresholds : ndarray of shape (18, 6)
        The probabilities from which on an answer says High Risk.

    Raises
    ------
    ConfigurationError
        A key is too short.
    """

    def __init__(self, keys: str, tag: str, thresholds: NDArray[np.float64]) -> None:
        secret = [key.strip().encode() for key in keys.split(",")]
        if min(map(len, secret)) < _KEY_BYTES:
            raise ConfigurationError(
                f"DRUGPRED_FEEDBACK_KEY: expected keys of {_KEY_BYTES} bytes or more, separated by commas, "
                "as `openssl rand -hex 32` makes them"
            )
        # BLAKE2b takes keys of up to 64 bytes. A keyed state is copied, not made anew: half the time.
        self._keyed = [
            blake2b(key=blake2b(key).digest(), digest_size=_MAC_BYTES, person=b"drugpred-id") for key in secret
        ]
        self._head = _VERSION + sha256(tag.encode()).digest()[:4]
        self._shifts = np.ceil(thresholds * _CELLS) - thresholds * _CELLS

    @classmethod
    def of(cls, keys: str, model: StoredModel) -> Self:
        """Return what signs the answers of a stored model.

        Raises
        ------
        ConfigurationError
            A key is too short.
        """
        drugs = model.card.drugs
        thresholds = [[drugs[drug][window].threshold for window in codebook.WINDOWS] for drug in codebook.DRUGS]
        return cls(keys, model.tag, np.array(thresholds))

    def sign(self, probabilities: NDArray[np.float64], selections: Sequence[Selection]) -> list[str]:
        """Return the token of each of n answers.

        Parameters
        ----------
        probabilities : ndarray of shape (n, 18, 6)
            From 0 to 1, as `Predictor.predict_proba` returns them.
        selections : sequence of Selection
            What each of the n answers is about.
        """
        # All at once, whatever was asked for: to pick first would cost more than to round.
        cells = probabilities * _CELLS
        cells += self._shifts
        rows = cells.astype(_UINT16).transpose(0, 2, 1).tobytes()
        head = self._head + min(int(time.time()), 2**32 - 1).to_bytes(4, "big")
        nonces = os.urandom(_NONCE_BYTES * len(selections))
        keyed = self._keyed[0]
        signed: list[bytes] = []
        for i, selection in enumerate(selections):
            window, code, mask = _pack(selection)
            at = (i * len(codebook.WINDOWS) + window) * _ROW_BYTES
            row = rows[at : at + _ROW_BYTES]
            if mask is not None:
                row = (int.from_bytes(row, "little") & mask).to_bytes(_ROW_BYTES, "little")
            message = head + nonces[_NONCE_BYTES * i : _NONCE_BYTES * (i + 1)] + code + row
            mac = keyed.copy()
            mac.update(message)
            signed += (message, mac.digest())
        # In one go, because no token needs padding.
        text = b2a_base64(b"".join(signed), newline=False).translate(_URL_SAFE).decode()
        return [text[at : at + TOKEN_LENGTH] for at in range(0, len(text), TOKEN_LENGTH)]

    def verify(self, token: str) -> PredictionClaim:
        """Return what a token says.

        Raises
        ------
        InvalidSignatureError
            It was not made by `sign` with one of the keys.
        WrongModelError
            It was, of another model.
        ExpiredPredictionError
            It was, more than 90 days ago.
        StoreUnavailableError
            It was, by a clock that is ahead of this one's by more than five minutes: this one was set back.
        """
        if not _TOKEN.match(token):
            raise _forged()
        content = a2b_base64(token.encode().translate(_STANDARD))
        message, mac = content[:-_MAC_BYTES], content[-_MAC_BYTES:]
        if not any(hmac.compare_digest(mac, _mac(keyed, message)) for keyed in self._keyed):
            raise _forged()
        if not message.startswith(_VERSION):
            raise _forged()
        if not message.startswith(self._head):
            raise WrongModelError("expected an answer of the model that is served here", "prediction_id")
        at = len(self._head)
        issued = int.from_bytes(message[at : at + 4], "big")
        age = time.time() - issued
        if age < -CLOCK_SKEW:
            raise StoreUnavailableError(
                "expected an answer of the past: a clock is wrong; try again later", "prediction_id"
            )
        if age > MAX_AGE:
            raise ExpiredPredictionError(f"expected an answer of the last {MAX_AGE // 86400} days", "prediction_id")
        code = int.from_bytes(message[-_ROW_BYTES - 3 : -_ROW_BYTES], "big")
        window = code & 7
        middles = (np.frombuffer(message[-_ROW_BYTES:], _UINT16) + 0.5 - self._shifts[:, window]) / _CELLS
        probabilities = middles.clip(_NEAREST, 1 - _NEAREST).tolist()
        return PredictionClaim(
            window=codebook.WINDOWS[window],
            probabilities={
                drug: probability
                for i, (drug, probability) in enumerate(zip(codebook.DRUGS, probabilities, strict=True))
                if code >> 3 + i & 1
            },
            issued=issued,
            nonce=message[at + 4 : at + 4 + _NONCE_BYTES],
        )


def _mac(keyed: blake2b, message: bytes) -> bytes:
    mac = keyed.copy()
    mac.update(message)
    return mac.digest()


def _forged() -> InvalidSignatureError:
    return InvalidSignatureError("expected the prediction_id of an answer", "prediction_id")
