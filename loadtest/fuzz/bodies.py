"""Bodies of HTTP requests: JSON that is broken, of wrong types, deep or large, and inconsistent tensors."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, Final

from drugpred.codebook import CATEGORIES, DRUGS
from drugpred.model_store import NAME
from drugpred.schemas import EXAMPLE, TOKEN_LENGTH
from loadtest.fuzz.inputs import MARK, mutate

if TYPE_CHECKING:
    import random

PREDICT: Final = "/predict"
BATCH: Final = "/predict_batch"
FEEDBACK: Final = "/feedback"
INFER: Final = f"/v2/models/{NAME}/infer"

_LABELS: Final = {category.name for category in CATEGORIES}
_TENSORS: Final[list[dict[str, Any]]] = [
    {"name": name, "datatype": "BYTES" if name in _LABELS else "FP64", "shape": [1], "data": [value]}
    for name, value in {**EXAMPLE, "age": "25-34"}.items()
]

_VALID: Final[dict[str, dict[str, Any]]] = {
    PREDICT: {
        **EXAMPLE,
        "drugs": ["cannabis", "lsd"],
        "window": "year",
        "include": ["windows"],
        "scale": "standardized",
    },
    BATCH: {"profiles": [EXAMPLE] * 3},
    FEEDBACK: {"prediction_id": "A" * TOKEN_LENGTH, "outcomes": {"cannabis": True, "lsd": False}},
    INFER: {"id": "1", "inputs": _TENSORS, "outputs": [{"name": "lsd"}], "parameters": {"window": "year"}},
}

VALID: Final = {path: json.dumps(body).encode() for path, body in _VALID.items()}
"""A well-formed body for each path; that of feedback has an invalid token."""

_RAW: Final = (
    *("null", "true", "false", "0", "-0", "-1", "1e999", "-1e999", "1e-999", "NaN", "Infinity", "-Infinity", "nan"),
    *("01", "1.", ".5", "+1", "0x10", "1_000", "9" * 400, "-" + "9" * 5000, "0." + "0" * 1000 + "1", "1e" + "9" * 40),
    *("18446744073709551616", "9223372036854775808", "-9223372036854775809", "17", "121", "25.5", "3.5e38"),
    *('""', '"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', '"\\x"', "'single'", '"\u202e"', '"\U0001f4a9"', '"a\nb"'),
    *("[]", "{}", "[[]]", "[null]", '{"": ""}', '{"__class__": "os.system"}', "[1, 2,]", "{1: 2}", "undefined", ""),
    *(f'"{MARK}"', f'"{MARK}\\n{MARK}"', f'["{MARK}"]', f'{{"{MARK}": "{MARK}"}}', f'"{MARK * 100}"'),
    *('"25-34"', '"decade"', '"cannabis"', '["cannabis", "cannabis"]', '["windows", 3]', '"raw"', '"1.24"'),
)
"""JSON texts of values, well-formed or not."""

_SHAPES: Final = (
    *("[]", "[0]", "[-1]", "[1, 1]", "[2, 7]", "[1, 1, 1]", "[10001]", "[9223372036854775808]", "[1.0]", "[[1]]"),
)
_DATATYPES: Final = ('"FP16"', '"INT64"', '"BOOL"', '"BYTES"', '"FP32"', '"fp64"', '""', "null", "64", f'"{MARK}"')


def values(draw: random.Random, path: str) -> bytes:
    """Return a body for a path, with some members missing, unknown, repeated or with other values."""
    body = {name: json.dumps(value) for name, value in _VALID[path].items()}
    if path == BATCH:
        body["profiles"] = f"[{', '.join(_wrong(draw, _texts(dict(EXAMPLE))) for _ in range(draw.randrange(4)))}]"
    if path == FEEDBACK:
        body["prediction_id"] = json.dumps(token(draw))
    if path == INFER:
        tensors = [_texts(tensor) for tensor in _TENSORS]
        tensor = draw.choice(tensors)
        tensor[draw.choice(("shape", "shape", "datatype", "data", "name"))] = draw.choice(
            (*_SHAPES, *_DATATYPES, *_RAW)
        )
        body["inputs"] = f"[{', '.join(map(_written, map(list, (one.items() for one in tensors))))}]"
        if draw.random() < 0.5:
            return _written(list(body.items())).encode("utf-8", "surrogatepass")
    if draw.random() < 0.05:
        return draw.choice(_RAW).encode("utf-8", "surrogatepass")
    return _wrong(draw, body).encode("utf-8", "surrogatepass")


def _texts(body: dict[str, Any]) -> dict[str, str]:
    return {name: json.dumps(value) for name, value in body.items()}


def _wrong(draw: random.Random, body: dict[str, str]) -> str:
    members = list(body.items())
    for _ in range(draw.choice((1, 1, 2, 5, 12))):
        at = draw.randrange(len(members) + 1)
        match draw.randrange(6):
            case 0 if at < len(members):
                del members[at]
            case 1:
                members.insert(
                    at, (draw.choice(("unknown", "", "__proto__", "\\u0000", "x" * 10_000)), draw.choice(_RAW))
                )
            case 2 if at < len(members):
                members.append((members[at][0], draw.choice(_RAW)))
            case _ if at < len(members):
                members[at] = (members[at][0], draw.choice(_RAW))
    return _written(members)


def _written(members: list[tuple[str, str]]) -> str:
    return "{" + ", ".join(f'"{name}": {value}' for name, value in members) + "}"


def nested(draw: random.Random, path: str) -> bytes:
    """Return JSON with up to 100,000 levels, closed or not."""
    depth = draw.choice((100, 199, 201, 255, 1000, 10_000, 100_000))
    opening, closing = draw.choice((("[", "]"), ('{"a":', "}"), ('[{"a":', "}]"), ('{"profiles":[', "]}")))
    text = opening * depth + draw.choice(("", "1", f'"{MARK}"')) + closing * draw.choice((0, depth, depth // 2))
    if draw.random() < 0.5:
        name = draw.choice(tuple(_VALID[path]))
        text = VALID[path].decode()[:-1] + f', "{name}": {text}}}'
    return text.encode()


def large(draw: random.Random, path: str) -> bytes:
    """Return JSON of up to 5 MB: lists of a million elements, long strings, many or long names."""
    element = draw.choice(("0", "null", '""', "{}", "[]", f'"{MARK}"', '"cannabis"'))
    match draw.randrange(6):
        case 0:
            text = "[" + ",".join([element] * draw.choice((1001, 100_000, 1_000_000))) + "]"
        case 1:
            text = '"' + draw.choice(("x", MARK, "\\u0041", "\\n")) * draw.choice((10_000, 400_000)) + '"'
        case 2:
            text = "{" + ",".join(f'"{i}":{element}' for i in range(draw.choice((1000, 100_000)))) + "}"
        case 3:
            text = "{" + ",".join(f'"{i:010000}":{element}' for i in range(draw.choice((1, 300)))) + "}"
        case 4:
            text = draw.choice("-123456789") + draw.choice("0123456789") * draw.choice((4301, 100_000, 1_000_000))
        case _:
            return VALID[path] + b" " * draw.choice((70_000, 4_000_000, 5_000_000)) + draw.choice((b"", b"}"))
    name = draw.choice((*(name for name in _VALID[path] if name != "id"), "unknown"))  # an id is copied to the answer
    where = draw.randrange(3)
    if where == 0:
        return text.encode()
    if where == 1 and path == BATCH:
        return f'{{"profiles": [{VALID[PREDICT].decode()[:-1]}, "{draw.choice(("drugs", "x"))}": {text}}}]}}'.encode()
    return (VALID[path].decode()[:-1] + f', "{name}": {text}}}').encode()


def encoded(draw: random.Random, path: str) -> bytes:
    """Return a body in another encoding than UTF-8, or in no valid encoding."""
    body = VALID[path]
    text = body.decode()
    match draw.randrange(8):
        case 0:
            return b""
        case 1:
            return draw.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\x00")) + body
        case 2:
            return text.encode(draw.choice(("utf-16", "utf-32", "utf-16-le", "utf-7", "cp037")))
        case 3:
            return body.replace(b"Female", b"F").replace(
                b"UK", draw.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5"))
            )
        case 4:
            return body + draw.choice((b"\x00", b"\xff", b" {}", b"\n[]", body))
        case 5:
            return draw.choice((b" ", b"\n", b"\t", b"\x0c", b"\xc2\xa0")) * draw.choice((1, 1000)) + body
        case 6:
            return f"window=year&age=25&gender={MARK}".encode()
        case _:
            return draw.randbytes(draw.choice((1, 10, 1000)))


def token(draw: random.Random) -> str:
    """Return an invalid prediction_id, nearly always in the valid form."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    length = draw.choice(
        (0, 1, TOKEN_LENGTH - 1, TOKEN_LENGTH, TOKEN_LENGTH, TOKEN_LENGTH, TOKEN_LENGTH, TOKEN_LENGTH + 1)
    )
    text = "".join(draw.choices(alphabet, k=length))
    at = draw.randrange(TOKEN_LENGTH)
    return draw.choice(
        (text, text, text, text[:at] + draw.choice(("=", "+", "\n", "\u0000", "\u0661", MARK)) + text[at + 1 :])
    )


