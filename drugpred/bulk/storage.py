"""Files and folders, on this machine or at a URL.

A URL names an object store, HDFS or a web server (to read), by pyarrow's file systems or, on the web, by fsspec.
Credentials and endpoints come from the environment, as each of them documents it.
"""

from __future__ import annotations

import io
import os
import re
from abc import ABC, abstractmethod
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from filelock import FileLock
from typing_extensions import override

from drugpred.data.files import decompressed, open_atomic, open_input, path_text
from drugpred.errors import ConfigurationError, DataError, needs, reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from contextlib import AbstractContextManager
    from typing import BinaryIO

_BUFFER: Final = 1 << 22
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


class Remote(NamedTuple):
    """A file or a folder at a URL."""

    url: str
    """URL that names the file system; maybe of a folder around it, and maybe with credentials."""
    path: str
    """In the file system."""

    @property
    def filesystem(self) -> Any:  # noqa: ANN401 - without stubs pyarrow has no types
        """The file system."""
        return _file_system(self.url)[0]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return str(self).rpartition("/")[2]

    def __str__(self) -> str:
        """Return the URL, without credentials and options."""
        url = urlsplit(self.url)
        # Before the path, a file system may name a bucket or, on the web, the host.
        root = _file_system(self.url)[1].partition("?")[0].removesuffix(unquote(url.path).rstrip("/"))
        host = url.netloc if url.password is None else url.netloc.rpartition("@")[2]
        return f"{url.scheme}://{host}{self.path.partition('?')[0].removeprefix(root)}"


File = Path | Remote


@lru_cache
def _file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it."""
    from pyarrow import fs

    try:
        if urlsplit(url).scheme in {"http", "https"}:
            with needs("bulk,http"):
                from fsspec.implementations.http import HTTPFileSystem
            return fs.PyFileSystem(fs.FSSpecHandler(HTTPFileSystem())), url
        if urlsplit(url).scheme == "s3":  # a small file takes one request, not three
            url += f"{'&' if '?' in url else '?'}allow_delayed_open=true"
        files, path = fs.FileSystem.from_uri(url)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ConfigurationError(f"expected a URL that can be opened: {reason(error)}") from error
    return files, path.rstrip("/")


def parse(text: str | Path) -> File:
    """Return the file or folder of a path or a URL.

    Raises
    ------
    ConfigurationError
        The scheme of the URL is unknown, or a package for it is not installed.
    """
    if isinstance(text, Path) or not (scheme := _SCHEME.match(text)):
        return Path(text).absolute()
    if scheme[1].lower() == "file":
        return Path(text[scheme.end() :]).absolute()
    return Remote(text, _file_system(text)[1])


def location(file: File) -> str:
    """Return a path or a URL as printable text, without credentials."""
    return path_text(file) if isinstance(file, Path) else str(file)


@contextmanager
def open_binary(file: File) -> Iterator[BinaryIO]:
    """Open a file for reading, decompressed if it is gzip.

    Raises
    ------
    DataError
        It cannot be read, now or later.
    """
    if isinstance(file, Path):
        with open_input(file) as content:
            yield content
        return
    try:
        with (
            file.filesystem.open_input_file(file.path) as raw,
            io.BufferedReader(raw, _BUFFER) as buffered,
            decompressed(buffered, location(file)) as content,
        ):
            yield content
    except (OSError, ValueError) as error:  # the second of a web server that does not send ranges
        raise DataError(f"cannot read {location(file)}: {reason(error)}") from error


def open_arrow(file: File) -> Any:  # noqa: ANN401 - without stubs pyarrow has no types
    """Open a file as a file of pyarrow."""
    if isinstance(file, Path):
        return pa.OSFile(os.fsencode(file))  # as bytes, because a name may not be UTF-8
    return file.filesystem.open_input_file(file.path)


@contextmanager
def writing(place: Place, name: str) -> Iterator[None]:
    """Return a context manager in which errors of an object store, which may name no file, name one."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        if isinstance(place, RemotePlace):
            raise ConfigurationError(f"cannot write {place.text(name)}: {reason(error)}") from error
        raise


