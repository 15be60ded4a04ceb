"""The socket between a worker and its supervisor (`patches.circus_arbiter`); without a supervisor this does nothing.

The worker reports that it is ready, or why it cannot start. It ends when the other end is closed, which also happens
when the supervisor is killed.
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

logger = logging.getLogger(__name__)

VARIABLE: Final = "_DRUGPRED_SUPERVISOR"  # has the file descriptor of the socket

READY: Final = "ready"


@contextmanager
def starting() -> Iterator[None]:
    """End the worker at once, with one line, if a step of its start fails for a known reason."""
    try:
        yield
    except (DrugpredError, OSError) as error:
        if VARIABLE not in os.environ:
            raise
        _send(str(error))
        logger.error("this worker cannot start: %s", error)  # noqa: TRY400 - the reason suffices
        logging.shutdown()
        os._exit(1)  # nothing has started, and uvicorn would log a traceback


def ready(orphaned: Callable[[], None]) -> None:
    """Report that the worker is ready, and call back when its supervisor ends; call it in the worker's event loop."""
    if VARIABLE not in os.environ:
        return
    _send(READY)
    loop, connection = asyncio.get_running_loop(), int(os.environ[VARIABLE])

    def closed() -> None:
        loop.remove_reader(connection)
        logger.warning("the process that started this worker has ended, so it ends too")
        orphaned()

    loop.add_reader(connection, closed)


def _send(message: str) -> None:
    line = f"{os.getpid()} {' '.join(message.split())}\n".encode()
    with suppress(OSError), socket.socket(fileno=os.dup(int(os.environ[VARIABLE]))) as connection:
        connection.sendall(line)
