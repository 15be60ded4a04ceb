"""GET /app: the web page, its files, the rules of its form, and the model's evaluation report."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from pydantic import AliasChoices
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from drugpred import codebook
from drugpred.limits import MAX_PROFILES
from drugpred.schemas import EXAMPLE, Profile
from drugpred.serving.middleware.security_headers import BASE_POLICY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from starlette.requests import Request

_TYPES: Final = {
    ".css": "text/css",
    ".csv": "text/csv",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}

POLICY: Final = f"{BASE_POLICY}; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'"
# Revalidated each time, and mostly answered with 304: a page with files of two versions would be worse.
_HEADERS: Final = {"Cache-Control": "no-cache"}

_PLACE: Final = b'<script type="application/json" id="rules"></script>'  # where the page expects the rules of its form


class _Report:
    """The evaluation report of a model.

    Parameters
    ----------
    folder : Path
        Folder of its files, if there are any.
    """

    def __init__(self, folder: Path) -> None:
        # They were checked with the model; 300 kB that are rarely read stay on the disk.
        self._files = {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}
        page = self._files["index.html"].read_bytes() if self._files else b""
        styles = re.findall(rb"<style>(.*?)</style>", page, re.DOTALL)
        hashes = " ".join(f"'sha256-{b64encode(hashlib.sha256(style).digest()).decode()}'" for style in styles)
        # Its plots have hundreds of style attributes: too many to list by hash, and they cannot load anything.
        policy = f"{BASE_POLICY}; style-src-elem {hashes}; style-src-attr 'unsafe-inline'"
        self._headers = {**_HEADERS, "Content-Security-Policy": policy}

    def file(self, name: str) -> Response:
        """Return a file of the report."""
        path = self._files.get(name)
        if path is None or not path.is_file():  # the model may have been deleted
            raise HTTPException(404)
        return FileResponse(path, headers=self._headers, media_type=_TYPES.get(path.suffix, "application/octet-stream"))


@lru_cache(1)
def _report(folder: Path) -> _Report:
    return _Report(folder)


def routes(service: Callable[[], Any]) -> list[Route]:
    """Return the routes of the page, of its files, and of the report."""
    assets = dict(_read(files("drugpred") / "web"))
    # In the page itself, which saves a request; "<" could end the element.
    form = json.dumps(rules(), separators=(",", ":")).replace("<", "\\u003c")
    page = assets.pop("index.html").replace(_PLACE, _PLACE.replace(b"><", f">{form}<".encode()))

    async def report(request: Request) -> Response:
        return _report(service().scorer.model.path / "report").file(request.path_params.get("name", "index.html"))

    return [
        Route("/app", _Asset("index.html", page).answer),
        *(Route(f"/app/{name}", _Asset(name, content).answer) for name, content in assets.items()),
        Route("/app/report", lambda _: RedirectResponse("report/", 308)),
        Route("/app/report/", report),
        Route("/app/report/{name}", report),
    ]


class _Asset:
    """A file in memory, with its ETag."""

    def __init__(self, name: str, content: bytes) -> None:
        self._content = content
        self._tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        self._headers = {**_HEADERS, "Content-Security-Policy": POLICY, "ETag": self._tag}
        self._type = _TYPES[name[name.rindex(".") :]]

    async def answer(self, request: Request) -> Response:
        known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
        if self._tag in known:
            return Response(status_code=304, headers=self._headers)
        return Response(self._content, headers=self._headers, media_type=self._type)


def _read(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for file in folder.iterdir():
        if file.is_dir():
            yield from _read(file, f"{prefix}{file.name}/")
        elif file.name[file.name.rfind(".") :] in _TYPES:
            yield prefix + file.name, file.read_bytes()


def rules() -> dict[str, Any]:
    """Return the rules of the page's form: inputs with bounds and labels, drugs, and windows.

    Bounds and labels are those of `Profile`; distributions are those of the survey that standardized the scores.
    """
    properties = Profile.model_json_schema()["properties"]
    years = properties["age"]["oneOf"][0]
    low, high = codebook.NEO_TOTALS
    return {
        "categories": {
            category.name: {"labels": category.labels, "counts": category.counts} for category in codebook.CATEGORIES
        },
        "age": [years["minimum"], years["maximum"]],
        "scores": {
            score.name: {
                "lowest": score.lowest,
                "highest": score.highest,
                "values": score.values,
                "counts": score.counts,
                # By raw total, lowest first.
                **(
                    {"totals": [round(score.by_total[total], 6) for total in range(low, high + 1)]}
                    if score.is_neo
                    else {}
                ),
            }
            for score in codebook.SCORES
        },
        "lowest_total": low,
        "drugs": codebook.DRUGS,
        "windows": codebook.WINDOWS,
        "example": EXAMPLE,
        "most_profiles": MAX_PROFILES,
        # Headings of a CSV file, in lower case.
        "headings": {
            column.name: sorted(_names(column.name, column.column))
            for column in (*codebook.CATEGORIES, *codebook.SCORES)
        },
        "passed_over": [heading.casefold() for heading in (*codebook.DRUG_COLUMNS.values(), codebook.SEMERON)],
    }


def _names(field: str, column: str) -> set[str]:
    alias: Any = Profile.model_fields[field].validation_alias
    return {field, column.casefold(), *(alias.choices if isinstance(alias, AliasChoices) else ())}
