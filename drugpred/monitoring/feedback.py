"""Feedback: the outcomes of an answer, checked and counted once, with no record of who they are of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drugpred import codebook
from drugpred.codebook import Drug
from drugpred.monitoring import outcomes
from drugpred.monitoring.refusals import FailedError, FeedbackError, MalformedError, RepeatedError
from drugpred.monitoring.tokens import SHAPE
from drugpred.schemas import faults

if TYPE_CHECKING:
    from drugpred.bundle import Card
    from drugpred.monitoring.seen import Seen
    from drugpred.monitoring.tokens import Tokens

__all__ = ["Accepted", "Collector", "Feedback"]

_NAMES: Final = {"prediction_id", "outcomes", *codebook.DRUGS}


class Feedback(BaseModel):
    """What turned out of an answer, all that is known of it at once: an answer takes feedback one time."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    prediction_id: str = Field(pattern=SHAPE, description="That of the answer, at most 90 days old.")
    outcomes: dict[Drug, bool] = Field(
        min_length=1,
        max_length=len(codebook.DRUGS),
        description="By drug, whether the person had used it within the answer's window, as of when it was answered.",
    )


class Accepted(BaseModel):
    """Feedback that was counted."""

    accepted: int
    """How many outcomes."""


class Collector:
    """Takes feedback about the answers of one model.

    Parameters
    ----------
    tokens : Tokens
    seen : Seen
    card : Card
        The model's.
    """

    def __init__(self, tokens: Tokens, seen: Seen, card: Card) -> None:
        outcomes.prepare()
        self._tokens = tokens
        self._seen = seen
        self._thresholds = {
            window: {drug: card.drugs[drug][window].threshold for drug in codebook.DRUGS} for window in codebook.WINDOWS
        }

    def take(self, body: bytes) -> Accepted:
        """Check and count feedback; it may wait for a disk.

        Parameters
        ----------
        body : bytes
            `Feedback` as JSON.

        Raises
        ------
        FeedbackError
            It is not taken, and nothing but that is counted.
        """
        try:
            accepted = self._take(body)
        except FeedbackError as error:
            outcomes.count(error.result)
            raise
        except Exception:
            outcomes.count(FailedError.result)
            raise
        outcomes.count("accepted")
        return accepted

    def _take(self, body: bytes) -> Accepted:
        feedback = _read(body)
        claim = self._tokens.verify(feedback.prediction_id)
        not_asked = feedback.outcomes.keys() - claim.probabilities.keys()
        if not_asked:
            raise MalformedError("expected drugs of the answer", "outcomes", *sorted(not_asked)[:1])
        # Last, as it cannot be taken back; and what follows it cannot fail.
        if not self._seen.first(claim.nonce, claim.until):
            raise RepeatedError("expected an answer whose outcomes were not counted yet", "prediction_id")
        outcomes.record(claim, feedback.outcomes, self._thresholds[claim.window])
        return Accepted(accepted=len(feedback.outcomes))


def _read(body: bytes) -> Feedback:
    try:
        return Feedback.model_validate_json(body)
    except ValidationError as error:
        found = faults(error)
    # The name of a drug that is none may be a value, too.
    raise MalformedError.of(
        [
            fault.model_copy(update={"loc": [step for step in fault.loc if step in _NAMES]})
            for fault in found[: len(_NAMES)]
        ]
    )
