"""Lets a worker close its listeners before uvicorn closes its connections; uvicorn does both at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import uvicorn
from typing_extensions import override

from drugpred.serving.patches import replace

if TYPE_CHECKING:
    import socket


class Server(uvicorn.Server):
    """uvicorn's server; `running` finds it once it has started."""

    running: ClassVar[Server | None] = None

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        Server.running = self

    def close_listeners(self) -> None:
        """Stop accepting connections."""
        for listener in self.servers:
            listener.close()


def apply() -> None:
    """Make BentoML's workers start this server."""
    replace(uvicorn, "Server", Server)
