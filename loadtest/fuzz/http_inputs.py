"""Bad HTTP requests with valid framing."""

from __future__ import annotations

import gzip
import zlib
from functools import cache, partial
from typing import TYPE_CHECKING, Final

from loadtest.fuzz import bodies
from loadtest.fuzz.inputs import MARK, Exchange, Family, Mode, mutate
from loadtest.harness.http1 import JSON, request

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

_PATHS: Final = tuple(bodies.VALID)
_HOST: Final = b"host: localhost\r\n"

_METHODS: Final = (
    *("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "LOCK", "REPORT", "SEARCH", "PURGE"),
    *("MKCOL", "COPY", "MOVE", "NOTIFY", "SUBSCRIBE", "LINK", "UNLINK", "MERGE", "BIND", "ACL", "SOURCE", "QUERY"),
)

_TARGETS: Final = (
    *("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/app/..%5c..%5cwindows"),
    *("//etc/passwd", "/%00", "/predict%00", "/predict/", "//predict", "/predict//", "/PREDICT", "/predict;a=b"),
    *("/predict#", "/%", "/%zz", "/predict?window=year", "/?a=" + "b" * 5000, "/" + "a" * 3000, "/" + "a/" * 1000),
    *("/%ff%fe", "/%u0041", "/\\..\\", "/docs.json/../predict", "/app/../service.py", "/static/../../service.py"),
    *("/.env", "/.git/config", "/admin", "/debug", "/v2/models/", "/v2/models/x", "/v2/models//infer"),
    *("/v2/models/x/infer", "/v2/models/%2e%2e/ready", "/v2/repository/index", f"/v2/models/{MARK}"),
    *(f"/v2/models/drug_consumption/versions/{MARK}/infer", f"/{MARK}", f"/predict/{MARK}?{MARK}={MARK}"),
    *("/schema.json", "/metrics/", "/metrics?name[]=x", "/health?x", "/model/../model", "/feedback/", "*", "/call"),
    "/__x__",
)

_TYPES: Final = (
    *("", "text/plain", "text/html", "application/xml", "application/x-www-form-urlencoded"),
    *("application/octet-stream", "application/vnd.bentoml+pickle", "application/vnd.bentoml.stream+pickle"),
    *("application/pickle", "image/png", "multipart/form-data", "multipart/form-data; boundary=x"),
    *("multipart/form-data; boundary=" + "x" * 500, "a", "/", "application/json; charset=utf-16"),
    *("application/json; charset=" + MARK, "APPLICATION/JSON", "application/grpc"),
    *("application/vnd.apache.arrow.stream", "application/msgpack", "application/cbor", "application/yaml", ";;;"),
    "*/*",
)

_PACKED: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": partial(gzip.compress, mtime=0),
    "deflate": zlib.compress,
}
# Unpickling would run this; it must not happen.
_PICKLE: Final = b"cos\nsystem\n(S'echo " + MARK.encode() + b" >&2'\ntR."
_FORM: Final = b'--x\r\ncontent-disposition: form-data; name="profile"; filename="/etc/passwd"\r\n\r\n%s\r\n--x--\r\n'


