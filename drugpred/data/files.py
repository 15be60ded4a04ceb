"""Opens files that commands read and write."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final, cast
from uuid import uuid4

from drugpred.errors import ConfigurationError, DataError, reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_BUFFER: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
_PROBE_BYTES: Final = 2 << 20  # more than a model with its report
_KINDS: Final = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}


def path_text(path: Path) -> str:
    """Return a path as printable text, even if its name is not UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def same_file(path: Path, other: Path) -> bool:
    """Return whether two paths name the same file, also by links, through other folders or in another case."""
    with suppress(OSError):
        return path.samefile(other)
    return os.path.realpath(path) == os.path.realpath(other)  # one of them does not exist yet


def require_regular(path: Path) -> None:
    """Raise `DataError` unless a path names a regular file, which can be read twice and has an end."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except OSError as error:
        raise DataError(f"cannot read {reason(error, path)}") from error
    if kind != stat.S_IFREG:
        found = _KINDS.get(kind, "device")
        raise DataError(f"cannot read {path_text(path)}: expected a regular file, found a {found}")


def require_writable(folder: Path) -> None:
    """Create a folder if it does not exist, and raise `ConfigurationError` unless 2 MB can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())  # some file systems report only here that they are full
    except OSError as error:
        raise ConfigurationError(f"cannot write {reason(error, folder)}") from error


@contextmanager
def open_input(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading, decompressed if it is gzip.

    Raises
    ------
    DataError
        It cannot be read, now or later.
    """
    require_regular(path)
    try:
        with path.open("rb") as file, decompressed(file, path_text(path)) as content:
            yield content
    except OSError as error:
        raise DataError(f"cannot read {reason(error, path)}") from error


@contextmanager
def decompressed(file: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """Return a context manager of the content of a file, which may be gzip.

    Raises
    ------
    DataError
        It is gzip, and incomplete.
    """
    compressed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    try:
        yield cast("BinaryIO", gzip.GzipFile(fileobj=file)) if compressed else file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"cannot read {name}: expected a complete gzip file") from error


@contextmanager
def open_atomic(path: Path, scratch: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file for writing that gets its name, in its folder, only when it is complete."""
    # Unique, because two processes may write the same file.
    unfinished = (scratch or path.parent) / f"{path.name}.{uuid4().hex}"
    try:
        with unfinished.open("wb", buffering=_BUFFER) as file:
            yield file
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def open_output(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing: a pipe or a device directly, any other with `open_atomic`, through links."""
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
    else:
        with open_atomic(Path(os.path.realpath(path))) as file:
            yield file
