"""Sends inputs to a service, several at a time, and keeps what became of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from loadtest.fuzz.auth import admitted, with_key
from loadtest.fuzz.clock import Clock
from loadtest.fuzz.grpc_client import Caller
from loadtest.fuzz.http_client import Connection
from loadtest.fuzz.inputs import KEY, Call, Exchange, Mode, Port, generate
from loadtest.fuzz.oracle import LATE, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.fuzz.inputs import Family

__all__ = ["Fault", "Runner"]

_CLIENTS: Final = 16
"""Inputs on their way at a time."""

_TRIES: Final = 3
"""Of what was late among others: late is what is so each time with the service to itself."""

_MAX_LATE: Final = 100
"""Inputs that are tried again."""


class Fault(NamedTuple):
    """An input that was not answered properly."""

    family: str
    number: int
    """Its place in the family."""
    what: str


class Runner:
    """Sends to one service, and counts.

    Parameters
    ----------
    host, port
        Of HTTP.
    address : str
        HOST:PORT of gRPC.
    seed : int
        What inputs are drawn from.
    key : str or None
        The API key that the service wants; None where it wants none.
    """

    def __init__(self, host: str, port: int, address: str, seed: int, key: str | None = None) -> None:
        self._host, self._port, self._address, self._seed, self._key = host, port, address, seed, key
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.faults: list[Fault] = []

    async def send(self, planned: Sequence[tuple[Family, int]]) -> None:
        """Send inputs; `counts` and `faults` tell what became of them."""
        clock = Clock()
        measuring = asyncio.create_task(clock.run())
        clients = [_Client(self._host, self._port, self._address, clock, self._key) for _ in range(_CLIENTS)]
        one = asyncio.Lock()
        waiting = iter(planned)
        silent: list[asyncio.Task[None]] = []
        late: list[tuple[Family, int]] = []

        async def work(client: _Client) -> None:
            for family, index in waiting:
                sent = self._made(family, index)
                if _waits(sent):
                    silent.append(asyncio.create_task(self._wait(family, index, sent, clock)))
                    continue
                async with one if family.alone else contextlib.nullcontext():
                    outcome = await client.outcome(sent)
                if outcome.fault == LATE:
                    late.append((family, index))
                else:
                    self._keep(family, index, outcome)

        await asyncio.gather(*map(work, clients))
        await asyncio.gather(*silent)
        for family, index in late[:_MAX_LATE]:
            await self._again(clients[0], family, index)
        for family, index in late[_MAX_LATE:]:
            self._keep(family, index, Outcome("late", LATE))
        for client in clients:
            await client.close()
        measuring.cancel()

    def _made(self, family: Family, index: int) -> Exchange | Call:
        if self._key is None:
            return generate(family, self._seed, index)
        return with_key(family, self._seed, index, self._key)

    async def _wait(self, family: Family, index: int, sent: Exchange | Call, clock: Clock) -> None:
        client = _Client(self._host, self._port, self._address, clock, self._key)
        self._keep(family, index, await client.outcome(sent))
        await client.close()

    async def _again(self, client: _Client, family: Family, index: int) -> None:
        for _ in range(_TRIES):
            outcome = await client.outcome(self._made(family, index))
            if outcome.fault != LATE:
                break
        self._keep(family, index, outcome)

    def _keep(self, family: Family, index: int, outcome: Outcome) -> None:
        self.counts[family.name][outcome.status] += 1
        if outcome.fault:
            self.faults.append(Fault(family.name, index, outcome.fault))


def _waits(sent: Exchange | Call) -> bool:
    """Return whether an input ends only when the server has waited long enough."""
    if isinstance(sent, Call):
        return sent.silent and sent.cancel_after is None
    return sent.mode is Mode.SLOW


class _Client:
    """A connection of each kind."""

    def __init__(self, host: str, port: int, address: str, clock: Clock, key: str | None) -> None:
        grpc_host, _, grpc_port = address.rpartition(":")
        self._key = key
        self._connections = {
            Port.HTTP: Connection(host, port, clock, key or KEY),
            Port.GRPC: Connection(grpc_host, int(grpc_port), clock, key or KEY),
        }
        self._caller = Caller(address, clock, key or KEY)

    async def outcome(self, sent: Exchange | Call) -> Outcome:
        """Send an input, and return what became of it."""
        if isinstance(sent, Call):
            outcome = await self._caller.call(sent)
        else:
            outcome = await self._connections[sent.port].exchange(sent)
        if self._key and admitted(sent, outcome, self._key):
            return Outcome(outcome.status, f"{outcome.status} without the key")
        return outcome

    async def close(self) -> None:
        """End the connections."""
        for connection in self._connections.values():
            connection.close()
        await self._caller.close()
