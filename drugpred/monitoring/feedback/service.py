"""Feedback: checks the outcomes of a prediction and counts them once, without storing anything about a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from pydantic import ValidationError

from drugpred import codebook, model_store
from drugpred.errors import (
    DuplicateFeedbackError,
    FeedbackError,
    InvalidFeedbackError,
    StoreUnavailableError,
)
from drugpred.monitoring import outcome_metrics
from drugpred.monitoring.feedback.dedup import token_store
from drugpred.schemas import Accepted, Feedback, faults

if TYPE_CHECKING:
    from drugpred.model_store import Card
    from drugpred.monitoring.challenger import Challenger
    from drugpred.monitoring.feedback.dedup import TokenStore
    from drugpred.monitoring.feedback.prediction_id import PredictionIdSigner
    from drugpred.settings import Settings

_NAMES: Final = {"prediction_id", "outcomes", *codebook.DRUGS}


class FeedbackService:
    """Counter of feedback on the predictions of one model.

    Parameters
    ----------
    tokens : PredictionIdSigner
    seen : TokenStore
    card : Card
        The card of the model.
    challenger : Challenger, optional
    """

    def __init__(
        self, tokens: PredictionIdSigner, seen: TokenStore, card: Card, challenger: Challenger | None = None
    ) -> None:
        self._challenger = challenger
        outcome_metrics.prepare()
        self._tokens = tokens
        self._seen = seen
        self._thresholds = {
            window: {drug: card.drugs[drug][window].threshold for drug in codebook.DRUGS} for window in codebook.WINDOWS
        }

    @classmethod
    def from_settings(
        cls, settings: Settings, tokens: PredictionIdSigner, card: Card, challenger: Challenger | None
    ) -> Self:
        """Return the service that the settings describe, for the predictions of a model.

        Raises
        ------
        ConfigurationError
            The URL of the Redis server is malformed.
        """
        return cls(tokens, token_store(settings, model_store.home()), card, challenger)

    def take(self, body: bytes) -> Accepted:
        """Check and count feedback; this may wait for a disk.

        Parameters
        ----------
        body : bytes
            `Feedback` as JSON.

        Raises
        ------
        FeedbackError
            It is rejected, and only the rejection is counted.
        """
        try:
            accepted = self._take(body)
        except FeedbackError as error:
            outcome_metrics.count(error.result)
            raise
        except Exception:
            outcome_metrics.count(StoreUnavailableError.result)
            raise
        outcome_metrics.count("accepted")
        return accepted

    def _take(self, body: bytes) -> Accepted:
        feedback = _read(body)
        claim = self._tokens.verify(feedback.prediction_id)
        not_asked = feedback.outcomes.keys() - claim.probabilities.keys()
        if not_asked:
            raise InvalidFeedbackError("expected drugs of the prediction", "outcomes", *sorted(not_asked)[:1])
        # Last, because it cannot be undone; what follows cannot fail.
        if not self._seen.add_if_new(claim.nonce, claim.until):
            raise DuplicateFeedbackError("expected a prediction whose outcomes were not reported yet", "prediction_id")
        outcome_metrics.record(claim, feedback.outcomes, self._thresholds[claim.window])
        if self._challenger:
            self._challenger.record(claim, feedback.outcomes)
        return Accepted(accepted=len(feedback.outcomes))


def _read(body: bytes) -> Feedback:
    try:
        return Feedback.model_validate_json(body)
    except ValidationError as error:
        found = faults(error)
    # The name of an unknown drug may be a person's value, so it is not reported.
    raise InvalidFeedbackError.of(
        [fault._replace(loc=tuple(step for step in fault.loc if step in _NAMES)) for fault in found[: len(_NAMES)]]
    )
