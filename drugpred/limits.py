"""All limits of requests, and of the work that a worker holds at once."""

from __future__ import annotations

from typing import Final

# Both transports

REQUEST_TIMEOUT: Final = 10.0  # seconds for a request to arrive, or for the first one of a connection to start
WRITE_TIMEOUT: Final = 30.0  # seconds for a client to read an answer

# Requests

MAX_PROFILES: Final = 1000  # profiles of a batch
MAX_EXPLANATIONS: Final = 100  # profiles of a batch with an explanation: they take a second
MAX_ROWS: Final = 10_000  # people of a call

# Capacity of a worker

MAX_BODY_BYTES: Final = 16 * 2**20  # of all requests that are being received or answered
MAX_BODY_BYTES_EACH: Final = MAX_BODY_BYTES // 2  # of one caller
MAX_WAITING_PROFILES: Final = 20_000  # profiles that wait for a batch: they take a second, and 50 MB
MAX_EXPLAINING: Final = 64  # requests with explanations; a worker computes a hundred a second
MAX_EXPLAINING_EACH: Final = MAX_EXPLAINING // 4  # of one caller
MAX_UNREAD_BYTES: Final = 32 * 2**20  # bytes of answers that clients have not read; the longest answer has 15 MB
LARGE_REQUEST_BYTES: Final = 16 * 1024  # bytes from which a request takes turns: some 50 profiles
SLICE_PROFILES: Final = 100  # profiles answered in one turn, in some 10 ms
SLICE_ROWS: Final = 1000  # people in columns answered in one turn

# HTTP

MAX_HTTP_CONNECTIONS: Final = 1000  # of each worker
MAX_HEAD_BYTES: Final = 32 * 1024  # of the request line and headers

MAX_REQUEST_BYTES: Final = 5 * 2**20
"""Bytes of a whole request. More than the longest accepted body: the rest of a longer one is not received."""

MAX_PIPELINED: Final = 16  # requests of a connection that wait for an earlier answer

HTTP_IDLE_TIMEOUT: Final = 75
"""Seconds between requests of a connection: proxies close theirs after 60 s, and should be the ones to close."""

# gRPC

MAX_GRPC_CONNECTIONS: Final = 2000  # of each worker
SHUTDOWN_GRACE: Final = 20.0  # seconds for calls to end at shutdown
MAX_CALLS: Final = 64  # calls that need a key, each of which may hold the longest message or answer
MAX_CALLS_EACH: Final = MAX_CALLS // 2  # of one caller

MAX_OPEN_CALLS: Final = 100
"""Calls in progress of each method of health and reflection, whose messages are short."""

MAX_UNREAD_MESSAGE_BYTES: Final = 32 * 2**20
"""Bytes of answers that are being sent; each is held twice, by Python and by grpc."""

STREAM_IDLE_TIMEOUT: Final = 300.0  # seconds without a message after which a stream ends

MAX_ARRIVING_CALLS: Final = 16
"""Calls that wait for a message of any length: those without a key, and those of grpc_unary's thread."""

MAX_LEAVING_CALLS: Final = 1000  # calls whose answer, of at most 5 kB, is being sent
