"""The order of sources, and a download that leaves the published file or nothing."""

import hashlib
import io
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from drugpred.data import download
from drugpred.errors import DataError, DownloadError
from tests.harness import serving

CONTENT = (
    b"5,0.49788,0.48246,1.98437,0.96082,-0.31685,0.73545,-1.63340,-0.45174,-0.30172,1.30612,-0.21712,-0.21575,"
    b"CL4,CL1,CL1,CL0,CL6,CL3,CL6,CL0,CL0,CL1,CL0,CL0,CL1,CL0,CL0,CL2,CL2,CL0,CL0\n"
)


def zipped(content=CONTENT, name=download.FILE):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


class _Handler(BaseHTTPRequestHandler):
    """Answers with what the test put at the path, a status and a body, and notes that it was asked."""

    def do_GET(self):
        self.server.asked.append(self.path)
        status, body = self.server.answers.get(self.path, (404, b""))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:-50] if status == 299 else body)

    def log_message(self, *args):
        """Keep quiet."""


@pytest.fixture
def site(monkeypatch):
    """A server in the place of UCI's: `answers` by path, and the paths `asked` for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.answers, server.asked = {}, []
    with serving(server) as address:
        monkeypatch.setattr(download, "URLS", (f"http://{address}/file.data", f"http://{address}/file.zip"))
        monkeypatch.setattr(download, "SHA256", hashlib.sha256(CONTENT).hexdigest())
        yield SimpleNamespace(answers=server.answers, asked=server.asked)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of its own, no DRUGPRED_DATA, and no proxy before the loopback."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("DRUGPRED_DATA", raising=False)
    return tmp_path / "cache" / "drugpred"


@pytest.fixture
def unreachable(monkeypatch):
    """Addresses at which nothing listens."""
    monkeypatch.setattr(download, "URLS", ("http://127.0.0.1:9/file.data", "http://127.0.0.1:9/file.zip"))


def test_the_hash_is_that_of_the_published_file(uci_path):
    assert hashlib.sha256(uci_path.read_bytes()).hexdigest() == download.SHA256


def test_a_given_path_goes_first(tmp_path, monkeypatch, site):
    given = tmp_path / "given.data"
    given.write_bytes(CONTENT)
    monkeypatch.setenv("DRUGPRED_DATA", str(tmp_path / "absent"))
    assert download.load(given).frame.index.tolist() == [5]
    assert site.asked == []


def test_the_environment_goes_second(tmp_path, monkeypatch, site):
    given = tmp_path / "given.data"
    given.write_bytes(CONTENT)
    monkeypatch.setenv("DRUGPRED_DATA", str(given))
    assert download.load().frame.index.tolist() == [5]
    assert site.asked == []


@pytest.mark.parametrize("content", [None, b"zebra\n"], ids=["absent", "malformed"])
@pytest.mark.parametrize("named", ["path", "environment"])
def test_nothing_takes_the_place_of_a_named_file(tmp_path, monkeypatch, site, named, content):
    site.answers["/file.data"] = (200, CONTENT)
    path = tmp_path / "named.data"
    if content:
        path.write_bytes(content)
    if named == "environment":
        monkeypatch.setenv("DRUGPRED_DATA", str(path))
    with pytest.raises(DataError):
        download.load(path if named == "path" else None)
    assert site.asked == []


def test_download_then_cache(site, cache, monkeypatch):
    monkeypatch.setenv("DRUGPRED_DATA", "")
    site.answers["/file.data"] = (200, CONTENT)
    assert len(download.load()) == 1
    assert len(download.load()) == 1
    assert site.asked == ["/file.data"]
    assert [path.read_bytes() for path in cache.iterdir()] == [CONTENT]


def test_a_wrong_file_in_the_cache_is_downloaded_again(site, cache):
    site.answers["/file.data"] = (200, CONTENT)
    cache.mkdir(parents=True)
    (cache / download.FILE).write_bytes(CONTENT[:-9])
    assert download.fetch().read_bytes() == CONTENT


@pytest.mark.parametrize(
    "answer",
    [(404, b"no"), (500, b"no"), (200, b"<html>log in</html>"), (200, b""), (200, CONTENT[:-9]), (299, CONTENT)],
    ids=["404", "500", "portal", "empty", "truncated", "cut off"],
)
def test_the_zip_is_the_second_address(site, cache, answer):
    site.answers |= {"/file.data": answer, "/file.zip": (200, zipped())}
    assert download.fetch().read_bytes() == CONTENT
    assert site.asked == ["/file.data", "/file.zip"]
    assert list(cache.iterdir()) == [cache / download.FILE]


CORRUPT = bytearray(zipped())
CORRUPT[60] ^= 0xFF


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((404, b""), "HTTP 404"),
        ((503, zipped()), "HTTP 503"),
        ((200, b"<html>"), "not the published file"),
        ((200, zipped()[:-30]), "not the published file"),
        ((200, bytes(CORRUPT)), "not the published file"),
        ((200, zipped(name="other.data")), "not the published file"),
        ((200, zipped(CONTENT[:-9])), "not the published file"),
        ((200, CONTENT), "not the published file"),
        ((299, zipped()), "ChunkedEncodingError"),
    ],
)
@pytest.mark.parametrize("cached", [None, b"stale"])
def test_a_failed_download_says_why_and_leaves_no_trace(site, cache, capfd, cached, answer, reason):
    site.answers["/file.zip"] = answer
    if cached:
        cache.mkdir(parents=True)
        (cache / download.FILE).write_bytes(cached)
    with pytest.raises(DownloadError) as caught:
        download.load()
    message = str(caught.value)
    assert f"{download.URLS[0]}: HTTP 404" in message
    assert download.URLS[1] in message
    assert reason in message.split("; ")[1]
    assert cache.is_dir() == bool(cached)
    assert [path.read_bytes() for path in cache.glob("*")] == ([cached] if cached else [])
    assert capfd.readouterr() == ("", "")


def test_no_network(unreachable, cache, capfd):
    with pytest.raises(DownloadError, match=r"file\.data: ConnectionError; .*file\.zip: ConnectionError"):
        download.load()
    assert not cache.exists()
    assert capfd.readouterr() == ("", "")


def test_a_cache_suffices_without_network(unreachable, cache, monkeypatch):
    monkeypatch.setattr(download, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    cache.mkdir(parents=True)
    (cache / download.FILE).write_bytes(CONTENT)
    assert len(download.load()) == 1


def test_a_server_that_never_answers(site, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT", (0.2, 0.2))
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as silent:
        # It listens, but nobody accepts.
        monkeypatch.setattr(download, "URLS", (f"http://127.0.0.1:{silent.server_port}/",))
        with pytest.raises(DownloadError, match="ReadTimeout"):
            download.fetch()


def test_a_cache_that_cannot_be_made(site, cache):
    site.answers["/file.data"] = (200, CONTENT)
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(DownloadError, match="cannot download"):
        download.fetch()
