"""Finds the real data: a given path, DRUGPRED_DATA, the cache, or a download from UCI.

The cache is ``pooch.os_cache("drugpred")``. It holds only the published file.
"""

from __future__ import annotations

import contextlib
import logging
import zipfile
import zlib
from pathlib import Path
from typing import Final

import pooch
import requests

from drugpred.data.respondents import Respondents, read
from drugpred.errors import DownloadError
from drugpred.settings import DataSettings

FILE: Final = "drug_consumption.data"
SHA256: Final = "37333e8db8a5529906b3729e5131d41313b5fa3f50dc3afeb4add892108be213"
URLS: Final = (
    "https://archive.ics.uci.edu/ml/machine-learning-databases/00373/drug_consumption.data",
    "https://archive.ics.uci.edu/static/public/373/drug+consumption+quantified.zip",
)

_TIMEOUT: Final = (5, 20)  # seconds to connect, and to wait for each read


def load(path: Path | None = None) -> Respondents:
    """Read the respondents of the given file, else of the one in DRUGPRED_DATA, else of the one from UCI.

    Raises
    ------
    DataError
        The given file, or that in DRUGPRED_DATA, cannot be read or is malformed; there is no fallback.
    DownloadError
        No file was given and none could be downloaded.
    """
    return read(path or DataSettings().data or fetch())


def fetch() -> Path:
    """Return the path of the published file in the cache; download it if it is missing or altered.

    Raises
    ------
    DownloadError
        Every address failed; the message gives each reason. The cache is unchanged.
    """
    pooch.get_logger().setLevel(logging.WARNING)
    cache = pooch.os_cache("drugpred")
    failures = []
    for url in URLS:
        try:
            return Path(pooch.retrieve(url, f"sha256:{SHA256}", fname=FILE, path=cache, downloader=_download))
        except (OSError, ValueError) as error:
            failures.append(f"{url}: {_reason(error)}")
    with contextlib.suppress(OSError):
        cache.rmdir()  # pooch created it; a folder that contains anything stays
    raise DownloadError(f"cannot download the data: {'; '.join(failures)}")


def _download(url: str, file: str, _: object) -> None:
    """Download to a temporary file; pooch then checks its content and moves it into the cache."""
    # Without streaming the connection is always closed.
    pooch.HTTPDownloader(timeout=_TIMEOUT, stream=False)(url, file, None)
    if url.endswith(".zip"):  # replace it by its content, so that both addresses have the same hash
        try:
            with zipfile.ZipFile(file) as archive:
                content = archive.read(FILE)
        except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError) as error:
            raise ValueError(f"not a zip with {FILE}") from error
        Path(file).write_bytes(content)


def _reason(error: Exception) -> str:
    """Return a short reason why an address failed."""
    if isinstance(error, requests.HTTPError):
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.RequestException):
        return type(error).__name__
    if isinstance(error, OSError):
        return str(error)
    return "the content is not the published file"
