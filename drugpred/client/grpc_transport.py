"""The calls over gRPC, by grpc and grpc.aio."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from drugpred.client import converters
from drugpred.client.calls import Call, Model
from drugpred.client.statuses import translate_errors
from drugpred.client.streams import AsyncStream, Stream
from drugpred.client.transport import AsyncTransport, Requests, Transport
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.drugpred.v1 import drug_prediction_pb2_grpc as pb_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from drugpred.client.calls import StreamOptions
    from drugpred.client.retries import RetryPolicy
    from drugpred.schemas import Batch, Prediction, Profile

__all__ = ["AsyncGrpcTransport", "GrpcTransport"]

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 16 * 2**20),  # 1000 answers with all that can be included are over 4 MB
    # What was refused a connection tries again as soon as the next attempt of a call does.
    ("grpc.initial_reconnect_backoff_ms", 100),
)


class _GrpcRequests(Requests):
    def predict(self, profile: Profile) -> Call[Prediction]:
        request = pb.PredictRequest(profile=converters.profile(profile))
        return Call("Predict", request, lambda response: converters.prediction(response.prediction))

    def predict_batch(self, batch: Batch) -> Call[list[Prediction]]:
        request = pb.PredictBatchRequest(profiles=map(converters.profile, batch.profiles))
        return Call("PredictBatch", request, lambda response: list(map(converters.prediction, response.predictions)))

    def model(self) -> Call[Model]:
        return Call("GetModel", pb.GetModelRequest(), lambda response: Model.of(response.card))

    def ready(self) -> Call[bool]:
        serving = health_pb2.HealthCheckResponse.SERVING
        return Call("Check", health_pb2.HealthCheckRequest(), lambda response: response.status == serving)


class GrpcTransport(_GrpcRequests, Transport):
    """The calls by `grpc`."""

    def __init__(self, url: str, policy: RetryPolicy, tls: grpc.ChannelCredentials | None, key: str | None) -> None:
        super().__init__(policy)
        self._channel = _connect(grpc, url, tls)
        self._procedures = _procedures(self._channel, key)

    def _send(self, call: Call[Any], timeout: float) -> Any:  # noqa: ANN401 - the procedure's message
        with translate_errors():
            return self._procedures[call.name](call.request, timeout=timeout)

    def stream(self, chunks: Iterable[NDArray[np.float64]], wanted: StreamOptions) -> Iterator[NDArray[np.float64]]:
        """Send chunks in one stream, each while the one before it is answered.

        Until its first answer a stream is tried again as any call is, and never later.
        """
        calls = (_chunk(number, rows, wanted) for number, rows in enumerate(chunks))
        first = next(calls, None)
        if first is None:
            return
        exchange, answer = self.policy.run(lambda timeout: self._open(first, timeout))
        try:
            yield first.read(answer)
            waiting: Call[NDArray[np.float64]] | None = None
            for call in calls:
                exchange.send(call.request)
                if waiting:
                    yield waiting.read(exchange.receive(self.policy.timeout))
                waiting = call
            exchange.send(None)
            if waiting:
                yield waiting.read(exchange.receive(self.policy.timeout))
            exchange.receive(self.policy.timeout)  # the end, which tells the service that all went well
        finally:
            exchange.close()

    def _open(self, first: Call[Any], timeout: float) -> tuple[Stream, Any]:
        exchange = Stream(self._procedures[first.name])
        try:
            exchange.send(first.request)
            return exchange, exchange.receive(timeout)
        except BaseException:
            exchange.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


class AsyncGrpcTransport(_GrpcRequests, AsyncTransport):
    """The calls by `grpc.aio`."""

    def __init__(self, url: str, policy: RetryPolicy, tls: grpc.ChannelCredentials | None, key: str | None) -> None:
        super().__init__(policy)
        self._url, self._tls, self._key = url, tls, key

    @cached_property
    def _channel(self) -> Any:  # noqa: ANN401 - without stubs grpc has no types
        """Made at the first call, because it belongs to the event loop that it is made in."""
        return _connect(grpc.aio, self._url, self._tls)

    @cached_property
    def _procedures(self) -> dict[str, Any]:
        return _procedures(self._channel, self._key)

    async def _send(self, call: Call[Any], timeout: float) -> Any:  # noqa: ANN401 - the procedure's message
        with translate_errors():
            return await self._procedures[call.name](call.request, timeout=timeout)

    async def stream(
        self, chunks: AsyncIterable[NDArray[np.float64]], wanted: StreamOptions
    ) -> AsyncIterator[NDArray[np.float64]]:
        """Send chunks in one stream, each while the one before it is answered.

        Until its first answer a stream is tried again as any call is, and never later.
        """
        calls = _chunks(chunks, wanted)
        first = await anext(calls, None)
        if first is None:
            return
        exchange, answer = await self.policy.run_async(lambda timeout: self._open(first, timeout))
        try:
            yield first.read(answer)
            waiting: Call[NDArray[np.float64]] | None = None
            async for call in calls:
                exchange.send(call.request)
                if waiting:
                    yield waiting.read(await exchange.receive(self.policy.timeout))
                waiting = call
            exchange.send(None)
            if waiting:
                yield waiting.read(await exchange.receive(self.policy.timeout))
            await exchange.receive(self.policy.timeout)  # the end, which tells the service that all went well
        finally:
            exchange.close()

    async def _open(self, first: Call[Any], timeout: float) -> tuple[AsyncStream, Any]:
        exchange = AsyncStream(self._procedures[first.name])
        try:
            exchange.send(first.request)
            return exchange, await exchange.receive(timeout)
        except BaseException:
            exchange.close()
            raise

    async def close(self) -> None:
        """Close the connection."""
        if "_channel" in vars(self):
            await self._channel.close()


def _connect(library: Any, url: str, tls: grpc.ChannelCredentials | None) -> Any:  # noqa: ANN401 - grpc or grpc.aio
    parts = urlsplit(url)
    if parts.scheme == "grpcs":
        return library.secure_channel(parts.netloc, tls or grpc.ssl_channel_credentials(), _OPTIONS)
    return library.insecure_channel(parts.netloc, _OPTIONS)


def _procedures(channel: Any, key: str | None) -> dict[str, Any]:  # noqa: ANN401 - of grpc or grpc.aio
    """Return what calls each procedure, by its name."""
    metadata = None if key is None else (("authorization", f"Bearer {key}"),)
    stubs: tuple[Any, ...] = (pb_grpc.DrugPredictionStub, health_pb2_grpc.HealthStub)
    return {
        name: partial(procedure, metadata=metadata) for stub in stubs for name, procedure in vars(stub(channel)).items()
    }


def _chunk(number: int, rows: NDArray[np.float64], wanted: StreamOptions) -> Call[NDArray[np.float64]]:
    def read(response: pb.PredictStreamResponse | None) -> NDArray[np.float64]:
        if response is None:
            raise ValueError("the stream ended early")
        return converters.probabilities(response, len(rows), wanted)

    return Call("PredictStream", converters.chunk(number, rows, wanted), read)


async def _chunks(
    chunks: AsyncIterable[NDArray[np.float64]], wanted: StreamOptions
) -> AsyncIterator[Call[NDArray[np.float64]]]:
    number = 0
    async for rows in chunks:
        yield _chunk(number, rows, wanted)
        number += 1
