"""What a worker and the process that supervises it know of each other: a socket that both have.

The worker says on it that it is ready, or why it cannot start; and it ends when the other end is closed, which the
kernel does even where the supervisor was killed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from drugpred.errors import DrugpredError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["READY", "VARIABLE", "ready", "starting"]

logger = logging.getLogger(__name__)

VARIABLE: Final = "_DRUGPRED_SUPERVISOR"
"""The environment variable that has the socket's file descriptor."""

READY: Final = "ready"


@contextmanager
def starting() -> Iterator[None]:
    """Let a worker end at once with one line where what it does to start fails for a reason that is known."""
    try:
        yield
    except (DrugpredError, OSError) as error:
        if VARIABLE not in os.environ:
            raise
        _say(str(error))
        logger.error("this worker cannot start: %s", error)  # noqa: TRY400 - the reason is all that helps
        logging.shutdown()
        os._exit(1)  # nothing has begun, and uvicorn would log a traceback


def ready(orphaned: Callable[[], None]) -> None:
    """Say that the worker answers, and call back when its supervisor is gone; to be called in its event loop."""
    if VARIABLE not in os.environ:
        return
    _say(READY)
    loop, connection = asyncio.get_running_loop(), int(os.environ[VARIABLE])

    def closed() -> None:
        loop.remove_reader(connection)
        logger.warning("the process that started this worker is gone: it ends")
        orphaned()

    loop.add_reader(connection, closed)


def _say(what: str) -> None:
    line = f"{os.getpid()} {' '.join(what.split())}\n".encode()
    with suppress(OSError), socket.socket(fileno=os.dup(int(os.environ[VARIABLE]))) as connection:
        connection.sendall(line)
