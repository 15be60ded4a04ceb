"""The two clients: one blocks, the other is asynchronous."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, Self, overload
from urllib.parse import urlsplit

from drugpred.client import calls
from drugpred.client.blocking import iterate, run
from drugpred.client.retries import RetryPolicy
from drugpred.errors import ConfigurationError, needs

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Mapping
    from typing import Unpack

    import grpc
    import numpy as np
    from narwhals.typing import IntoDataFrameT
    from numpy.typing import ArrayLike, NDArray

    from drugpred.client.calls import Model
    from drugpred.client.transport import Transport
    from drugpred.codebook import Drug, Scale, Window
    from drugpred.schemas import ColumnAddition, Drift, Explanation, Prediction, Profile, ProfileFields


class _Client:
    _blocking: ClassVar[bool]

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 60.0,
        retries: int = 3,
        tls: ssl.SSLContext | grpc.ChannelCredentials | None = None,
        key: str | None = None,
    ) -> None:
        self._transport = _transport(url)(url, RetryPolicy(timeout, retries, self._blocking), tls, key)


class Client(_Client):
    """Blocking client of the service. Threads may share it.

    A call is retried if the service is overloaded, limits the caller's rate or cannot be reached, and in no other case.
    The waits are random and grow, and are never shorter than the service asks for (`Retry-After`).

    Parameters
    ----------
    url : str
        URL of the service: `http://localhost:3000` or `grpc://localhost:3001`; `https://` and `grpcs://` with TLS.
    timeout : float
        Seconds for a call with all its attempts; for a stream, for each answer. Over HTTP, connecting, sending and
        receiving may each take the rest of it.
    retries : int
        Attempts after the first.
    tls : ssl.SSLContext or grpc.ChannelCredentials, optional
        Certificates, an SSLContext for `https://` and ChannelCredentials for `grpcs://`.
    key : str, optional
        An API key, if the service requires one.

    Raises
    ------
    ConfigurationError
        The URL has another scheme.

    Notes
    -----
    Every call raises a `drugpred.errors.ServiceError` if it fails: `InvalidRequestError` for a malformed request,
    mostly before anything is sent; `PermissionDeniedError`, `UnavailableError`, `RateLimitedError` and
    `DeadlineExceededError`. No message contains a person's values.

    Examples
    --------
    >>> with Client("http://localhost:3000") as client:  # doctest: +SKIP
    ...     client.predict(**EXAMPLE, drugs=["cannabis"]).risks[0]["probability"]
    0.8522902083456987
    """

    _blocking = True

    @overload
    def predict(self, profile: Profile | Mapping[str, object], /) -> Prediction: ...
    @overload
    def predict(self, /, **fields: Unpack[ProfileFields]) -> Prediction: ...
    def predict(self, profile: Profile | Mapping[str, object] | None = None, /, **fields: object) -> Prediction:
        """Return each drug's probability of use for one person.

        Parameters
        ----------
        profile : Profile or mapping
            The person, with the options of the prediction.
        **fields
            The fields of a profile, in place of `profile`.
        """
        return run(self._transport.call(self._transport.predict(calls.as_profile(profile, fields))))

    @overload
    def explain(self, profile: Profile | Mapping[str, object], /) -> dict[Drug, Explanation]: ...
    @overload
    def explain(self, /, **fields: Unpack[ProfileFields]) -> dict[Drug, Explanation]: ...
    def explain(
        self, profile: Profile | Mapping[str, object] | None = None, /, **fields: object
    ) -> dict[Drug, Explanation]:
        """Explain the prediction for one person, given as to `predict`.

        Returns
        -------
        dict
            By drug, what each input contributes to the log-odds.
        """
        explained = calls.as_explained(calls.as_profile(profile, fields))
        return run(self._transport.call(calls.explanations(self._transport.predict(explained))))

    def predict_batch(self, profiles: Iterable[Profile | Mapping[str, object]]) -> list[Prediction]:
        """Return the predictions for 1 to 1000 people, in their order."""
        return run(self._transport.call(self._transport.predict_batch(calls.as_batch(profiles))))

    @overload
    def stream(
        self,
        chunks: IntoDataFrameT | Iterable[IntoDataFrameT],
        *,
        drugs: Iterable[Drug] | None = None,
        window: Window = "decade",
        scale: Scale = "standardized",
        include: Iterable[ColumnAddition] = (),
    ) -> Iterator[IntoDataFrameT]: ...
    @overload
    def stream(
        self,
        chunks: Iterable[ArrayLike],
        *,
        drugs: Iterable[Drug] | None = None,
        window: Window = "decade",
        scale: Scale = "standardized",
        include: Iterable[ColumnAddition] = (),
    ) -> Iterator[NDArray[np.float64]]: ...
    def stream(
        self,
        chunks: Any,
        *,
        drugs: Iterable[Drug] | None = None,
        window: Window = "decade",
        scale: Scale = "standardized",
        include: Iterable[ColumnAddition] = (),
    ) -> Iterator[Any]:
        """Yield the probabilities for any number of people, chunk by chunk.

        Parameters
        ----------
        chunks : data frame, or iterable of data frames or of array_like of shape (n, 12)
            People, 1 to 10,000 in a chunk; a single data frame may have any number, and is sent in parts. Data frames
            are of pandas, Polars or any library that narwhals reads, with columns and labels as in a file that
            `drugpred score` takes; other columns are ignored. Arrays have rows as `drugpred.codebook` describes
            them. Over gRPC one chunk is read before the previous answer arrives.
        drugs : iterable of str, optional
            Drugs to predict; by default all.
        window : str
            Time window of use.
        scale : str
            Of the five NEO scores: standardized, or raw totals.
        include : iterable of str
            Columns to add: interval, the bounds of each probability after it, in a data frame as `lsd_low` and
            `lsd_high`; support, at the end `similar`, `percentile` and `level`.

        Yields
        ------
        ndarray of shape (n, columns), or data frame
            The probabilities of a chunk, with the columns in the order of `drugs`; of a data frame as one of the same
            library, with its index. In an array a level is its index in `codebook.SUPPORT_LEVELS`.

        Notes
        -----
        A stream is not retried after its first answer. If it fails over gRPC, or if all attempts at a part fail over
        HTTP, results that were already yielded are valid; continue with the next chunk.
        """
        with needs("stream"):
            from drugpred.client import arrays

        options = calls.as_stream_options(drugs, window, include)
        return iterate(
            arrays.answers(lambda rows: self._transport.stream(rows, options), chunks, options.columns(), scale)
        )

    def model(self) -> Model:
        """Return the description of the served model."""
        return run(self._transport.call(self._transport.model()))

    def drift(self) -> Drift:
        """Measure how far the profiles have moved from those trained on, over HTTP."""
        return run(self._transport.call(self._transport.drift()))

    def feedback(self, prediction_id: str, outcomes: Mapping[Drug, bool]) -> int:
        """Report the outcomes of a prediction, over HTTP.

        Parameters
        ----------
        prediction_id : str
            That of the prediction, which takes feedback once.
        outcomes : mapping of str to bool
            By drug, whether the person had used it within the prediction's window.

        Returns
        -------
        int
            The number of outcomes that were counted.

        Raises
        ------
        ConfigurationError
            The client uses gRPC.
        """
        return run(self._transport.call(self._transport.feedback(calls.as_feedback(prediction_id, outcomes))))

    def health(self) -> bool:
        """Return whether the service answers predictions now, in a single attempt."""
        return run(self._transport.is_ready())

    def close(self) -> None:
        """Close all connections."""
        run(self._transport.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class AsyncClient(_Client):
    """Asynchronous client with the methods of `Client`, for the event loop of its first call.

    Raises
    ------
    RuntimeError
        A call comes from another event loop, such as that of a second `asyncio.run`.
    """

    _blocking = False
    _loop: asyncio.AbstractEventLoop | None = None

    @property
    def _bound(self) -> Transport:
        """The transport, whose connections belong to one event loop."""
        loop = asyncio.get_running_loop()
        if self._loop not in {None, loop}:
            raise RuntimeError("expected the event loop of the first call: make an AsyncClient for each event loop")
        self._loop = loop
        return self._transport

    @overload
    async def predict(self, profile: Profile | Mapping[str, object], /) -> Prediction: ...
    @overload
    async def predict(self, /, **fields: Unpack[ProfileFields]) -> Prediction: ...
    async def predict(self, profile: Profile | Mapping[str, object] | None = None, /, **fields: object) -> Prediction:
        """Return each drug's probability of use for one person; see `Client.predict`."""
        return await self._bound.call(self._transport.predict(calls.as_profile(profile, fields)))

    @overload
    async def explain(self, profile: Profile | Mapping[str, object], /) -> dict[Drug, Explanation]: ...
    @overload
    async def explain(self, /, **fields: Unpack[ProfileFields]) -> dict[Drug, Explanation]: ...
    async def explain(
        self, profile: Profile | Mapping[str, object] | None = None, /, **fields: object
    ) -> dict[Drug, Explanation]:
        """Explain the prediction for one person; see `Client.explain`."""
        explained = calls.as_explained(calls.as_profile(profile, fields))
        return await self._bound.call(calls.explanations(self._transport.predict(explained)))

    async def predict_batch(self, profiles: Iterable[Profile | Mapping[str, object]]) -> list[Prediction]:
        """Return the predictions for 1 to 1000 people, in their order."""
        return await self._bound.call(self._transport.predict_batch(calls.as_batch(profiles)))

    @overload
    def stream(
        self,
        chunks: IntoDataFrameT | Iterable[IntoDataFrameT] | AsyncIterable[IntoDataFrameT],
        *,
        drugs: Iterable[Drug] | None = None,
        window: Window = "decade",
        scale: Scale = "standardized",
        include: Iterable[ColumnAddition] = (),
    ) -> AsyncGenerator[IntoDataFrameT, None]: ...
    @overload
    def stream(
        self,
        chunks: Iterable[ArrayLike] | AsyncIterable[ArrayLike],
        *,
        drugs: Iterable[Drug] | None = None,
        window: Window = "decade",
        scale: Scale = "standardized",
        include: Iterable[ColumnAddition] = (),
    ) -> AsyncGenerator[NDArray[np.float64], None]: ...
    def stream(
        self,
        chunks: Any,
        *,
        drugs: Iterable[Drug] | None = None,
        window: Window = "decade",
        scale: Scale = "standardized",
        include: Iterable[ColumnAddition] = (),
    ) -> AsyncGenerator[Any, None]:
        """Yield the probabilities for any number of people, chunk by chunk; see `Client.stream`.

        Close a stream that is not read to its end, for example with `contextlib.aclosing`.
        """
        with needs("stream"):
            from drugpred.client import arrays

        options = calls.as_stream_options(drugs, window, include)
        return arrays.answers(lambda rows: self._bound.stream(rows, options), chunks, options.columns(), scale)

    async def model(self) -> Model:
        """Return the description of the served model."""
        return await self._bound.call(self._transport.model())

    async def drift(self) -> Drift:
        """Measure how far the profiles have moved from those trained on, over HTTP."""
        return await self._bound.call(self._transport.drift())

    async def feedback(self, prediction_id: str, outcomes: Mapping[Drug, bool]) -> int:
        """Report the outcomes of a prediction, over HTTP; see `Client.feedback`."""
        return await self._bound.call(self._transport.feedback(calls.as_feedback(prediction_id, outcomes)))

    async def health(self) -> bool:
        """Return whether the service answers predictions now, in a single attempt."""
        return await self._bound.is_ready()

    async def close(self) -> None:
        """Close all connections."""
        await self._bound.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()


def _transport(url: str) -> Callable[..., Transport]:
    """Return the class of transport for a URL, with only the imports it needs."""
    match urlsplit(url).scheme:
        case "http" | "https":
            with needs("client"):
                from drugpred.client.http_transport import HttpTransport

            return HttpTransport
        case "grpc" | "grpcs":
            from drugpred.client.grpc_transport import GrpcTransport

            return GrpcTransport
        case _:
            raise ConfigurationError("expected a URL that begins with http://, https://, grpc:// or grpcs://")
