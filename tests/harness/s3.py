"""A real S3 server on a free port of loopback."""

import importlib.util
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyarrow import fs

from tests.harness import running, skip
from tests.harness.ports import free_ports


@contextmanager
def serving(log: Path) -> Iterator[dict[str, str]]:
    """Run a server that has the bucket `bucket`, and return the environment of its clients."""
    if importlib.util.find_spec("moto") is None:
        skip("no S3 server: pip install -e '.[test]'")
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, log, url):
        urllib.request.urlopen(urllib.request.Request(f"{url}/bucket", method="PUT")).close()
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def stored(files: fs.FileSystem, url: str) -> dict[str, bytes]:
    """Return the content of each object of a folder, by its path in it."""
    folder = url.removeprefix("s3://")
    found = files.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
    paths = [info.path for info in found if info.type == fs.FileType.File]
    return {path.removeprefix(f"{folder}/"): files.open_input_stream(path).read() for path in paths}
