"""The page in a real browser, on a real server."""

import shutil

import httpx
import pytest

from loadtest.harness.ports import is_free
from tests.harness import PLAIN
from tests.harness.ports import free_ports

# Logs every violation of the Content-Security-Policy, from before the page's own scripts run.
WATCH = """
addEventListener('securitypolicyviolation', event => console.error(`policy: ${event.blockedURI}`))
"""


class Restarted:
    """A server that a test may stop and start again at the same address."""

    def __init__(self, launch, home):
        self._launch, self._home = launch, home
        self._ports = tuple(free_ports(2))
        self.url = f"http://127.0.0.1:{self._ports[0]}"

    def start(self):
        self._server = self._launch(self._home, ports=self._ports)
        self._server.wait_until_ready()

    def stop(self):
        assert self._server.stop() == (0, []), self._server.output
        assert is_free(self._ports[0])


@pytest.fixture(scope="session")
def restarted(launch, store, tmp_path_factory):
    # A home of its own: other servers of this session run with the store itself.
    server = Restarted(launch, shutil.copytree(store, tmp_path_factory.mktemp("page") / "home"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def url(restarted):
    return restarted.url


@pytest.fixture
def expected_complaints():
    """Parts of what the console may say in a test: a status that the test provokes, say."""
    # If containers start or stop meanwhile, Chromium drops requests, loopback or not, and sends them again.
    return ["ERR_NETWORK_CHANGED"]


@pytest.fixture
def open_page(chromium, url, expected_complaints):
    """Return a function that opens the page; fail at the end if it sent requests elsewhere or logged an error."""
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
    with httpx.Client(base_url=url, timeout=60, verify=PLAIN) as client:
        yield client
