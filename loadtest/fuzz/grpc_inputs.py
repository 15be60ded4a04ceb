"""Bad gRPC calls."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any, Final

from drugpred.codebook import CATEGORIES, SCORES
from drugpred.model_store import NAME
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.inference import grpc_service_pb2 as v2
from drugpred.schemas import EXAMPLE
from loadtest.fuzz.frames import partial_call, varint
from loadtest.fuzz.inputs import MARK, Call, Exchange, Family, Mode, Port, mutate
from loadtest.harness.payloads import PREDICT, SERVICE

if TYPE_CHECKING:
    import random

_BATCH: Final = f"{SERVICE}/PredictBatch"
_STREAM: Final = f"{SERVICE}/PredictStream"
_MODEL: Final = f"{SERVICE}/GetModel"
_INFER: Final = "/inference.GRPCInferenceService/ModelInfer"
_METADATA: Final = "/inference.GRPCInferenceService/ModelMetadata"
_HEALTH: Final = "/grpc.health.v1.Health/Check"
_REFLECTION: Final = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

_CATEGORIES: Final = tuple(category.name for category in CATEGORIES)
_SCORES: Final = tuple(score.name for score in SCORES)
_PERSON: Final[dict[str, Any]] = {
    "band": 2,
    **dict.fromkeys(_CATEGORIES[1:], 1),
    **{name: value for name, value in EXAMPLE.items() if name in _SCORES},
}

_NUMBERS: Final = (math.nan, math.inf, -math.inf, 1e308, -1e-320, 0.0, -0.0, 99.0, 12.5)
_ENUMS: Final = (-1, 0, 7, 19, 100, 2**31 - 1, -(2**31))


def _bytes(message: Any) -> bytes:  # noqa: ANN401 - any protobuf message
    return bytes(message.SerializeToString(deterministic=True))


def _profile(**changes: object) -> pb.Profile:
    return pb.Profile(**{**_PERSON, **changes})


def _chunk(n: int = 3) -> pb.PredictStreamRequest:
    columns: dict[str, Any] = {name: [1] * n for name in _CATEGORIES} | {name: [0.0] * n for name in _SCORES}
    return pb.PredictStreamRequest(**columns)


def _infer() -> v2.ModelInferRequest:
    asked = v2.ModelInferRequest(model_name=NAME)
    for name, value in {**EXAMPLE, "age": "25-34"}.items():
        tensor = asked.inputs.add(name=name, shape=[1])
        if isinstance(value, str):
            tensor.datatype = "BYTES"
            tensor.contents.bytes_contents.append(value.encode())
        else:
            tensor.datatype = "FP64"
            tensor.contents.fp64_contents.append(value)
    return asked


VALID: Final[dict[str, bytes]] = {
    PREDICT: _bytes(pb.PredictRequest(profile=_profile(drugs=[6, 14], window=3, include=[1]))),
    _BATCH: _bytes(pb.PredictBatchRequest(profiles=[_profile()] * 3)),
    _STREAM: _bytes(_chunk()),
    _INFER: _bytes(_infer()),
}
"""A well-formed message for each method."""

_METHODS: Final = (
    *("/", "//", "/x", "/drugpred.v1.DrugPrediction/", "/drugpred.v1.DrugPrediction/predict"),
    *("/drugpred.v1.X/Predict", "/drugpred.v1.DrugPrediction/Predict/", "/inference.GRPCInferenceService/ModelLoad"),
    *("/grpc.health.v1.Health/Kill", "/inference.GRPCInferenceService/RepositoryIndex", "/" + "a" * 2000),
    *(f"/{MARK}/{MARK}", "/../Predict", "/%00/Predict"),
)


def _call(method: str, message: bytes, **choices: Any) -> Call:  # noqa: ANN401 - fields of Call
    return Call(method, [message], streaming=method in {_STREAM, _REFLECTION}, **choices)


def _random(draw: random.Random) -> Call:
    return _call(
        draw.choice((*VALID, _MODEL, _METADATA, _HEALTH)), draw.randbytes(draw.choice((1, 2, 5, 20, 200, 5000)))
    )


def _mutated(draw: random.Random) -> Call:
    method = draw.choice(tuple(VALID))
    return _call(method, mutate(draw, VALID[method]))


def _on_the_wire(draw: random.Random) -> Call:
    """Return fields with wrong wire types or lengths, in groups, or nested to any depth."""
    method = draw.choice(tuple(VALID))
    message = VALID[method]
    field = draw.choice((0, 1, 2, 3, 8, 15, 100, 536_870_911))
    match draw.randrange(5):
        case 0:
            message += varint(field << 3 | draw.randrange(8)) + draw.randbytes(draw.randrange(20))
        case 1:
            message += varint(field << 3 | 2) + varint(draw.choice((2**31 - 1, 2**32, 2**63, 2**64 - 1, 100)))
        case 2:
            message += varint(field << 3 | 3) * draw.choice((1, 99, 101, 10_000)) + varint(field << 3 | 4)
        case 3:
            message += b"\xff" * draw.choice((10, 11, 100))
        case _:
            for _ in range(draw.choice((10, 99, 101, 300))):
                message = varint(field << 3 | 2) + varint(len(message)) + message
    return _call(method, message)


def _values(draw: random.Random) -> Call:
    number, enum = draw.choice(_NUMBERS), draw.choice(_ENUMS)
    score, category = draw.choice(_SCORES), draw.choice(_CATEGORIES[1:])
    odd: dict[str, Any] = draw.choice(
        (
            *({score: number}, {category: enum}, {"band": enum}),
            {"band": None, "years": draw.choice((0, 17, 121, 2**32 - 1))},
            {name: draw.choice((None, 0)) for name in draw.sample((*_SCORES, *_CATEGORIES[1:]), 3)},
            {"drugs": [enum] * draw.choice((1, 100)), "window": enum},
            {"include": [enum] * 3, "scale": enum, score: number},
        )
    )
    profile = _profile(**odd)
    match draw.randrange(4):
        case 0:
            return _call(PREDICT, _bytes(pb.PredictRequest(profile=profile)))
        case 1:
            profiles = [_profile()] * draw.randrange(3) + [profile] * draw.choice((0, 1, 3, 1001))
            return _call(_BATCH, _bytes(pb.PredictBatchRequest(profiles=profiles)))
        case 2:
            chunk = _chunk(draw.choice((0, 1, 3, 10_001)))
            chunk.chunk = draw.choice((0, 2**63 - 1))
            getattr(chunk, score).extend([number] * draw.randrange(3))
            getattr(chunk, category).extend([enum] * draw.randrange(3))
            chunk.drugs.append(enum)
            return _call(_STREAM, _bytes(chunk))
        case _:
            return _call(_INFER, _bytes(_tensors(draw)))


def _tensors(draw: random.Random) -> v2.ModelInferRequest:
    asked = _infer()
    tensor = draw.choice(asked.inputs)
    match draw.randrange(8):
        case 0:
            tensor.shape[:] = draw.choice(([], [-1], [0], [2], [1, 1, 1], [2**62, 4], [1] * 1000))
        case 1:
            tensor.datatype = draw.choice(("", "BYTES", "FP64", "FP32", "FP16", "INT64", "BOOL", MARK))
        case 2:
            tensor.name = draw.choice(("", "age", MARK))
        case 3:
            tensor.contents.fp64_contents.append(draw.choice(_NUMBERS))
            tensor.contents.bytes_contents.append(draw.choice((b"", b"\xff", MARK.encode(), b"x" * 10_000)))
        case 4:
            name = draw.choice(("window", "scale", "binary_data_size", MARK))
            draw.choice((asked, tensor)).parameters[name].string_param = draw.choice(("", "raw", MARK))
        case 5:
            asked.model_name, asked.model_version = draw.choice((("", ""), (MARK, ""), (NAME, MARK)))
        case 6:
            for name in draw.sample(("lsd", "lsd", "", MARK), 2):
                asked.outputs.add(name=name).parameters["binary_data"].int64_param = draw.choice((0, 1, -1))
        case _:
            _in_raw_form(draw, asked)
    return asked


def _in_raw_form(draw: random.Random, asked: v2.ModelInferRequest) -> None:
    label = struct.pack("<I", 6) + b"Female"
    elements = (b"", b"\xff" * 8, struct.pack("<I", 2**32 - 1), label, bytes(8), MARK.encode())
    asked.raw_input_contents.extend(draw.choices(elements, k=draw.choice((1, 11, 12, 12, 13))))
    if draw.random() < 0.7:
        for tensor in asked.inputs:
            tensor.ClearField("contents")


def _large(draw: random.Random) -> Call:
    n = draw.choice((10_000, 500_000, 2_000_000))
    enum = draw.choice(_ENUMS)
    match draw.randrange(5):
        case 0:
            message = _bytes(pb.PredictRequest(profile=_profile(drugs=[6] * n)))
        case 1:
            message = _bytes(pb.PredictRequest(profile=_profile(include=[min(abs(enum), 100)] * n)))
        case 2:
            message = _bytes(pb.PredictBatchRequest(profiles=[pb.Profile()] * min(n, 500_000)))
            return _call(_BATCH, message)
        case 3:
            asked = _infer()
            asked.inputs[0].shape.extend([1] * n)
            return _call(_INFER, _bytes(asked))
        case _:
            message = bytes(draw.choice((4 * 2**20 - 100, 4 * 2**20 + 1, 6_000_000)))
    return _call(PREDICT, message)


def _unknown(draw: random.Random) -> Call:
    return _call(draw.choice(_METHODS), draw.choice((b"", VALID[PREDICT], MARK.encode())))


def _metadata(draw: random.Random) -> Call:
    value = draw.choice(("", MARK, "a" * 1000, "a" * 7000, "a" * 20_000, "~" * 100))
    name = draw.choice(("authorization", "x-api-key", "x-" + "n" * 100, "x", "grpc-tags", "user-agent", "traceparent"))
    metadata: list[tuple[str, str | bytes]] = [(name, value)] * draw.choice((1, 1, 10, 200))
    metadata.append(("x-bin", draw.randbytes(20)))
    method = draw.choice(tuple(VALID))
    return _call(method, VALID[method], metadata=metadata)


def _cancelled(draw: random.Random) -> Call:
    method = draw.choice((PREDICT, _BATCH, _STREAM, _INFER, _HEALTH))
    if draw.random() < 0.3:
        return _call(method, VALID.get(method, b""), timeout=draw.choice((1e-6, 1e-4, 1e-3)))
    explained = _bytes(pb.PredictBatchRequest(profiles=[_profile(include=[2])] * draw.choice((1, 5))))
    message = explained if method == _BATCH else VALID.get(method, b"")
    return _call(method, message, cancel_after=draw.choice((0.0, 0.0005, 0.002, 0.01)))


def _streams(draw: random.Random) -> Call:
    good = VALID[_STREAM]
    match draw.randrange(6):
        case 0:
            messages = [b""] * draw.choice((1, 100, 1000))
        case 1:
            messages = [good] * draw.choice((10, 100)) + [draw.choice((b"", draw.randbytes(30), mutate(draw, good)))]
        case 2:
            messages = []
        case 3:  # a stream that its client never ends
            return Call(_STREAM, [good] * 200, streaming=True, cancel_after=0.05)
        case 4:  # several messages, or none, for a unary method
            return Call(
                draw.choice((PREDICT, _BATCH, _INFER)), [VALID[PREDICT]] * draw.choice((0, 2, 5)), streaming=True
            )
        case _:
            messages = [_bytes(_chunk(n)) for n in draw.choices((0, 1, 10_000, 10_001), k=3)]
    return Call(_STREAM, messages, streaming=True)


def _reflection(draw: random.Random) -> Call:
    texts = (MARK, "", "drugpred.v1.DrugPrediction", "../../etc/passwd", "x" * 5000, "google/protobuf/any.proto")
    text = draw.choice(texts).encode()
    field = varint(draw.choice((1, 3, 4, 5, 6, 7, 9)) << 3 | 2)
    message = draw.choice((field + varint(len(text)) + text, draw.randbytes(20), b""))
    return _call(_REFLECTION, message * draw.choice((1, 1, 3)))


_KEYLESS: Final = (
    _HEALTH,
    *(f"/inference.GRPCInferenceService/{name}" for name in ("ServerLive", "ServerReady", "ModelReady")),
)


def _silent(draw: random.Random) -> Call:
    # Calls without a message, of methods with and without a key.
    method = draw.choice((*VALID, _MODEL, _METADATA, _REFLECTION, *_KEYLESS))
    return Call(method, [], streaming=True, timeout=30.0, silent=True)


def _half(draw: random.Random) -> Exchange:
    # Messages that are never completed.
    method = draw.choice((*VALID, _MODEL, *_KEYLESS))
    message = VALID.get(method, b"") + bytes(draw.choice((0, 1, 60_000)))
    length = len(message) + draw.choice((1, 1000, 2_000_000))
    return Exchange(partial_call(method.encode(), message[:60_000], length), Mode.SLOW, keep=False, port=Port.GRPC)


def _submessages(draw: random.Random) -> Call:
    # A million empty submessages, or elements of one byte, in 2 MB.
    method, field = draw.choice(
        ((_BATCH, 1), (PREDICT, 1), (_INFER, 4), (_INFER, 5), (_INFER, 6), (_INFER, 7), (_STREAM, 3), (_STREAM, 15))
    )
    empty = varint(field << 3 | 2) + b"\0"
    match draw.randrange(3):
        case 0:
            message = empty * 1_000_000
        case 1:
            message = varint(field << 3 | 2) + varint(2_000_000) + bytes([1]) * 2_000_000
        case _:  # one level deeper
            inner = varint(draw.choice((2, 4, 5, 15)) << 3 | 2) + b"\0"
            message = varint(field << 3 | 2) + varint(2_000_000) + inner * 1_000_000
    return _call(method, message)


def _unread(draw: random.Random) -> Call:
    # Streams whose answers are not read.
    chunk = _bytes(_chunk(draw.choice((1, 1000, 10_000))))
    return Call(_STREAM, [chunk] * 20, streaming=True, silent=True, unread=True, cancel_after=0.5)


FAMILIES: Final = (
    Family("gRPC, random bytes", 4, _random),
    Family("gRPC, bytes altered", 7, _mutated),
    Family("gRPC, wire types", 3, _on_the_wire),
    Family("gRPC, wrong values", 6, _values),
    Family("gRPC, large", 0.2, _large, alone=True),
    Family("gRPC, unknown methods", 1, _unknown),
    Family("gRPC, metadata", 1, _metadata),
    Family("gRPC, cancelled or late", 1, _cancelled),
    Family("gRPC, streams", 0.5, _streams),
    Family("gRPC, reflection", 0.5, _reflection),
    Family("gRPC, silent", 0.05, _silent),
    Family("gRPC, half messages", 0.05, _half),
    Family("gRPC, submessages", 0.1, _submessages, alone=True),
    Family("gRPC, answers not taken", 0.05, _unread),
)
"""Inputs for a gRPC client."""
