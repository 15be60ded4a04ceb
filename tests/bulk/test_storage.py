"""Runs from URLs and to URLs: a real S3 server and a web server on loopback."""

import functools
import http.server
import json
import re
import sys

import pyarrow as pa
import pytest
from pyarrow import fs, parquet

from drugpred.bulk.job import Job
from drugpred.bulk.storage import parse
from drugpred.errors import ConfigurationError, DataError
from tests.bulk.conftest import contents
from tests.harness import ROOT, serving
from tests.harness.s3 import stored


@pytest.fixture
def bucket(s3, request):
    """Return the URL of a folder of its own in a bucket, without a slash at the end, and its file system."""
    url = f"s3://bucket/{re.sub('[^a-z_]', '', request.node.name)}"
    return url, fs.FileSystem.from_uri(url)[0]


def upload(files, path, url):
    with files.open_output_stream(url.removeprefix("s3://")) as file:
        file.write(path.read_bytes())


@pytest.fixture
def uploaded(many_parts, bucket):
    """Files in a folder of a bucket; returns its URL and their names on this machine."""
    url, files = bucket
    paths = [many_parts("a.parquet", 2000), many_parts("b.csv", 2000)]  # the server takes milliseconds for each part
    for path in paths:
        upload(files, path, f"{url}/in/{path.name}")
    upload(files, paths[1], f"{url}/in/_other.csv")
    return paths


def test_a_folder_of_a_bucket_becomes_a_folder_of_it(uploaded, bucket, run, tmp_path):
    url, files = bucket
    assert run(f"{url}/in", f"{url}/out/") == (3994, 6)
    run(uploaded, f"{tmp_path}/out/")
    found, expected = stored(files, url), contents(tmp_path)
    names = {name for name in expected if name.startswith("out")}
    assert {name for name in found if not name.startswith("in/")} == names
    for name in names - {"out.manifest.json"}:
        if name.endswith("parquet"):
            tables = [parquet.read_table(pa.BufferReader(each[name])) for each in (found, expected)]
            assert tables[0].drop(["file"]).equals(tables[1].drop(["file"]))
            assert set(tables[0]["file"].to_pylist()) <= {f"{url}/in/a.parquet", f"{url}/in/b.csv"}
        else:
            assert found[name].replace(f"{url}/in".encode(), str(tmp_path).encode()) == expected[name]
    manifest = json.loads(found["out.manifest.json"])
    assert (manifest["scored"], manifest["parts"][-1]["input"]) == (3994, f"{url}/in/b.csv")


def test_a_small_part_takes_one_request(uploaded, bucket, run, s3):
    before = len(s3.read_bytes())
    run(f"{bucket[0]}/in/b.csv", f"{bucket[0]}/out/")
    requests = re.findall(r"(PUT|POST) \S+/out/part-00000\.parquet(\S*) ", s3.read_bytes()[before:].decode())
    assert requests == [("PUT", "")]


@pytest.mark.parametrize("pattern", ["in/b*.csv", "in/b.csv", "**/b.*", "**/in/b*"])
def test_patterns_of_urls(uploaded, bucket, run, tmp_path, pattern):
    assert run(f"{bucket[0]}/{pattern}", tmp_path / "out.csv") == (1997, 3)
    with pytest.raises(DataError, match=r"expected files of rows in s3://bucket/.*, found none"):
        run(f"{bucket[0]}/{pattern}x*", tmp_path / "out.csv")


def test_an_older_output_in_a_bucket_is_replaced_on_request(uploaded, bucket, run):
    url, files = bucket
    run(f"{url}/in/", f"{url}/out/")
    before = stored(files, url)
    with pytest.raises(ConfigurationError, match=rf"^expected no older output, found {url}/out.manifest.json: --over"):
        run(f"{url}/in/b.csv", f"{url}/out/")
    assert stored(files, url) == before
    assert run(f"{url}/in/b.csv", f"{url}/out/", overwrite=True) == (1997, 3)
    parts = [name for name in stored(files, url) if name.startswith("out/")]
    assert 4 < len(parts) < sum(name.startswith("out/") for name in before)


@pytest.mark.parametrize("name", ["out/mine.parquet", "out.parts/mine", "out.rejected/mine"])
def test_files_of_somebody_else_in_a_bucket_are_left(uploaded, bucket, run, name):
    url, files = bucket
    upload(files, uploaded[1], f"{url}/{name}")
    with pytest.raises(ConfigurationError, match="to be a folder from an earlier run, or missing"):
        run(f"{url}/in/", f"{url}/out/", overwrite=True)
    assert name in stored(files, url)


