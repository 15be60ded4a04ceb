"""The gRPC server of a worker, in the event loop of HTTP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from drugpred.limits import MAX_GRPC_CONNECTIONS, SHUTDOWN_GRACE
from drugpred.proto.drugpred.v1 import drug_prediction_pb2, drug_prediction_pb2_grpc
from drugpred.proto.inference import grpc_service_pb2, grpc_service_pb2_grpc
from drugpred.serving import patches
from drugpred.serving.grpc.binding import credentials
from drugpred.serving.grpc.interceptor import CallInterceptor
from drugpred.serving.grpc.servicer import DrugPredictionServicer
from drugpred.serving.v2.grpc import InferenceServicer

if TYPE_CHECKING:
    from drugpred.settings import Settings

_NAMES: Final = (
    drug_prediction_pb2.DESCRIPTOR.services_by_name["DrugPrediction"].full_name,
    grpc_service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name,
)
"""Services with a health status."""

_FAST: Final = "/drugpred.v1.DrugPrediction/Predict"  # the method whose predictions take microseconds

_OPTIONS: Final = (
    ("grpc.so_reuseport", 1),  # the workers of one service share the port
    # 10,000 people are 0.7 MB in a chunk and 1.6 MB of the Open Inference Protocol, 1000 profiles 0.2 MB.
    ("grpc.max_receive_message_length", 2 * 2**20),
    ("grpc.max_metadata_size", 8 * 2**10),
    ("grpc.absolute_max_metadata_size", 16 * 2**10),
    ("grpc.max_concurrent_streams", 100),  # per connection
    ("grpc.max_allowed_incoming_connections", MAX_GRPC_CONNECTIONS),
    # Otherwise grpc lets each stream send 4 MB ahead, even if nobody reads it.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 64 * 2**10),
    ("grpc.server_handshake_timeout_ms", 10_000),  # closes connections that send nothing
    ("grpc.max_connection_idle_ms", 300_000),
    # A client that vanished is noticed within 90 s; a client that pings more often is disconnected.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 2),
)

_QUIET: Final = 0.2  # seconds in which a sent call arrives, or a client learns of the shutdown
_TURNS: Final = 20  # of the event loop in that time: while it is busy, each call that arrived needs some
_PATIENCE: Final = 5  # times to wait that long while new clients keep calling


class Server:
    """The services, health and reflection on one port.

    Parameters
    ----------
    service : object
        Has `scorer`, `predictions`, `inference` and `access`, see service.py.
    settings : Settings
        The TLS files.
    address : str
        Host and port to listen on.
    """

    def __init__(self, service: Any, settings: Settings, address: str) -> None:  # noqa: ANN401 - see service.py
        interceptor = CallInterceptor(service.access)
        self._in_flight = interceptor.in_flight
        self._server = grpc.aio.server(interceptors=[interceptor], options=_OPTIONS)
        unary = patches.applied("grpc_unary")
        handlers = unary.MethodRegistry(self._server) if unary else self._server
        self._health = health.aio.HealthServicer()
        prediction = DrugPredictionServicer(service.scorer, service.predictions)
        inference = InferenceServicer(service.inference, self._health)
        drug_prediction_pb2_grpc.add_DrugPredictionServicer_to_server(prediction, handlers)  # type: ignore[no-untyped-call]
        grpc_service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(inference, handlers)  # type: ignore[no-untyped-call]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, handlers)
        self._unary = None
        if unary:
            fast = {_FAST: handlers.by_name[_FAST]}
            self._unary = unary.attach(self._server, fast, [interceptor], service.predictions.batcher)
        interceptor.unary_methods = {_FAST} if self._unary else frozenset()
        if unary:
            handlers.register_all_but(interceptor.unary_methods)
        reflection.enable_server_reflection((*_NAMES, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        certificates = credentials(settings)
        self.port: int = (
            self._server.add_secure_port(address, certificates)
            if certificates
            else self._server.add_insecure_port(address)
        )

    async def start(self) -> None:
        """Start to accept calls."""
        for name in _NAMES:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        if self._unary:
            self._unary.start()

    async def announce_end(self) -> None:
        """Report NOT_SERVING and not ready: the server stops soon."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace: float = SHUTDOWN_GRACE) -> None:
        """Stop accepting calls, and wait for those in flight.

        grpc would cancel calls that have arrived without reaching a handler. So new calls are accepted and held back
        for a moment, in which clients that wait for answers send nothing new; then clients are sent to other servers.
        """
        await self.announce_end()
        self._in_flight.close()
        quiet = 0
        for _ in range(_PATIENCE * _TURNS):
            entered = self._in_flight.entered
            await asyncio.sleep(_QUIET / _TURNS)
            quiet = quiet + 1 if entered == self._in_flight.entered else 0
            if quiet == _TURNS:
                break
        if self._unary:
            self._unary.stop()
        stopping = asyncio.create_task(self._server.stop(grace))
        await asyncio.sleep(_QUIET)
        self._in_flight.open()
        await self._in_flight.wait_until_empty(grace)
        await self._server.stop(None)  # ends the health watches
        await stopping
        if self._unary:
            await asyncio.to_thread(self._unary.close)
