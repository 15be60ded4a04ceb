"""All limits that callers meet, of requests and of what a worker holds at once."""

from __future__ import annotations

from typing import Final

# Both transports

REQUEST_TIMEOUT: Final = 10.0  # seconds within which a request arrives, or the first one of a connection begins to
WRITE_TIMEOUT: Final = 30.0  # seconds for which a client may leave an answer untaken

# Requests

MAX_PROFILES: Final = 1000  # the most profiles of one batch
MAX_EXPLANATIONS: Final = 100  # the most of them that may include an explanation: they take a second
MAX_ROWS: Final = 10_000  # the most people of one call

# What a worker holds

MAX_BODY_BYTES: Final = 16 * 2**20  # of all bodies that a worker has taken and not answered
MAX_BODY_BYTES_EACH: Final = MAX_BODY_BYTES // 2  # those of one caller
MAX_WAITING_PROFILES: Final = 20_000  # profiles that wait for their batch: they take a second, and 50 MB
MAX_EXPLAINING: Final = 64  # requests with explanations, of which a worker makes a hundred a second
MAX_EXPLAINING_EACH: Final = MAX_EXPLAINING // 4  # those of one caller
MAX_UNREAD_BYTES: Final = 32 * 2**20  # bytes of answers that clients do not take. The longest answer has 6 MB.
LARGE_REQUEST_BYTES: Final = 16 * 1024  # bytes of a request from which on it takes turns: some 50 profiles
SLICE_PROFILES: Final = 100  # profiles that are answered before others have their turn, in some 10 ms
SLICE_ROWS: Final = 1000  # the same of people as columns

# HTTP

MAX_HTTP_CONNECTIONS: Final = 1000  # of a worker
MAX_HEAD_BYTES: Final = 32 * 1024  # of a request line and headers

MAX_REQUEST_BYTES: Final = 5 * 2**20
"""Of a request in all. Over the longest body that is taken: the end of a longer one is not waited for."""

MAX_PIPELINED: Final = 16  # requests of a connection that wait for the answer to an earlier one

HTTP_IDLE_TIMEOUT: Final = 75
"""For which a connection is kept between requests: proxies keep theirs for 60 and should be the ones to end it."""

# gRPC

MAX_GRPC_CONNECTIONS: Final = 2000  # of a worker
SHUTDOWN_GRACE: Final = 20.0  # seconds that calls may take to end, once no more are taken
MAX_CALLS: Final = 64  # that need a key, each of which may hold the longest message or answer
MAX_CALLS_EACH: Final = MAX_CALLS // 2  # those of one caller

MAX_OPEN_CALLS: Final = 100
"""In progress at once of each method of health and reflection, whose messages and answers are short."""

MAX_UNREAD_MESSAGE_BYTES: Final = 32 * 2**20
"""Of answers that are being taken; each is held twice, by Python and by grpc."""

STREAM_IDLE_TIMEOUT: Final = 300.0  # after which a stream that says nothing is ended

MAX_ARRIVING_CALLS: Final = 16
"""Calls that wait for their message, which may be the longest: those without a key, and those of the unary thread."""

MAX_LEAVING_CALLS: Final = 1000  # calls whose answer, of 5 kB at most, is being taken