def test_a_part_in_a_bucket_that_is_cut_off_is_scored_again(uploaded, bucket, run, monkeypatch):
    url, files = bucket
    numbers, work = [], Job.score_part

    def record(self, number, advance=None):
        numbers.append(number)
        return work(self, number, advance)

    monkeypatch.setattr(Job, "score_part", record)
    with monkeypatch.context() as patched:
        patched.setattr("drugpred.bulk.run.finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(f"{url}/in/", f"{url}/out/")
    whole = stored(files, f"{url}/out")
    numbers.clear()
    with files.open_output_stream(f"{url}/out/part-00003.parquet".removeprefix("s3://")) as part:
        part.write(whole["part-00003.parquet"][:1000])
    files.delete_file(f"{url}/out/part-00007.parquet".removeprefix("s3://"))
    assert run(f"{url}/in/", f"{url}/out/") == (3994, 6)
    assert numbers == [3, 7]
    assert stored(files, f"{url}/out") == whole


def test_an_interrupted_part_is_not_put(uploaded, bucket, run, monkeypatch):
    url, files = bucket
    monkeypatch.setattr(Job, "_score", lambda self, chunk: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(f"{url}/in/", f"{url}/out/")
    assert {name for name in stored(files, url) if not name.startswith("in/")} == {"out.parts/run.json"}


@pytest.mark.parametrize(
    ("source", "output", "error"),
    [
        ("s3://bucket/absent.csv", "out.csv", r"cannot read s3://bucket/absent.csv: not found"),
        ("s3://absent/in.csv", "out.csv", r"cannot read s3://absent/in.csv: not found"),
        ("in.csv", "s3://absent/x/out/", r"cannot write s3://absent/x/out: .*bucket does not exist"),
        ("in.csv", "s3://bucket/", r"expected an output at a URL to be a folder in a bucket"),
        ("s3://bucket/in/a.csv", "s3://bucket/in/", r"expected an output (other than the input|outside of the input)"),
    ],
)
def test_errors_name_the_url(many_parts, bucket, run, tmp_path, source, output, error):
    path = many_parts("in.csv")
    upload(bucket[1], path, "s3://bucket/in/a.csv")
    with pytest.raises((DataError, ConfigurationError), match=error):
        run(
            source if "://" in source else path,
            output if "://" in output else tmp_path / output,
        )


def test_errors_of_a_store_are_a_line_with_the_url(many_parts, bucket, run, tmp_path, monkeypatch):
    class Failing:
        def get_file_info(self, _):
            raise pa.ArrowException("no access\nmore")

        open_input_stream = open_input_file = get_file_info

    path = many_parts("in.csv")
    monkeypatch.setattr("drugpred.bulk.storage.Remote.filesystem", Failing())
    with pytest.raises(DataError, match=r"^cannot read s3://bucket/in.csv: no access$"):
        run("s3://bucket/in.csv", tmp_path / "out.csv")
    with pytest.raises(ConfigurationError, match=r"^cannot write s3://bucket/out: no access$"):
        run(path, "s3://bucket/out/")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://bucket/a/b.csv", "s3://bucket/a/b.csv"),
        ("s3://key:secret@bucket/a/b%20c.csv?region=us-east-1", "s3://bucket/a/b c.csv"),
        ("https://host/a/b.csv?token=secret", "https://host/a/b.csv"),
    ],
)
def test_no_message_shows_credentials(s3, url, shown):
    file = parse(url)
    assert (str(file), file.name) == (shown, shown.rpartition("/")[2])


class Handler(http.server.SimpleHTTPRequestHandler):
    """Answers requests of ranges too."""

    ranges = True

    def do_GET(self):
        content = (ROOT / self.translate_path(self.path)).read_bytes()
        asked = self.headers["range"] if self.ranges else None
        status, piece = 200, content
        if asked:
            start, stop = asked.removeprefix("bytes=").split("-")
            status, piece = 206, content[int(start) : int(stop) + 1]
        self.send_response(status)
        if asked:
            self.send_header("content-range", f"bytes {start}-{int(start) + len(piece) - 1}/{len(content)}")
        self.send_header("content-length", str(len(piece)))
        self.end_headers()
        self.wfile.write(piece)

    def log_message(self, *_):
        pass


@pytest.fixture
def web(tmp_path):
    """Return the URL of a web server of the test's folder."""
    handler = functools.partial(Handler, directory=tmp_path)
    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)) as address:
        yield f"http://{address}"


@pytest.mark.parametrize("name", ["in.csv", "in.parquet"])
def test_a_file_on_a_web_server_is_read(many_parts, web, run, tmp_path, name):
    many_parts(name)
    assert run(f"{web}/{name}", f"{tmp_path}/out/") == (4992, 8)


def test_a_web_server_without_ranges_is_reported(many_parts, web, run, tmp_path, monkeypatch):
    monkeypatch.setattr(Handler, "ranges", False)
    many_parts("in.parquet")
    with pytest.raises(DataError, match=f"cannot read {web}/in.parquet: .* range"):
        run(f"{web}/in.parquet", f"{tmp_path}/out/")


def test_without_fsspec_the_error_names_the_extra(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    for module in [name for name in sys.modules if name.startswith("fsspec.implementations.http")]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(ConfigurationError, match=r"expected the package aiohttp, .*bulk,http"):
        run("http://localhost:1/in.csv", tmp_path / "out.csv")
