"""The interface of a transport; the rest of a call is the same for all.

All of it is asynchronous. With a blocking policy it blocks instead of suspending: see `drugpred.client.blocking`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from drugpred.errors import DeadlineExceededError, ServiceError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from drugpred.client.calls import Call, Model, StreamOptions
    from drugpred.client.retries import RetryPolicy
    from drugpred.schemas import Batch, Drift, Feedback, Prediction, Profile

T = TypeVar("T")


@contextmanager
def identified() -> Iterator[str]:
    """Yield the id of a call, and set it in the error of that call."""
    request_id = uuid4().hex
    try:
        yield request_id
    except ServiceError as error:
        error.request_id = error.request_id or request_id  # the service may have its own
        error.add_note(f"x-request-id: {error.request_id}")
        raise


class Transport(ABC):
    """Base class that creates calls and sends them."""

    def __init__(self, policy: RetryPolicy) -> None:
        self.policy = policy

    async def call(self, call: Call[T]) -> T:
        """Return the answer to a call."""
        with identified() as request_id:
            return call.read(await self.policy.run(lambda timeout: self._send(call, timeout, request_id)))

    async def is_ready(self) -> bool:
        """Return whether the service answers predictions, in a single attempt."""
        try:
            call = self.ready()
            with identified() as request_id:
                return call.read(await self._send(call, self.policy.timeout, request_id))
        except (UnavailableError, DeadlineExceededError):
            return False

    @abstractmethod
    def predict(self, profile: Profile) -> Call[Prediction]:
        """Return the call that predicts for one person."""

    @abstractmethod
    def predict_batch(self, batch: Batch) -> Call[list[Prediction]]:
        """Return the call that predicts for many."""

    @abstractmethod
    def model(self) -> Call[Model]:
        """Return the call that describes the model."""

    @abstractmethod
    def drift(self) -> Call[Drift]:
        """Return the call that measures drift."""

    @abstractmethod
    def feedback(self, feedback: Feedback) -> Call[int]:
        """Return the call that reports outcomes."""

    @abstractmethod
    def ready(self) -> Call[bool]:
        """Return the call that checks readiness."""

    @abstractmethod
    async def _send(self, call: Call[Any], timeout: float, request_id: str) -> Any:  # noqa: ANN401 - what the call reads
        """Return the response, or raise a ServiceError."""

    @abstractmethod
    def stream(
        self, chunks: AsyncIterable[NDArray[np.float64]], options: StreamOptions
    ) -> AsyncGenerator[NDArray[np.float64], None]:
        """Yield the answer to each chunk, in order."""

    @abstractmethod
    async def close(self) -> None:
        """Close all connections."""
