"""The page in a real browser, on a real server."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, skip
from tests.end_to_end.conftest import Server, free_ports, launch, serve, wait_until_ready  # noqa: F401

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Tells of every breach of the Content-Security-Policy, before anything of the page runs.
WATCH = """
addEventListener('securitypolicyviolation', event => console.error(`policy: ${event.blockedURI}`))
"""


# Of a module: as long as it runs, playwright keeps an event loop in this thread, and no other test can have one.
@pytest.fixture(scope="module")
def chromium():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        skip("no Chromium to show the page: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        skip("no playwright to drive a browser: pip install -e '.[test]'")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def url(serve, store, tmp_path_factory):  # noqa: F811
    # A home of its own: other servers of this session run with the store itself.
    with serve(shutil.copytree(store, tmp_path_factory.mktemp("page") / "home")) as server:
        yield server.url


@pytest.fixture
def expected_complaints():
    """Parts of what the console may say in a test: a status that the test provokes, say."""
    # Where containers start or stop beside it, Chromium drops requests, loopback or not, and sends them again.
    return ["ERR_NETWORK_CHANGED"]


@pytest.fixture
def open_page(chromium, url, expected_complaints):
    """Return what opens the page; at the end it asked nobody else and the console had nothing to complain of."""
    contexts, origins, asked, complaints = [], [], [], []

    def opened(fragment="", base=url, routes=None, wait=True, **settings):
        context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **settings})
        context.set_default_timeout(60_000)
        contexts.append(context)
        origins.append(f"{base}/")
        context.add_init_script(WATCH)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: message.type in ("error", "warning") and complaints.append(message.text))
        for pattern, handler in (routes or {}).items():
            page.route(pattern, handler)
        page.goto(f"{base}/app{fragment}")
        if wait:
            page.wait_for_selector("#risks li")
        return page

    yield opened
    for context in contexts:
        context.close()
    elsewhere = [address for address in asked if not address.startswith((*origins, "data:", "blob:"))]
    assert not elsewhere
    assert not [one for one in complaints if not any(part in one for part in expected_complaints)]


@pytest.fixture
def page(open_page):
    return open_page()


@pytest.fixture(scope="session")
def api(url):
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


class Restarted:
    """A server that a test stops and starts again at the same address."""

    def __init__(self, home: Path, temporary: Path) -> None:
        self.home, self.temporary = home, temporary
        self.port, self.grpc_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = None

    def start(self):
        with (self.temporary / "log").open("a") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "bentoml", "serve", ".", "--host", "127.0.0.1", "--port", str(self.port)],
                cwd=ROOT,
                env=os.environ
                | {
                    "BENTOML_HOME": str(self.home),
                    "TMPDIR": str(self.temporary),
                    "DRUGPRED_GRPC_PORT": str(self.grpc_port),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.server = Server(self.url, f"127.0.0.1:{self.grpc_port}", process, self.temporary)
        wait_until_ready(self.server)

    def stop(self):
        self.server.stop()
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", self.port)) != 0


@pytest.fixture
def restarted(store, tmp_path):
    server = Restarted(shutil.copytree(store, tmp_path / "home"), tmp_path)
    server.start()
    yield server
    server.stop()
