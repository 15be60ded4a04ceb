"""What several tests share: the real data, and a model store with one model trained on it."""

import gc
import io
import os
import re
import resource
import signal
import sys
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

# Tests run on all cores: neither they nor processes that they start compute with several threads, or fit folds in other
# processes. NumPy reads this when it is imported.
os.environ |= {"OPENBLAS_NUM_THREADS": "1", "LOKY_MAX_CPU_COUNT": "1"}

import numpy as np
import pytest
from coverage import Coverage
from hypothesis import settings

from drugpred import model_store
from drugpred.codebook import SCORES
from drugpred.data.respondents import Respondents, read
from drugpred.predictor import Predictor
from tests.harness import NIGHTLY, ROOT, skip
from tests.harness.store import copy_of, newest, trained

pytest_plugins = ("tests.harness.service", "tests.harness.containers", "tests.harness.browser")

UCI = "drug_consumption.data"

UNTRACED = ("configs", "end_to_end", "loadtest", "web", "test_words.py")
"""Folders and files of tests that run little or no code of the package themselves."""

# Read by BentoML when it first reports something, and when it first looks for a model; processes that tests start
# inherit them. The user may have stored any models.
os.environ["BENTOML_DO_NOT_TRACK"] = "True"
_home = tempfile.TemporaryDirectory(prefix="drugpred-tests-", ignore_cleanup_errors=True)
os.environ["BENTOML_HOME"] = f"{_home.name}/bentoml"

# A shell makes tests in the background ignore Ctrl-C, which some of them send to the processes that they start. With a
# handler that is not Python's own, `asyncio.run` installs none, which writes out what the coroutine returns.
signal.signal(signal.SIGINT, lambda number, frame: signal.default_int_handler(number, frame))

# On a busy machine any example may take long.
settings.register_profile("drugpred", deadline=None, max_examples=1000 if NIGHTLY else 50)
settings.load_profile("drugpred")


def pytest_xdist_auto_num_workers() -> int:
    """Return three processes for two cores, as tests wait for servers a quarter of their time."""
    return len(os.sched_getaffinity(0)) * 3 // 2


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    """Collect no garbage during imports and collection, of which that takes a third of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of a module in one process, as they share fixtures, and those of the image, and of the server.

    Those of the documents begin first, as they take five minutes, then other modules with slow tests: no process is
    left with a long one at the end. The others are mixed, as neighbours compute, or wait, at the same time.
    """
    slow = {item for item in items if item.get_closest_marker("slow")}
    for item in slow:
        item.user_properties.append(("slow", "yes"))  # for .ci/durations.py
    paths = {item.path for item in slow}
    items.sort(
        key=lambda item: (
            item.path.name != "test_documentation_blocks.py",
            0 if item.path in paths else zlib.crc32(item.path.name.encode()),
        )
    )
    for item in items:
        if item.get_closest_marker("xdist_group"):
            continue
        fixtures = getattr(item, "fixturenames", ())
        if "podman" in fixtures:
            group = "image"
        elif "server" in fixtures and item.path.parent.name == "end_to_end" and item not in slow:
            group = "server"  # of the session, which takes seconds to start
        else:
            group = str(item.path.relative_to(ROOT))
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[object]:
    """Do not trace tests of what runs in other processes, which coverage would only slow down."""
    if not Coverage.current() or item.path.relative_to(ROOT / "tests").parts[0] not in UNTRACED:
        return (yield)
    traces = sys.gettrace(), threading.gettrace()
    sys.settrace(None)  # Coverage.stop would end the traces of other threads, too, for good
    threading.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(traces[0])
        threading.settrace(traces[1])


@pytest.fixture(scope="session")
def room() -> Callable[[int], AbstractContextManager[None]]:
    """Return a context manager that limits the size of files: the nearest to a full disk without a separate disk."""

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of the real data: that of DRUGPRED_DATA, else ../shared/data, else the cache of the download."""
    given = os.environ.get("DRUGPRED_DATA")
    folder = Path(given).parent if given else ROOT.parent / "shared" / "data"
    if given or (folder / UCI).is_file():
        return folder
    from drugpred.data import download
    from drugpred.errors import DownloadError

    try:
        return download.fetch().parent
    except DownloadError as error:
        skip(f"no {UCI} in {folder}, and {error}")
        raise


@pytest.fixture(scope="session")
def uci_path(data_folder: Path) -> Path:
    return _present(data_folder / UCI)


@pytest.fixture(scope="session")
def decoded_path(data_folder: Path) -> Path:
    """The decoded CSV, which no download has: without it nothing can be held against it, in CI neither."""
    path = data_folder / "drug_consumption_decoded.csv"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return path


@pytest.fixture(scope="session")
def real(uci_path: Path) -> Respondents:
    """The 1885 real respondents; do not change them."""
    return read(uci_path)


@pytest.fixture(scope="session")
def store(uci_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BENTOML_HOME with one model, trained by the command on the real data in seconds; do not add to it."""
    return trained(tmp_path_factory, "quick", "--data", uci_path, "--config", ROOT / "tests" / "quick.yaml")


