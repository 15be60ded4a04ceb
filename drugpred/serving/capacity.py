"""Capacity limits: work beyond them is refused before memory grows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from drugpred.errors import OverloadedError
from drugpred.limits import MAX_UNREAD_BYTES

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection


class CapacityLimiter:
    """Limit of the amount in use, in one event loop.

    Parameters
    ----------
    most : int

    Attributes
    ----------
    held : int
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0

    def acquire(self, amount: int) -> None:
        """Add an amount to the amount in use.

        Raises
        ------
        OverloadedError
            The amount would exceed the limit; nothing is added.
        """
        if self.held + amount > self._most:
            raise OverloadedError
        self.held += amount

    def release(self, amount: int) -> None:
        """Give an amount back."""
        self.held -= amount

    def is_full(self) -> bool:
        """Return whether the limit is reached."""
        return self.held >= self._most


class SharedCapacityLimiter:
    """Limit of the amount in use by all callers and by each, in one event loop.

    Parameters
    ----------
    most : int
    most_each : int
        Limit of one caller.
    """

    def __init__(self, most: int, most_each: int) -> None:
        self._all = CapacityLimiter(most)
        self._most_each = most_each
        self._by_caller: dict[str, int] = {}

    @property
    def held(self) -> int:
        """The amount in use by all callers."""
        return self._all.held

    def is_share_full(self, caller: str | None) -> bool:
        """Return whether a caller's own limit is reached; never for an unknown caller."""
        return caller is not None and self._by_caller.get(caller, 0) >= self._most_each

    def is_full(self) -> bool:
        """Return whether the limit of all callers is reached."""
        return self._all.is_full()

    def acquire(self, amount: int, caller: str | None) -> None:
        """Add an amount, also to the caller's own if the caller is known.

        Raises
        ------
        OverloadedError
            The amount would exceed a limit; nothing is added.
        """
        if caller is None:
            self._all.acquire(amount)
            return
        held = self._by_caller.get(caller, 0) + amount
        if held > self._most_each:
            raise OverloadedError
        self._all.acquire(amount)
        self._by_caller[caller] = held

    def release(self, amount: int, caller: str | None) -> None:
        """Give an amount back."""
        self._all.release(amount)
        if caller is None:
            return
        held = self._by_caller.get(caller, 0) - amount
        if held:
            self._by_caller[caller] = held
        else:
            self._by_caller.pop(caller, None)


class Call(Protocol):
    """A call of gRPC."""

    def peer(self) -> str:
        """Return the address of the other end of its connection."""


C = TypeVar("C", bound=Call)


def dispensable(calls: Collection[C]) -> C:
    """Return the call that most likely was sent without a message: of calls that wait for theirs, the oldest.

    If one connection has more than half of them, it is the oldest of that connection: a burst ends no call of others.

    Parameters
    ----------
    calls : collection of Call
        At least one; the oldest first.
    """
    peers = [call.peer() for call in calls]
    (busiest, most), *_ = Counter(peers).most_common(1)
    peer = busiest if 2 * most > len(peers) else peers[0]
    return next(call for call, its in zip(calls, peers, strict=True) if its == peer)


class WriteBacklog:
    """Count of the bytes of answers that clients have not read, in one event loop.

    Parameters
    ----------
    most : int

    Attributes
    ----------
    transports : set of asyncio.Transport
        Connections whose clients are not reading at the moment.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting = 0
        self.transports: set[asyncio.Transport] = set()

    def acquire(self, amount: int) -> None:
        """Count the bytes of an answer that is about to be written.

        Raises
        ------
        OverloadedError
            They would exceed the limit; nothing is counted.
        """
        written = sum(transport.get_write_buffer_size() for transport in self.transports)
        if written + self._waiting + amount > self._most:
            raise OverloadedError
        self._waiting += amount

    def release(self, amount: int) -> None:
        """Stop counting an answer: it is written, and its transport counts it."""
        self._waiting -= amount


WRITE_BACKLOG: Final = WriteBacklog(MAX_UNREAD_BYTES)  # one for each worker
