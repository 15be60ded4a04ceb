"""The transport over HTTP, with httpx."""

from __future__ import annotations

import ssl
import time
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError
from typing_extensions import override

from drugpred import codebook
from drugpred.client.blocking import resolve
from drugpred.client.calls import Call, Model, as_batch
from drugpred.client.transport import Transport
from drugpred.errors import (
    DeadlineExceededError,
    Detail,
    InvalidRequestError,
    PermissionDeniedError,
    RateLimitedError,
    ServiceError,
    UnavailableError,
)
from drugpred.limits import MAX_PROFILES
from drugpred.schemas import Accepted, Drift, Error, Prediction

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from drugpred.client.calls import StreamOptions
    from drugpred.client.retries import RetryPolicy
    from drugpred.schemas import Batch, Feedback, Profile

T = TypeVar("T")

_PREDICTIONS: Final = TypeAdapter(list[Prediction])


class HttpTransport(Transport):
    """Transport with httpx."""

    def __init__(self, url: str, policy: RetryPolicy, tls: ssl.SSLContext | None, key: str | None) -> None:
        super().__init__(policy)
        headers = {"content-type": "application/json"} | ({} if key is None else {"authorization": f"Bearer {key}"})
        make = httpx.Client if policy.blocking else httpx.AsyncClient
        # To read the certificates takes 40 ms, and http needs none: redirects are not followed.
        verify = tls or httpx.URL(url).scheme != "http"
        self._client = make(base_url=url, headers=headers, verify=verify)

    @override
    def predict(self, profile: Profile) -> Call[Prediction]:
        body = profile.model_dump_json(exclude_defaults=True)
        return Call("/predict", body.encode(), Prediction.model_validate_json)

    @override
    def predict_batch(self, batch: Batch) -> Call[list[Prediction]]:
        return _batch_call(batch, _PREDICTIONS.validate_json)

    @override
    def model(self) -> Call[Model]:
        return Call("/model", None, Model.of)

    @override
    def drift(self) -> Call[Drift]:
        return Call("/drift", None, Drift.model_validate_json)

    @override
    def feedback(self, feedback: Feedback) -> Call[int]:
        body = feedback.model_dump_json().encode()
        return Call("/feedback", body, lambda content: Accepted.model_validate_json(content).accepted)

    @override
    def ready(self) -> Call[bool]:
        return Call("/readyz", None, lambda _: True)

    async def _send(self, call: Call[object], timeout: float, request_id: str) -> bytes:
        method, headers = "GET" if call.request is None else "POST", {"x-request-id": request_id}
        with _translate_errors():
            response = self._client.request(method, call.name, content=call.request, headers=headers, timeout=timeout)
            return _content(await resolve(response))

    async def stream(
        self, chunks: AsyncIterable[NDArray[np.float64]], options: StreamOptions
    ) -> AsyncGenerator[NDArray[np.float64], None]:
        """Yield the probabilities of chunks, which are sent in parts one after another."""
        import numpy as np

        def lines(content: bytes) -> list[list[float]]:
            return [_line(answer, options) for answer in _PREDICTIONS.validate_json(content)]

        async for rows in chunks:
            tables = [await self.call(_batch_call(part, lines)) for part in _parts(rows, options)]
            yield np.array([line for table in tables for line in table])

    @override
    async def close(self) -> None:
        if isinstance(self._client, httpx.Client):
            self._client.close()
        else:
            await self._client.aclose()


def _parts(rows: NDArray[np.float64], options: StreamOptions) -> Iterator[Batch]:
    for start in range(0, len(rows), MAX_PROFILES):
        part = rows[start : start + MAX_PROFILES].tolist()
        yield as_batch({**codebook.describe(row), **options.model_dump()} for row in part)


def _batch_call(batch: Batch, parse: Callable[[bytes], T]) -> Call[T]:
    return Call("/predict_batch", batch.model_dump_json(exclude_defaults=True).encode(), parse)


def _line(answer: Prediction, options: StreamOptions) -> list[float]:
    by_drug = {risk["drug"]: risk for risk in answer.risks}
    line = []
    for risk in map(by_drug.__getitem__, options.drugs):
        line.append(risk["probability"])
        if "interval" in options.include:
            line += (risk["interval"]["low"], risk["interval"]["high"])
    if "support" in options.include:
        if answer.support is None:
            raise LookupError("support")
        line += (answer.support["similar"], answer.support["percentile"])
        line.append(codebook.SUPPORT_LEVELS.index(answer.support["level"]))
    return line


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Raise the project's errors in place of httpx's."""
    try:
        yield
    except httpx.TimeoutException:
        raise DeadlineExceededError("no answer in time") from None
    except (httpx.NetworkError, httpx.RemoteProtocolError, ssl.SSLError) as error:  # httpx passes some of TLS on
        raise UnavailableError(f"no connection: {error}") from None
    except httpx.HTTPError as error:
        raise ServiceError(f"the call failed: {type(error).__name__}") from None


def _content(response: httpx.Response) -> bytes:
    """Return a response's body, or raise the error of its status."""
    if response.status_code == HTTPStatus.OK:
        return response.content
    error = _error(response)
    error.request_id = response.headers.get("x-request-id")
    raise error


def _error(response: httpx.Response) -> ServiceError:
    message = f"the service answered {response.status_code} {response.reason_phrase}".rstrip()
    try:
        body = Error.model_validate_json(response.content)
    except ValidationError:
        body = Error(error=message, detail=[])
    else:
        if response.status_code != HTTPStatus.INTERNAL_SERVER_ERROR:  # its text may come from any exception
            message = f"{message}: {body.error}"
    match response.status_code:
        case HTTPStatus.BAD_REQUEST:
            detail = [Detail(tuple(fault.loc), fault.msg) for fault in body.detail]
            return InvalidRequestError(detail or [Detail((), body.error)])
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return PermissionDeniedError(message)
        case HTTPStatus.TOO_MANY_REQUESTS:
            return RateLimitedError(message, _retry_after(response))
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return UnavailableError(message, _retry_after(response))
        case HTTPStatus.GATEWAY_TIMEOUT:
            return DeadlineExceededError(message)
        case _:
            return ServiceError(message)


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of a Retry-After header, which may be a date."""
    value = response.headers.get("retry-after", "")
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
