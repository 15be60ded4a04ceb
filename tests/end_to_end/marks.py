"""Values that mark a person's, and the search for them in all that a server wrote or answered."""

import base64
import struct
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np

from drugpred.codebook import SCORES

WORD = "QZX7531904286"
"""In place of labels, names, keys, queries, header values."""

NUMBERS = dict(
    zip(
        (score.name for score in SCORES),
        (0.31847362914, -0.58273640917, 1.24631873253, -0.30962584713, -0.14738205961, 0.53816294037, 0.77251936842),
        strict=True,
    )
)
"""Possible scores."""

IMPOSSIBLE = 7531904286.25


def _digits(written: str, n: int) -> bytes:
    """Return digits that every notation of a number has: those after the first, without the point."""
    _, *others = written.lstrip("-0.").partition("e")[0].replace(".", "")
    return "".join(others)[:n].encode()


def _in_base64(content: bytes) -> list[bytes]:
    """Return the part that every base64 of a content has, with any bytes before it."""
    found = []
    for shift, start in enumerate((0, 2, 3)):
        whole = (shift + len(content)) // 3 * 4
        encoded = base64.b64encode(bytes(shift) + content)[start:whole]
        found += [encoded, encoded.translate(bytes.maketrans(b"+/", b"-_"))]
    return found


def _forms(content: bytes) -> list[bytes]:
    """Return a content as it is, in hexadecimal and in base64."""
    return [content, content.hex().encode(), *_in_base64(content)]


def _needles() -> dict[bytes, str]:
    needles = {form: "the word" for word in (WORD, WORD.lower()) for form in _forms(word.encode())}
    needles[WORD.encode("utf-16-le")] = "the word"
    for name, number in [*NUMBERS.items(), ("impossible", IMPOSSIBLE)]:
        single = np.float32(number)
        for written in (number, float(single)):
            text = repr(written)
            needles[_digits(text, 9)] = f"{name}, as text"
            needles |= dict.fromkeys(_forms(text.encode())[1:], f"{name}, as text, encoded")
            for order in "<>":
                needles |= dict.fromkeys(_forms(struct.pack(f"{order}d", written)), f"{name}, as a double")
        for order in "<>":
            # Two of them, as two people have: four bytes are found anywhere by chance.
            needles |= dict.fromkeys(_forms(struct.pack(f"{order}2f", single, single)), f"{name}, as floats")
    return needles


def _rounded() -> dict[bytes, str]:
    """Return numbers as text of few digits, which are found by chance among many others."""
    written = {form.format(number): name for name, number in NUMBERS.items() for form in ("{:.8g}", "{:.11f}")}
    written |= {str(np.float32(number)): name for name, number in NUMBERS.items()}
    return {_digits(text, 7): f"{name}, as text, rounded" for text, name in written.items()}


_NEEDLES = _needles()
_ROUNDED = _rounded()


def marks_in(content: bytes, *, rounded: bool = True) -> list[str]:
    """Return the marks in a content, in any case; without rounded numbers if it has many numbers."""
    lowered = content.lower()
    needles = (_NEEDLES | _ROUNDED if rounded else _NEEDLES).items()
    return sorted({said for needle, said in needles if needle in content or needle.lower() in lowered})


@dataclass
class Disk:
    """Folders of which only files written from now on are searched."""

    folders: list[Path]
    before: dict[Path, bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.before = {path: sha256(content).digest() for path, content in self._files()}

    def _files(self) -> list[tuple[Path, bytes]]:
        paths = {path for folder in self.folders for path in folder.rglob("*") if path.is_file()}
        return [(path, path.read_bytes()) for path in sorted(paths)]

    def written(self) -> dict[str, bytes]:
        """Return the files that are new or changed, and under a name of their own the names of all."""
        files = self._files()
        changed = {str(path): each for path, each in files if self.before.get(path) != sha256(each).digest()}
        return changed | {"names": "\n".join(str(path) for path, _ in files).encode()}
