"""Real servers to load, and one of a model that nothing reads."""

from types import SimpleNamespace

import pytest

# Answers 200, and leaves a child behind that takes no notice of SIGTERM.
STUBBORN = """
import http.server, os, signal, sys, time
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.rfile.read(int(self.headers["content-length"])))
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def model(tmp_path):
    """Return a fake of a stored model, for servers that do not read it."""
    path = tmp_path / "models" / "drug_consumption" / "abc"
    path.mkdir(parents=True)
    return SimpleNamespace(path=str(path), tag="drug_consumption:abc")