class Place(ABC):
    """A folder in which a run writes; names of its files may contain slashes. Other processes may have a copy of it."""

    folder: File

    @abstractmethod
    def text(self, name: str) -> str:
        """Return the path or URL of a file, as printable text."""

    @abstractmethod
    def write(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Return a context manager of a binary file that exists only when it is complete, and if it is not empty."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return the content of a file, or None if it does not exist."""

    @abstractmethod
    def sizes(self, folder: str) -> dict[str, int]:
        """Return the sizes in bytes of all files in a folder, by their names in this place; none if it is missing."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove a file, if it exists."""

    @abstractmethod
    def remove(self, folder: str, names: Collection[str]) -> None:
        """Remove files of a folder, and the folder if it is empty then."""

    @abstractmethod
    def lock(self, name: str) -> AbstractContextManager[object]:
        """Return a context manager in which no other process of this machine has the lock of this name.

        Raises
        ------
        filelock.Timeout
            Another process has it.
        """


@dataclass(frozen=True)
class LocalPlace(Place):
    """A folder of this machine.

    Parameters
    ----------
    folder : pathlib.Path
    scratch : str
        Folder in it for files that are not complete.
    """

    folder: Path
    scratch: str

    @override
    def text(self, name: str) -> str:
        return path_text(self.folder / name)

    @override
    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        with open_atomic(path, self.folder / self.scratch) as file:
            yield file
            empty = not file.tell()
        if empty:
            path.unlink()

    @override
    def read(self, name: str) -> bytes | None:
        with suppress(FileNotFoundError):
            return (self.folder / name).read_bytes()
        return None

    @override
    def sizes(self, folder: str) -> dict[str, int]:
        root = self.folder / folder
        paths = (Path(parent, name) for parent, _, names in os.walk(root) for name in names)
        return {str(path.relative_to(self.folder)): path.lstat().st_size for path in paths}

    @override
    def delete(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    @override
    def remove(self, folder: str, names: Collection[str]) -> None:
        for name in names:
            self.delete(name)
        with suppress(OSError):  # another program has put a file there, or it is missing
            (self.folder / folder).rmdir()

    @override
    def lock(self, name: str) -> AbstractContextManager[object]:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        return FileLock(path, timeout=0)


@dataclass(frozen=True)
class RemotePlace(Place):
    """A folder at a URL. A file is written in one piece when it is complete, and is held in memory until then."""

    folder: Remote

    def _path(self, name: str) -> str:
        return f"{self.folder.path}/{name}"

    @override
    def text(self, name: str) -> str:
        return f"{self.folder}/{name}"

    @override
    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        with io.BytesIO() as content:
            yield content
            if content.tell():
                with self.folder.filesystem.open_output_stream(self._path(name)) as file:
                    file.write(pa.py_buffer(content.getbuffer()))

    @override
    def read(self, name: str) -> bytes | None:
        with suppress(FileNotFoundError), self.folder.filesystem.open_input_stream(self._path(name)) as file:
            content: bytes = file.read()
            return content
        return None

    @override
    def sizes(self, folder: str) -> dict[str, int]:
        from pyarrow.fs import FileSelector, FileType

        selector = FileSelector(self._path(folder), recursive=True, allow_not_found=True)
        files = self.folder.filesystem.get_file_info(selector)
        start = len(self._path(""))
        return {file.path[start:]: file.size for file in files if file.type == FileType.File}

    @override
    def delete(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self.folder.filesystem.delete_file(self._path(name))

    @override
    def remove(self, folder: str, names: Collection[str]) -> None:
        if names and self.sizes(folder).keys() == {*names}:
            self.folder.filesystem.delete_dir(self._path(folder))  # many files with one request
        else:
            for name in names:
                self.delete(name)

    @override
    def lock(self, name: str) -> AbstractContextManager[object]:
        return nullcontext()  # an object store has no locks