@pytest.fixture
def copied_store(store: Path, tmp_path: Path) -> Path:
    """The store, for a test to alter."""
    return copy_of(store, tmp_path / "bentoml")


@pytest.fixture(scope="session")
def stored_model(store: Path) -> model_store.StoredModel:
    """The model of `store`, as the service reads it."""
    return newest(store)


@pytest.fixture(scope="session")
def other_model(stored_model: model_store.StoredModel) -> model_store.StoredModel:
    """A model whose direct weights are half of those of `stored_model`."""
    inputs, outputs, direct = stored_model.predictor.weights()
    predictor = Predictor(inputs, np.zeros(len(outputs)), outputs, np.zeros(108), direct / 2)
    return replace(stored_model, tag="drug_consumption:other", predictor=predictor)


@pytest.fixture(scope="session")
def default_store(uci_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BENTOML_HOME with what `python train.py` stores by default; it takes a minute, so only slow tests use it."""
    return trained(tmp_path_factory, "default", "--data", uci_path)


@pytest.fixture(scope="session")
def default_stored_model(default_store: Path) -> model_store.StoredModel:
    """The model of `default_store`."""
    return newest(default_store)


@pytest.fixture(scope="session")
def records_in(real: Respondents) -> Callable[[bytes], list[str]]:
    """Return a function that finds single real respondents in a file's content; no file stored or shipped has any.

    Looks into zips and npz, for arrays as long as the data or a part of it that cross-validation trains on, for the
    seven scores of anybody as floats in rows or columns, and for the same as text.
    """
    scores = real.X[:, -len(SCORES) :]
    needles = {row.astype(dtype).tobytes() for row in scores for dtype in ("<f8", "<f4")}
    lengths = {len(needle) for needle in needles}
    starts = np.unique(np.frombuffer(b"".join(needle[:8] for needle in needles), np.uint64))
    texts = {tuple(row) for row in scores.round(5).tolist()}
    sizes = {1884, 1885, 1877, 1876}
    sizes |= {size for n in sizes for k in (2, 3, 4, 5, 10) for size in (n // k, n - n // k, -(-n // k), n + -n // k)}

    def hits(block: bytes) -> Iterator[int]:
        """Yield where eight bytes are like the first of a respondent: ten times as fast as a search for each."""
        for offset in range(min(8, len(block) - 7)):
            words = np.frombuffer(block, np.uint64, (len(block) - offset) // 8, offset)
            yield from (offset + 8 * int(i) for i in np.flatnonzero(np.isin(words, starts)))

    def find(content: bytes) -> list[str]:
        file = io.BytesIO(content)
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                return [found for name in archive.namelist() for found in find(archive.read(name))]
        blocks, found = [content], []
        if content.startswith(b"\x93NUMPY"):
            array = np.load(io.BytesIO(content), allow_pickle=False)
            found += [f"an array of shape {array.shape}"] * bool(sizes & set(array.shape))
            blocks = [array.tobytes(), array.T.tobytes()]
        numbers = [round(float(text), 5) for text in re.findall(rb"-?[0-9]+\.[0-9]+", content)]
        windows = zip(*(numbers[i:] for i in range(len(SCORES))), strict=False)
        found += ["the scores of a respondent as text"] * (not texts.isdisjoint(windows))
        parts = (block[hit : hit + length] for block in blocks for hit in hits(block) for length in lengths)
        return found + ["the scores of a respondent"] * any(part in needles for part in parts)

    return find


def _present(path: Path) -> Path:
    if not path.is_file():
        skip(f"no {path}; set DRUGPRED_DATA to the path of {UCI}, the other form beside it")
    return path
