"""What a worker starts and stops besides HTTP: the gRPC server, the metrics and the log thread."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

from bentoml import server_context

from drugpred.errors import ConfigurationError
from drugpred.monitoring import metrics
from drugpred.serving import logs, patches
from drugpred.serving.grpc import binding
from drugpred.serving.grpc.server import Server
from drugpred.serving.middleware.shutdown import GracefulShutdown
from drugpred.serving.predict_handler import PredictHandler
from drugpred.serving.supervision import ready, starting

if TYPE_CHECKING:
    from drugpred.settings import Settings


class Worker:
    """The parts of a worker that start and stop.

    Parameters
    ----------
    service : object
        The service, see service.py.
    settings : Settings
    """

    def __init__(self, service: Any, settings: Settings) -> None:  # noqa: ANN401 - BentoML decorates its class
        self.shutdown = GracefulShutdown()
        self._service = service
        self._settings = settings
        challenger = service.scorer.challenger
        metrics.publish(service.scorer.model, challenger and challenger.model)

    starting = staticmethod(starting)

    async def start(self) -> None:
        """Start the gRPC server in the event loop of HTTP, start the metrics, and report that the worker is ready."""
        service = self._service
        with starting():
            address = binding.address(self._settings.grpc_port)
            try:
                self._grpc = Server(service, self._settings, address)
            except RuntimeError:  # grpc's exception for a port in use
                raise ConfigurationError(f"gRPC cannot listen on {address}") from None
            await self._grpc.start()
        self.shutdown.listen(self._grpc.announce_end)
        if fast := patches.applied("uvicorn_fast_path"):
            fast.FastPathProtocol.handler = PredictHandler.of(service)
        service.scorer.counter.start()
        if server_context.worker_index is not None:
            logs.write_in_thread()
        gc.collect()
        gc.freeze()  # imported objects stay, so the collector need not scan them during a large batch
        ready(self.shutdown.begin)

    async def stop(self) -> None:
        """Wait for the calls in flight, and write the last counts."""
        await self._grpc.stop()
        await self._service.access.close()
        await asyncio.to_thread(self._service.scorer.counter.stop)
        await asyncio.to_thread(logs.end)
