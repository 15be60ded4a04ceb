"""Why feedback is not taken, as one small tree.

::

    FeedbackError
    ├── MalformedError  the request is not of the shape that is expected, or names a drug that was not asked for
    ├── ForgedError     no server that has the key made the prediction_id
    ├── ForeignError    a server of another model made it
    ├── ExpiredError    it is too old
    ├── RepeatedError   its outcomes were counted before
    └── FailedError     whether they were cannot be told now: try again later
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from drugpred.errors import DrugpredError
from drugpred.schemas import ErrorDetail

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ExpiredError",
    "FailedError",
    "FeedbackError",
    "ForeignError",
    "ForgedError",
    "MalformedError",
    "RepeatedError",
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


class MalformedError(FeedbackError):
    """The request is not of the shape that is expected, or names a drug that was not asked for."""

    result = "malformed"

    @classmethod
    def of(cls, details: Sequence[ErrorDetail]) -> MalformedError:
        """Return the error of several places."""
        error = cls("the request is malformed")
        error.details = list(details)
        return error


class ForgedError(FeedbackError):
    """No server that has the key made the prediction_id."""

    result = "forged"


class ForeignError(FeedbackError):
    """A server of another model made the prediction_id."""

    result = "foreign"


class ExpiredError(FeedbackError):
    """The prediction_id is too old."""

    result = "expired"


class RepeatedError(FeedbackError):
    """The outcomes of the prediction_id were counted before."""

    result = "repeated"


class FailedError(FeedbackError):
    """Whether feedback was counted before cannot be told now: try again later."""

    result = "failed"
