"""What starts and stops with a worker beside HTTP: the gRPC server, the counters, the thread of the log."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

from bentoml import server_context

from drugpred.errors import ConfigurationError
from drugpred.monitoring import metrics
from drugpred.serving import logs
from drugpred.serving.grpc import binding
from drugpred.serving.grpc.server import Server
from drugpred.serving.middleware.shutdown import GracefulShutdown
from drugpred.serving.supervision import ready, starting

if TYPE_CHECKING:
    from drugpred.settings import Settings


class Worker:
    """The parts of a worker that have a beginning and an end.

    Parameters
    ----------
    service : object
        See service.py.
    settings : Settings
    """

    def __init__(self, service: Any, settings: Settings) -> None:  # noqa: ANN401 - BentoML decorates its class
        self.shutdown = GracefulShutdown()
        self._service = service
        self._settings = settings
        metrics.publish(service.scorer.model)

    starting = staticmethod(starting)

    async def start(self) -> None:
        """Answer gRPC in the event loop that answers HTTP, count what is answered, and report that it is ready."""
        service = self._service
        with starting():
            address = binding.address(self._settings.grpc_port)
            try:
                self._grpc = Server(service, self._settings, address)
            except RuntimeError:  # as grpc reports it
                raise ConfigurationError(f"gRPC cannot listen on {address}") from None
            await self._grpc.start()
        self.shutdown.listen(self._grpc.announce_end)
        service.scorer.counter.start()
        if server_context.worker_index is not None:
            logs.write_in_thread()
        gc.collect()
        gc.freeze()  # what was imported stays, and a batch of a thousand would have it searched a hundred times
        ready(self.shutdown.begin)

    async def stop(self) -> None:
        """Wait for the calls in flight, and count the last of them."""
        await self._grpc.stop()
        await self._service.access.close()
        await asyncio.to_thread(self._service.scorer.counter.stop)
        await asyncio.to_thread(logs.end)
