"""Why feedback is not taken, as one small tree.

::

    FeedbackError
    ├── MalformedError  the request is not of the shape that is expected, or names a drug that was not asked for
    ├── InvalidSignatureError     no server that has the key made the prediction_id
    ├── WrongModelError    a server of another model made it
    ├── ExpiredPredictionError    it is too old
    ├── DuplicateFeedbackError   its outcomes were counted before
    └── StoreUnavailableError     whether they were cannot be told now: try again later
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from drugpred.errors import DrugpredError
from drugpred.schemas import ErrorDetail

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "DuplicateFeedbackError",
    "ExpiredPredictionError",
    "FeedbackError",
    "InvalidFeedbackError",
    "InvalidSignatureError",
    "StoreUnavailableError",
    "WrongModelError",
]


class FeedbackError(DrugpredError):
    """Feedback is not taken; tells where and what was expected, never what was sent.

    Parameters
    ----------
    expected : str
    loc : sequence of str
        Where in the request.
    """

    result: ClassVar[str]
    """What it is counted as."""

    def __init__(self, expected: str, *loc: str) -> None:
        super().__init__(expected)
        self.details = [ErrorDetail(loc=list(loc), msg=expected, type=self.result)]


class InvalidFeedbackError(FeedbackError):
    """The request is not of the shape that is expected, or names a drug that was not asked for."""

    result = "malformed"

    @classmethod
    def of(cls, details: Sequence[ErrorDetail]) -> InvalidFeedbackError:
        """Return the error of several places."""
        error = cls("the request is malformed")
        error.details = list(details)
        return error


class InvalidSignatureError(FeedbackError):
    """No server that has the key made the prediction_id."""

    result = "forged"


class WrongModelError(FeedbackError):
    """A server of another model made the prediction_id."""

    result = "foreign"


class ExpiredPredictionError(FeedbackError):
    """The prediction_id is too old."""

    result = "expired"


class DuplicateFeedbackError(FeedbackError):
    """The outcomes of the prediction_id were counted before."""

    result = "repeated"


class StoreUnavailableError(FeedbackError):
    """Whether feedback was counted before cannot be told now: try again later."""

    result = "failed"
