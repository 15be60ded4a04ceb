"""Requests that carry marks: for HTTP as bodies, for gRPC as messages."""

import base64
import json
import struct
from collections.abc import Iterator

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from drugpred.codebook import CATEGORIES, INPUTS
from drugpred.schemas import EXAMPLE
from tests.end_to_end.marks import IMPOSSIBLE, NUMBERS, WORD

PERSON = EXAMPLE | NUMBERS
"""Whom the service answers."""

LABELS = {category.name for category in CATEGORIES}
MARKED = [WORD, f" {WORD} ", IMPOSSIBLE, -IMPOSSIBLE, [WORD], {WORD: IMPOSSIBLE}, int(IMPOSSIBLE), f"25-34{WORD}"]
TOKEN = (WORD * 8)[:96]
"""Of the shape of a prediction_id."""


def _profiles() -> Iterator[dict[str, object]]:
    yield PERSON
    for change in (
        {"drugs": ["lsd", "crack"], "window": "day"},
        {"include": ["windows", "explanation"], "drugs": ["lsd"]},
        {"age": "25-34", "gender": "m"},
    ):
        yield PERSON | change
    for name in (*EXAMPLE, "drugs", "window", "include", "scale", "nscore", WORD):
        for value in MARKED:
            yield PERSON | {name: value}
    for name in ("drugs", "include"):
        yield PERSON | {name: ["windows", "lsd", WORD]}
    yield PERSON | {"scale": "raw"}
    yield {WORD: WORD}
    yield {"profile": PERSON}


def _tensors(person: dict[str, object]) -> list[dict[str, object]]:
    return [
        {"name": name, "datatype": "BYTES" if name in LABELS else "FP64", "shape": [2], "data": [person[name]] * 2}
        for name in INPUTS
    ]


def _inferences() -> Iterator[dict[str, object]]:
    person = PERSON | {"age": "25-34"}
    inputs = _tensors(person)
    yield {"inputs": inputs, "outputs": [{"name": "lsd"}], "parameters": {"window": "year"}}
    for i, value in enumerate((*MARKED, None)):
        yield {"inputs": _tensors(person | {INPUTS[i]: value})}
        yield {"inputs": _tensors(person | {INPUTS[-1 - i % 7]: value})}
    for key, value in (("name", WORD), ("datatype", WORD), ("shape", [WORD]), ("shape", [int(IMPOSSIBLE)]), (WORD, 1)):
        yield {"inputs": [inputs[0] | {key: value}, *inputs[1:]]}
    for extra in (
        {"outputs": [{"name": WORD}]},
        {"parameters": {WORD: WORD}},
        {"parameters": {"window": WORD}},
        {"parameters": {"content_type": WORD}},
        {"model_name": WORD},
        {WORD: WORD},
    ):
        yield {"inputs": inputs} | extra


def inference(drug: str) -> dict[str, object]:
    """Return a request of the Open Inference Protocol about two people of the same values."""
    return {"inputs": _tensors(PERSON | {"age": "25-34"}), "outputs": [{"name": drug}]}


def bodies() -> list[bytes]:
    """Return bodies of every endpoint, well-formed and not."""
    profiles = list(_profiles())
    contents: list[object] = [*profiles, *_inferences()]
    contents += [{"profiles": [PERSON, profile]} for profile in profiles]
    contents += [{"prediction_id": TOKEN, "outcomes": {"lsd": True}}, {"prediction_id": WORD, "outcomes": {WORD: True}}]
    contents += [{"prediction_id": IMPOSSIBLE, "outcomes": NUMBERS}, [PERSON], WORD, IMPOSSIBLE, [[[WORD]]]]
    texts = [json.dumps(content).encode() for content in contents]
    whole = json.dumps(PERSON).encode()
    texts += [whole[:end] for end in range(1, len(whole), 29)]
    texts += [whole + junk for junk in (b"\0", b"}", WORD.encode(), b"\xff")]
    texts += [f'{{"{WORD}": {value}}}'.encode() for value in ("NaN", "1e999", "7531904286" * 40, '"\\ud800')]
    texts += [WORD.encode("utf-16"), b"\xff\xfe" + WORD.encode(), b"[" * 2000 + WORD.encode()]
    return texts


def binary_inferences() -> list[tuple[bytes, int]]:
    """Return bodies with binary tensors, well-formed and not, and how much of each is said to be JSON."""
    found = []
    for datatype, code in (("FP64", "d"), ("FP32", "f")):
        inputs, raw = [], b""
        openness = struct.pack(f"<{code}", NUMBERS["openness"])
        for name in INPUTS:
            value = (PERSON | {"age": "25-34"})[name]
            if name in LABELS:
                part = b"".join(struct.pack("<I", len(value)) + value.encode() for _ in range(2))
            else:
                part = struct.pack(f"<2{code}", value, value)
            kind = "BYTES" if name in LABELS else datatype
            size = {"binary_data_size": len(part)}
            inputs.append({"name": name, "datatype": kind, "shape": [2], "parameters": size})
            raw += part
        text = json.dumps({"inputs": inputs, "outputs": [{"name": "lsd"}]}).encode()
        found += [(text + raw, len(text)), (text + raw[:-4], len(text)), (text + raw, len(text) + 8)]
        found += [(text + raw.replace(b"White", WORD[:5].encode()), len(text))]
        found += [(text + raw.replace(openness, b"\xff" * struct.calcsize(code)), 0)]
    return found


def fill(message: Message, depth: int = 0) -> Message:
    """Set every field of a message to a mark: words, numbers, and unknown enum numbers."""
    numbers = iter([*NUMBERS.values()] * 20)
    for one in message.DESCRIPTOR.fields:
        if one.type == FieldDescriptor.TYPE_MESSAGE:
            if one.message_type.GetOptions().map_entry or depth > 3:
                continue
            inner = getattr(message, one.name)
            for part in [inner.add(), inner.add()] if one.is_repeated else [inner]:
                fill(part, depth + 1)
            continue
        value: object
        if one.cpp_type in {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}:
            value = next(numbers)
        elif one.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            value = WORD.encode() if one.type == FieldDescriptor.TYPE_BYTES else WORD
        elif one.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            value = True
        elif one.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
            value = 1
        else:
            value = int(IMPOSSIBLE) % 2**31
        if one.is_repeated:
            getattr(message, one.name).extend([value, value])
        else:
            setattr(message, one.name, value)
    return message


def broken(message: bytes) -> list[bytes]:
    """Return bytes that are no message, or one with fields that nobody knows."""
    unknown = b"\xfa\x7f" + bytes([len(WORD)]) + WORD.encode()
    return [
        WORD.encode(),
        message[:-3],
        message[: len(message) // 2],
        message + unknown,
        message + b"\xff",
        base64.b64encode(message),
        np.array([*NUMBERS.values()]).tobytes(),
        b"",
    ]
