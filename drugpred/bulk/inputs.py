"""Finds the files of rows that paths and URLs name."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from drugpred.bulk.formats import is_source
from drugpred.bulk.storage import Remote, location, parse
from drugpred.data.files import require_regular
from drugpred.errors import DataError, reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from drugpred.bulk.storage import File

State = tuple[object, ...]
"""Changes if a file changes: its size, its time and, on this machine, its start and end."""

_EDGE_BYTES: Final = 1 << 16
_PATTERN: Final = re.compile(r"[*?[]")
_WILDCARDS: Final = {"**/": "(?:.*/)?", "*": "[^/]*"}


def find(inputs: Sequence[str | Path]) -> dict[File, State]:
    """Return the files of some inputs, in order.

    Parameters
    ----------
    inputs : sequence of str or pathlib.Path
        Files; folders, of which all files with a known ending are read, at any depth, except names that begin with _ or
        a dot; or patterns with ``*`` and ``**``. All may be URLs.

    Raises
    ------
    DataError
        An input cannot be read, or names no file.
    """
    files: dict[File, State] = {}
    for one in inputs:
        file = parse(one)
        try:
            found: dict[File, State] = dict(_local(file) if isinstance(file, Path) else _remote(file))
        except (OSError, pa.ArrowException) as error:
            cause = reason(error, file) if isinstance(file, Path) else f"{location(file)}: {reason(error)}"
            raise DataError(f"cannot read {cause}") from error
        if not found:
            raise DataError(f"expected files of rows in {location(file)}, found none")
        files |= found
    return files


def is_one_file(inputs: Sequence[str | Path], files: Iterable[File]) -> bool:
    """Return whether there is one input, and it is a file, not a folder or a pattern."""
    return len(inputs) == 1 and [parse(inputs[0])] == list(files)


def _local(path: Path) -> Iterator[tuple[File, State]]:
    if path.is_dir():
        paths = [file for file in path.rglob("*") if _is_row_file(file.relative_to(path).as_posix()) and file.is_file()]
    elif path.exists() or not _PATTERN.search(str(path)):
        paths = [path]
    else:
        paths = [file for file in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if not file.is_dir()]
    for file in sorted(paths):
        require_regular(file)
        state = file.stat()
        with file.open("rb") as content:
            edges = content.read(_EDGE_BYTES)
            content.seek(max(0, state.st_size - _EDGE_BYTES))
            edges += content.read(_EDGE_BYTES)
        yield file, (state.st_size, state.st_mtime_ns, hashlib.sha256(edges).hexdigest())


def _remote(file: Remote) -> Iterator[tuple[File, State]]:
    from pyarrow.fs import FileSelector, FileType

    files, path = file.filesystem, file.path
    pattern = None
    info = files.get_file_info(path)
    found: list[Any] = [info]
    if info.type == FileType.Directory:
        found = files.get_file_info(FileSelector(path, recursive=True))
        found = [info for info in found if _is_row_file(info.path.removeprefix(path).lstrip("/"))]
    elif info.type == FileType.NotFound and "*" in path:
        folder = path.partition("*")[0].rpartition("/")[0]
        text = re.sub(r"\*\*/|\*|[^*]+", lambda part: _WILDCARDS.get(part[0]) or re.escape(part[0]), path)
        pattern = re.compile(text)
        found = files.get_file_info(FileSelector(folder, recursive=True, allow_not_found=True))
        found = [info for info in found if pattern.fullmatch(info.path)]
    elif info.type == FileType.NotFound:
        raise DataError(f"cannot read {location(file)}: not found")
    for info in sorted(found, key=lambda info: str(info.path)):
        if info.type == FileType.File:
            yield Remote(file.url, info.path), (info.size, info.mtime_ns)


def _is_row_file(path: str) -> bool:
    """Return whether a file in a folder is read."""
    return is_source(path) and not any(name.startswith(("_", ".")) for name in path.split("/"))
