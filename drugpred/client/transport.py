"""The interface of a transport; the rest of a call is the same for all.

All of it is asynchronous. With a blocking policy it blocks instead of suspending: see `drugpred.client.blocking`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar

from drugpred.errors import DeadlineExceededError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable

    import numpy as np
    from numpy.typing import NDArray

    from drugpred.client.calls import Call, Model, StreamOptions
    from drugpred.client.retries import RetryPolicy
    from drugpred.schemas import Batch, Prediction, Profile

T = TypeVar("T")


class Transport(ABC):
    """Base class that creates calls and sends them."""

    def __init__(self, policy: RetryPolicy) -> None:
        self.policy = policy

    async def call(self, call: Call[T]) -> T:
        """Return the answer to a call."""
        return call.read(await self.policy.run(lambda timeout: self._send(call, timeout)))

    async def is_ready(self) -> bool:
        """Return whether the service answers predictions, in a single attempt."""
        try:
            call = self.ready()
            return call.read(await self._send(call, self.policy.timeout))
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
    def ready(self) -> Call[bool]:
        """Return the call that checks readiness."""

    @abstractmethod
    async def _send(self, call: Call[Any], timeout: float) -> Any:  # noqa: ANN401 - what the call reads
        """Return the response, or raise a ServiceError."""

    @abstractmethod
    def stream(
        self, chunks: AsyncIterable[NDArray[np.float64]], options: StreamOptions
    ) -> AsyncGenerator[NDArray[np.float64], None]:
        """Yield the answer to each chunk, in order."""

    @abstractmethod
    async def close(self) -> None:
        """Close all connections."""
