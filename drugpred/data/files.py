"""Files that commands read and write, whatever their names are."""

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

__all__ = ["is_same", "opened", "refuse_irregular", "require_writable", "shown", "whole", "written"]

_BUFFER: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
_PROBE_BYTES: Final = 2 << 20  # more than a model with its report
_KINDS: Final = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}


def shown(path: Path) -> str:
    """Return a path as text that can be written, whatever bytes its name has."""
    return os.fsencode(path).decode("utf-8", "replace")


def is_same(one: Path, other: Path) -> bool:
    """Return whether two paths name one file, by links of either kind, through other folders or in another case."""
    with suppress(OSError):
        return one.samefile(other)
    return os.path.realpath(one) == os.path.realpath(other)  # one of them is not there yet


def refuse_irregular(path: Path) -> None:
    """Raise `DataError` unless a path names a regular file: others have no end, or cannot be read twice."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except OSError as error:
        raise DataError(f"cannot read {reason(error, path)}") from error
    if kind != stat.S_IFREG:
        raise DataError(f"cannot read {shown(path)}: expected a regular file, and not a {_KINDS.get(kind, 'device')}")


def require_writable(folder: Path) -> None:
    """Create a folder if it does not exist, and raise `ConfigurationError` unless 2 MB can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())  # some file systems report only then that they are full
    except OSError as error:
        raise ConfigurationError(f"cannot write {reason(error, folder)}") from error


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file to read, decompressed if gzip compressed it.

    Raises
    ------
    DataError
        It cannot be read, also later while it is open.
    """
    refuse_irregular(path)
    try:
        with path.open("rb") as file:
            compressed = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
            yield cast("BinaryIO", gzip.GzipFile(fileobj=file)) if compressed else file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"cannot read {shown(path)}: expected a whole gzip file") from error
    except OSError as error:
        raise DataError(f"cannot read {reason(error, path)}") from error


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write, which gets its name when it is whole."""
    # Two processes may write the same file.
    unfinished = path.with_name(f"{path.name}.{uuid4().hex}")
    try:
        with unfinished.open("wb", buffering=_BUFFER) as file:
            yield file
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write, as `whole` does, through links; a pipe or a device takes what is written at once."""
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
    else:
        with whole(Path(os.path.realpath(path))) as file:
            yield file
