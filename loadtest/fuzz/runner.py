"""Sends inputs to a service, several at a time, and counts the outcomes."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from loadtest.fuzz.auth import admitted, with_key
from loadtest.fuzz.clock import Clock
from loadtest.fuzz.grpc_client import Caller
from loadtest.fuzz.http_client import Connection
from loadtest.fuzz.inputs import Call, Exchange, Mode, Port, generate
from loadtest.fuzz.oracle import LATE, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.fuzz.inputs import Family, Service

_CLIENTS: Final = 16  # inputs in flight
_TRIES: Final = 3  # attempts for a late input: late means late each time, when it is sent alone
_MAX_LATE: Final = 100  # late inputs that are tried again


class Fault(NamedTuple):
    """An input with a faulty answer."""

    family: str
    number: int  # its number within the family
    what: str


class Runner:
    """Runner that sends inputs drawn from a seed to a service, and counts the outcomes."""

    def __init__(self, service: Service, seed: int) -> None:
        self._service, self._seed = service, seed
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.faults: list[Fault] = []

    async def send(self, planned: Sequence[tuple[Family, int]]) -> None:
        """Send inputs, and store the outcomes in `counts` and `faults`."""
        clock = Clock()
        measuring = asyncio.create_task(clock.run())
        clients = [_Client(self._service, clock) for _ in range(_CLIENTS)]
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
        if self._service.wants_key:
            return with_key(family, self._seed, index, self._service.key)
        return generate(family, self._seed, index)

    async def _wait(self, family: Family, index: int, sent: Exchange | Call, clock: Clock) -> None:
        client = _Client(self._service, clock)
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
    """Return whether an input ends only when the server stops waiting."""
    if isinstance(sent, Call):
        return sent.silent and sent.cancel_after is None
    return sent.mode is Mode.SLOW


class _Client:
    """A connection of each kind."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._connections = {port: Connection(service, port, clock) for port in Port}
        self._caller = Caller(service, clock)

    async def outcome(self, sent: Exchange | Call) -> Outcome:
        """Send an input, and return its outcome."""
        if isinstance(sent, Call):
            outcome = await self._caller.call(sent)
        else:
            outcome = await self._connections[sent.port].exchange(sent)
        if self._service.wants_key and admitted(sent, outcome, self._service.key):
            return Outcome(outcome.status, f"{outcome.status} without the key")
        return outcome

    async def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            connection.close()
        await self._caller.close()