def binary(draw: random.Random) -> tuple[bytes, str]:
    """Return a body with tensors after its JSON, and a header value for the JSON's length; rarely both are valid."""
    tensors, raw = [], b""
    n = draw.choice((1, 1, 2, 0, 10_001))
    for tensor in _TENSORS:
        of_labels = tensor["datatype"] == "BYTES"
        one = struct.pack("<I", len(tensor["data"][0])) + tensor["data"][0].encode() if of_labels else bytes(8)
        content = one * min(n, 2)
        if draw.random() < 0.1:
            content = draw.choice((mutate(draw, content), struct.pack("<I", 0xFFFFFFFF), b"\xff" * 8, MARK.encode()))
        size: object = len(content)
        if draw.random() < 0.05:
            size = draw.choice((-1, 0, 2**31, 2**63, 2**64, 1.5, "8", None, [], len(content) + 1))
        raw += content
        shape = [n] if draw.random() < 0.9 else draw.choice(([-1], [], [n, 1], [2**62, 2], [0], [1] * 1000))
        named = {name: tensor[name] for name in ("name", "datatype")}
        tensors.append({**named, "shape": shape, "parameters": {"binary_data_size": size}})
    if draw.random() < 0.1:
        tensors.append(draw.choice(tensors))
    asked = [
        {"name": drug, "parameters": {"binary_data": draw.choice((True, False))}} for drug in draw.sample(DRUGS, 2)
    ]
    content = json.dumps({"inputs": tensors, "outputs": asked}).encode()
    length = str(len(content))
    if draw.random() < 0.3:
        wrong = ("", "-1", "0", "+5", "1_0", "1e3", "9" * 20, "9" * 5000, str(len(content) + 1), "\u0661", " 7 ", MARK)
        length = draw.choice(wrong)
    return content + raw, length
