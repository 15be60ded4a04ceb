"""What programs in a cluster read of a Kubernetes API server: objects, with its defaults, listed and watched."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.harness import serving

Object = dict[str, Any]

GATEWAY = "gateway.networking.k8s.io"

_PATH = re.compile(r"/apis?/(.+?)(?:/namespaces/([^/]+))?/([a-z]+)(?:/([^/]+)/status)?")

_LISTED = {"annotations": {"k8s.io/initial-events-end": "true"}}
"""Of the event after those of the objects that there were when a watch began."""


@dataclass
class Api:
    """A server of objects that do not change."""

    url: str
    objects: Sequence[Object]
    statuses: dict[tuple[str, str], Object] = field(default_factory=dict)
    """The last status that was written, by plural and name."""

    def select(self, version: str, namespace: str | None, plural: str, labels: str) -> list[Object]:
        """Return the objects of a kind; of a namespace, if one is given; with labels, as `name=value,…`."""
        wanted = dict(pair.split("=") for pair in labels.split(",") if "!" not in pair and pair)
        return [
            each
            for each in self.objects
            if (each["apiVersion"], _plural(each["kind"])) == (version, plural)
            and namespace in (None, each["metadata"].get("namespace"))
            and wanted.items() <= each["metadata"].get("labels", {}).items()
        ]


def _plural(kind: str) -> str:
    return kind.lower() + ("es" if kind.endswith("s") else "s")


def _add_defaults(each: Object) -> None:
    """Add what an API server adds, as far as the programs of the tests read it."""
    spec = each.get("spec", {})
    if each["kind"] == "Service":
        for port in spec["ports"]:
            port.setdefault("protocol", "TCP")
    for reference in spec.get("parentRefs", []):
        reference |= {"group": GATEWAY, "kind": "Gateway"} | reference
    for rule in spec.get("rules", []) if each["kind"].endswith("Route") else []:
        for reference in rule["backendRefs"]:
            reference |= {"group": "", "kind": "Service", "weight": 1} | reference
    for listener in spec.get("listeners", []):
        listener.setdefault("allowedRoutes", {"namespaces": {"from": "Same"}})
        for reference in listener["tls"]["certificateRefs"]:
            reference |= {"group": "", "kind": "Secret"} | reference


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: Api
    ended: Event


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path, query = _PATH.fullmatch(url.path), parse_qs(url.query)
        if path is None:
            self.send_error(404)
            return
        version, namespace, plural, _ = path.groups()
        found = self.server.api.select(version, namespace, plural, query.get("labelSelector", [""])[0])
        if "watch" not in query:
            self.answer({"metadata": {"resourceVersion": "1"}, "items": found})
            return
        begun = "sendInitialEvents" in query
        if begun and not found:  # the client lists instead
            self.answer()
            return
        events: list[Object] = [{"type": "ADDED", "object": each} for each in found] if begun else []
        if begun:
            kind = {name: found[0][name] for name in ("apiVersion", "kind")}
            events.append({"type": "BOOKMARK", "object": kind | {"metadata": {"resourceVersion": "1"} | _LISTED}})
        self.answer(*events)
        self.server.ended.wait()

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        _, _, plural, name = _PATH.fullmatch(self.path).groups()
        self.server.api.statuses[plural, name] = body["status"]
        self.answer(body)

    def answer(self, *values: object) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(b"".join(json.dumps(value).encode() + b"\n" for value in values))

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def kubernetes_api(objects: Sequence[Object]) -> Iterator[Api]:
    """Serve objects to any client; statuses that it writes are kept, and the objects stay as they are."""
    for i, each in enumerate(objects):
        each["metadata"] |= {"resourceVersion": "1", "uid": str(i), "generation": 1}
        _add_defaults(each)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.ended = Event()
    with serving(server) as address:
        server.api = Api(f"http://{address}", objects)
        try:
            yield server.api
        finally:
            server.ended.set()