def with_headers(data: bytes, fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return requests with additional header lines, after the host."""
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    return data.replace(_HOST, _HOST + lines)


def _posting(
    body: Callable[[random.Random, str], bytes], mode: Mode = Mode.ANSWER
) -> Callable[[random.Random], Exchange]:
    def make(draw: random.Random) -> Exchange:
        path = draw.choice(_PATHS)
        return Exchange(request("POST", path, body(draw, path)), mode)

    return make


def _mutated(draw: random.Random, path: str) -> bytes:
    return mutate(draw, bodies.VALID[path])


def _methods(draw: random.Random) -> Exchange:
    target = draw.choice(
        (*_PATHS, "/", "/health", "/model", "/drift", "/docs.json", "/livez", "/readyz", "/v2", "/metrics")
    )
    method = draw.choice(_METHODS)
    if method in {"GET", "HEAD"} and target not in _PATHS:
        method = "POST"
    body = draw.choice((b"", bodies.VALID[bodies.PREDICT]))
    return Exchange(request(method, target, body))


def _paths(draw: random.Random) -> Exchange:
    target = draw.choice(_TARGETS)
    if draw.random() < 0.3:
        target += draw.choice(("/", "%2f", "..", "?", "%00", "%0d%0a", MARK, "%7f", "a" * 200))
    method = draw.choice(("GET", "POST", "HEAD"))
    return Exchange(request(method, target, bodies.VALID[bodies.PREDICT] if method == "POST" else b""))


def _types(draw: random.Random) -> Exchange:
    path = draw.choice(_PATHS)
    valid = bodies.VALID[path]
    body = draw.choice((valid, _FORM % valid, _PICKLE, gzip.compress(valid, 1, mtime=0), zlib.compress(valid), b""))
    headers = [("content-type", draw.choice(_TYPES))]
    if draw.random() < 0.5:
        codings = ("gzip", "deflate", "br", "zstd", "identity", "gzip, gzip", MARK)
        headers.append(("content-encoding", draw.choice(codings)))
    if draw.random() < 0.3:
        headers += draw.choice(
            (
                [("payload-container", "NdarrayContainer"), ("payload-meta", '{"format": "pickle5"}')],
                [("accept", "application/vnd.bentoml+pickle")],
                [("bentoml-name", MARK), ("yatai-bento-deployment-name", MARK), ("runner-name", MARK)],
                [("batch-size", "9999999999"), ("args-number", "-1")],
            )
        )
    return Exchange(request("POST", path, body, headers))


def _headers(draw: random.Random) -> Exchange:
    path = draw.choice(_PATHS)
    headers = [JSON]
    match draw.randrange(6):
        case 0:
            headers += [(f"x-{i}", MARK) for i in range(draw.choice((50, 99, 101, 1000, 5000)))]
        case 1:
            headers.append(("x-long", draw.choice(("a", MARK)) * draw.choice((1000, 8000, 40_000, 200_000))))
        case 2:
            headers += [("x-" + "n" * draw.choice((100, 10_000, 70_000)), "1")]
        case 3:
            headers += [
                ("authorization", f"Bearer {MARK}"),
                ("x-api-key", draw.choice(("", MARK, "\u00e9", "a" * 5000))),
            ]
        case 4:
            headers.append(("cookie", "; ".join(f"c{i}={MARK}" for i in range(draw.choice((10, 1000))))))
        case _:
            names = (
                *("x-forwarded-for", "x-forwarded-host", "forwarded", "origin", "range", "if-none-match"),
                "traceparent",
            )
            headers += [(name, draw.choice((MARK, "", "\u00ff", "a" * 3000, "127.0.0.1"))) for name in names]
    return Exchange(request("POST", path, bodies.VALID[path], headers), Mode.END)


def _feedback(draw: random.Random) -> Exchange:
    return Exchange(request("POST", bodies.FEEDBACK, bodies.values(draw, bodies.FEEDBACK)))


def _tensors(draw: random.Random) -> Exchange:
    return Exchange(request("POST", bodies.INFER, bodies.values(draw, bodies.INFER)))


def _codings(draw: random.Random) -> Exchange:
    """Return a compressed body, or one that only claims to be; some grow by orders of magnitude."""
    path = draw.choice(_PATHS)
    coding = draw.choice(tuple(_PACKED))
    match draw.randrange(5):
        case 0:
            body = _PACKED[coding](bodies.VALID[path])
        case 1:
            body = _bomb(coding, draw.choice((70_000, 5_000_000, 50_000_000)))
        case 2:
            body = mutate(draw, _PACKED[coding](bodies.VALID[path]))
        case 3:
            body = _PACKED[coding](bodies.VALID[path]) * 2
        case _:
            body = _PACKED[draw.choice(tuple(_PACKED))](_PACKED[coding](bodies.VALID[path]))
    return Exchange(request("POST", path, body, (JSON, ("content-encoding", coding))), Mode.END)


@cache
def _bomb(coding: str, size: int) -> bytes:
    return _PACKED[coding](b" " * size)


def _marks(draw: random.Random, path: str) -> bytes:
    text = bodies.VALID[path].decode()
    mark = draw.choice((b"\xef\xbb\xbf", b"\xef\xbb\xbf" * 2, b"\xef\xbb", b"\xff\xfe", b"\xfe\xff", b""))
    return mark + text.encode(draw.choice(("utf-8", "utf-8", "utf-16-le", "utf-16-be", "utf-32", "utf-7")))


def _binary(draw: random.Random) -> Exchange:
    body, length = bodies.binary(draw)
    headers = [("content-type", "application/octet-stream"), ("inference-header-content-length", length)]
    return Exchange(request("POST", bodies.INFER, body, headers))


FAMILIES: Final = (
    Family("JSON, bytes altered", 26, _posting(_mutated)),
    Family("JSON, wrong values", 20, _posting(bodies.values)),
    Family("JSON, deep", 0.6, _posting(bodies.nested, Mode.END)),
    Family("JSON, large", 0.2, _posting(bodies.large, Mode.END), alone=True),
    Family("encodings", 4, _posting(bodies.encoded)),
    Family("content types", 4, _types),
    Family("methods", 3, _methods),
    Family("paths", 4, _paths),
    Family("headers", 1, _headers),
    Family("feedback tokens", 6, _feedback),
    Family("V2 tensors", 5, _tensors),
    Family("V2 binary", 4, _binary),
    Family("content codings", 2, _codings),
    Family("byte order marks", 1, _posting(_marks)),
)
"""HTTP inputs with valid framing."""
