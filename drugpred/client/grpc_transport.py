"""The transport over gRPC."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from typing_extensions import override

from drugpred.client import converters
from drugpred.client.blocking import resolve
from drugpred.client.calls import Call, Model
from drugpred.client.statuses import translate_errors
from drugpred.client.streams import AsyncStream, Stream
from drugpred.client.transport import Transport, identified
from drugpred.errors import ConfigurationError
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.drugpred.v1 import drug_prediction_pb2_grpc as pb_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator

    import numpy as np
    from numpy.typing import NDArray

    from drugpred.client.calls import StreamOptions
    from drugpred.client.retries import RetryPolicy
    from drugpred.schemas import Batch, Drift, Feedback, Prediction, Profile

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 16 * 2**20),  # 1000 answers with all options are over 4 MB
    # A channel that lost its connection reconnects as soon as a call is retried.
    ("grpc.initial_reconnect_backoff_ms", 100),
)


class GrpcTransport(Transport):
    """Transport with `grpc` or `grpc.aio`; an asynchronous channel belongs to the event loop of its first call."""

    def __init__(self, url: str, policy: RetryPolicy, tls: grpc.ChannelCredentials | None, key: str | None) -> None:
        super().__init__(policy)
        self._url, self._tls = urlsplit(url), tls
        self._metadata = () if key is None else (("authorization", f"Bearer {key}"),)
        if policy.blocking:
            self._procedures  # noqa: B018 - created now, because threads may share it

    @cached_property
    def _channel(self) -> Any:  # noqa: ANN401 - without stubs grpc has no types
        library = grpc if self.policy.blocking else grpc.aio
        if self._url.scheme == "grpcs":
            return library.secure_channel(self._url.netloc, self._tls or grpc.ssl_channel_credentials(), _OPTIONS)
        return library.insecure_channel(self._url.netloc, _OPTIONS)

    @cached_property
    def _procedures(self) -> dict[str, Any]:
        """Methods of the stubs, by name."""
        stubs: tuple[Any, ...] = (pb_grpc.DrugPredictionStub, health_pb2_grpc.HealthStub)
        return {name: method for stub in stubs for name, method in vars(stub(self._channel)).items()}

    def _procedure(self, name: str, request_id: str) -> Any:  # noqa: ANN401 - of a generated stub
        return partial(self._procedures[name], metadata=(*self._metadata, ("x-request-id", request_id)))

    @override
    def predict(self, profile: Profile) -> Call[Prediction]:
        request = pb.PredictRequest(profile=converters.profile(profile))
        return Call("Predict", request, lambda response: converters.prediction(response.prediction))

    @override
    def predict_batch(self, batch: Batch) -> Call[list[Prediction]]:
        request = pb.PredictBatchRequest(profiles=map(converters.profile, batch.profiles))
        return Call("PredictBatch", request, lambda response: list(map(converters.prediction, response.predictions)))

    @override
    def model(self) -> Call[Model]:
        return Call("GetModel", pb.GetModelRequest(), lambda response: Model.of(response.card))

    @override
    def drift(self) -> Call[Drift]:
        raise _only_over_http()

    @override
    def feedback(self, feedback: Feedback) -> Call[int]:
        raise _only_over_http()

    @override
    def ready(self) -> Call[bool]:
        serving = health_pb2.HealthCheckResponse.SERVING
        return Call("Check", health_pb2.HealthCheckRequest(), lambda response: response.status == serving)

    async def _send(self, call: Call[Any], timeout: float, request_id: str) -> Any:  # noqa: ANN401 - the procedure's message
        with translate_errors():
            return await resolve(self._procedure(call.name, request_id)(call.request, timeout=timeout))

    async def stream(
        self, chunks: AsyncIterable[NDArray[np.float64]], options: StreamOptions
    ) -> AsyncGenerator[NDArray[np.float64], None]:
        """Yield the probabilities of chunks, sent in one stream, each while the previous one is answered.

        A stream is retried like any call until its first answer, and not after it.
        """
        calls = _chunks(chunks, options)
        if (first := await anext(calls)) is None:
            return
        with identified() as request_id:
            stream, answer = await self.policy.run(lambda timeout: self._open(first, timeout, request_id))
            try:
                yield first.read(answer)
                waiting = None
                async for call in calls:
                    stream.send(call and call.request)
                    if waiting:
                        yield waiting.read(await resolve(stream.receive(self.policy.timeout)))
                    waiting = call
                await resolve(stream.receive(self.policy.timeout))  # waits for the end of the stream
            finally:
                stream.close()

    async def _open(self, first: Call[Any], timeout: float, request_id: str) -> tuple[Stream | AsyncStream, Any]:
        stream = (Stream if self.policy.blocking else AsyncStream)(self._procedure(first.name, request_id))
        stream.send(first.request)
        return stream, await resolve(stream.receive(timeout))

    @override
    async def close(self) -> None:
        if "_channel" in vars(self):
            await resolve(self._channel.close())


def _only_over_http() -> ConfigurationError:
    return ConfigurationError("expected a URL that begins with http:// or https://: gRPC has no such call")


def _chunk(number: int, rows: NDArray[np.float64], options: StreamOptions) -> Call[NDArray[np.float64]]:
    def read(response: pb.PredictStreamResponse | None) -> NDArray[np.float64]:
        if response is None:
            raise ValueError("the stream ended early")
        return converters.table(response, len(rows), options)

    return Call("PredictStream", converters.chunk(number, rows, options), read)


async def _chunks(
    chunks: AsyncIterable[NDArray[np.float64]], options: StreamOptions
) -> AsyncIterator[Call[NDArray[np.float64]] | None]:
    number = 0
    async for rows in chunks:
        yield _chunk(number, rows, options)
        number += 1
    yield None
