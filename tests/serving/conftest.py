"""The application and the gRPC server in this process, the latter in the event loop of a thread of its own."""

import asyncio
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import grpc
import pytest

from drugpred.codebook import CATEGORIES, INPUTS, SCORES
from drugpred.monitoring.feedback.dedup import SqliteTokenStore
from drugpred.monitoring.feedback.service import FeedbackService
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.drugpred.v1 import drug_prediction_pb2_grpc as pb_grpc
from drugpred.scoring import Scorer
from drugpred.serving import patches
from drugpred.serving.access.policy import AccessPolicy
from drugpred.serving.app import create_app
from drugpred.serving.grpc.server import Server
from drugpred.serving.middleware.shutdown import GracefulShutdown
from drugpred.serving.predictions import PredictionService
from drugpred.serving.v2.dataplane import DataPlane
from drugpred.settings import Settings
from tests.harness.certificates import make_certificates

patches.apply(["grpc_unary", "grpc_log"])  # as service.py does


def service_of(scorer, settings=None):
    """Return the service as the parts of a worker know it."""
    return SimpleNamespace(
        scorer=scorer,
        predictions=PredictionService(scorer),
        inference=DataPlane(scorer),
        feedback=None,
        access=AccessPolicy.from_settings(settings or Settings()),
        worker=SimpleNamespace(shutdown=GracefulShutdown()),
    )


@pytest.fixture(scope="session")
def app_of(tmp_path_factory):
    """Return a function that makes the application of a stored model."""

    def make(stored_model):
        service = service_of(Scorer(stored_model))
        seen = SqliteTokenStore(tmp_path_factory.mktemp("feedback"))
        service.feedback = FeedbackService(service.scorer.signer, seen, stored_model.card)
        app = create_app(lambda: service)
        app.state.service = service
        return app

    return make


@pytest.fixture(scope="session")
def loop():
    """A running event loop; `run(coroutine)` returns the coroutine's result."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="session")
def run(loop):
    """Return a function that runs a coroutine in the event loop, and returns its result."""
    return lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)


@pytest.fixture(scope="session")
def serving(run):
    """Return a context manager of a started server on a free port."""

    @contextmanager
    def serving(scorer, **settings):
        async def start():
            given = Settings(**settings)
            server = Server(service_of(scorer, given), given, "127.0.0.1:0")
            await server.start()
            return server

        server = run(start())
        try:
            yield server
        finally:
            run(server.stop(5))

    return serving


@pytest.fixture(scope="session")
def scorer(stored_model):
    return Scorer(stored_model)


@pytest.fixture(scope="module")
def server(serving, scorer):
    with serving(scorer) as server:
        yield server


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel):
    return pb_grpc.DrugPredictionStub(channel)


@pytest.fixture(scope="session")
def message_of():
    """Return a function that makes the message of a respondent's row."""

    def make(row, **options):
        codes = [int(code) + 1 for code in row[: len(CATEGORIES)]]
        categories = dict(zip(("band", "gender", "education", "country", "ethnicity"), codes, strict=True))
        scores = dict(zip([score.name for score in SCORES], row[len(CATEGORIES) :], strict=True))
        return pb.Profile(**categories, **scores, **options)

    return make


@pytest.fixture(scope="session")
def chunk_of():
    """Return a function that makes the message of many respondents' rows."""

    def make(rows, **options):
        columns = dict(zip(INPUTS, rows.T, strict=True))
        codes = {category.name: columns[category.name].astype(int) + 1 for category in CATEGORIES}
        return pb.PredictStreamRequest(**columns | codes, **options)

    return make


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))
