"""BentoML's metrics of requests, counted by a middleware of our own."""

import asyncio

import pytest
from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from drugpred.serving.patches.request_metrics import BatchCounts, RequestMetricsMiddleware

LABELS = {"service_name": "", "service_version": "not available", "runner_name": ""}


class Client:
    """Metrics in a registry of their own, made as BentoML's client makes them."""

    def __init__(self):
        self.registry = CollectorRegistry()

    def __getattr__(self, name):
        kind = {"Counter": Counter, "Gauge": Gauge, "Histogram": Histogram}.get(name)
        if kind is None:
            return lambda **_: None  # of websockets
        return lambda **options: kind(**options, registry=self.registry)


async def application(scope, receive, send):
    status = 500 if scope["path"] == "/broken" else 200 if scope["path"].startswith("/known") else 404
    if scope["path"] == "/raising":
        raise ArithmeticError
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    await send({"type": "http.response.body", "body": b"b"})


def ask(middleware, *paths):
    async def send(message):
        pass

    async def all_of_them():
        for path in paths:
            await middleware({"type": "http", "path": path, "method": "GET"}, None, send)

    asyncio.run(all_of_them())


def made(kind):
    client = Client()
    middleware = kind(application, "bentoml_service", ["/livez"])
    original = middleware._setup
    middleware._setup = lambda: original(metrics_client=client)
    return middleware, client.registry


@pytest.fixture
def counted():
    """The middleware, and the registry's values of an endpoint's requests with a status."""
    middleware, registry = made(RequestMetricsMiddleware)

    def total(endpoint, status):
        labels = {"endpoint": endpoint, "http_response_code": str(status)}
        matching = [
            sample.value
            for metric in registry.collect()
            for sample in metric.samples
            if sample.name == "bentoml_service_request_total" and labels.items() <= sample.labels.items()
        ]
        assert len(matching) <= 1
        return matching[0] if matching else 0

    middleware.registry, middleware.total = registry, total
    return middleware


def test_an_answered_path_has_series_of_its_own(counted):
    ask(counted, "/known", "/known", "/known/2")
    assert [counted.total(path, 200) for path in ("/known", "/known/2")] == [2, 1]


def test_unknown_paths_share_their_series(counted):
    ask(counted, *(f"/scan/{i}" for i in range(50)))
    assert counted.total("other", 404) == 50
    samples = [sample for metric in counted.registry.collect() for sample in metric.samples]
    assert not [sample for sample in samples if "scan" in str(sample.labels)]


def test_an_error_of_a_known_path_is_its_own(counted):
    ask(counted, "/broken")
    assert counted.total("other", 500) == 1
    counted._know("/broken")
    ask(counted, "/broken")
    assert counted.total("/broken", 500) == 1


def test_an_exception_is_counted_as_500(counted):
    for _ in range(2):
        with pytest.raises(ArithmeticError):
            ask(counted, "/raising")
    assert counted.total("other", 500) == 2


@pytest.mark.parametrize("fails", [False, True])
def test_all_metrics_are_there_before_the_worker_is_ready_or_it_does_not_start(fails):
    middleware, registry = made(RequestMetricsMiddleware)
    original, passed, sent = middleware._know, [], []

    def know(path):
        original(path)
        if fails:
            raise OSError(28, "No space left on device")

    async def rest(scope, receive, send):
        passed.append(scope["type"])

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(message):
        sent.append(message["type"])

    middleware._know, middleware.app = know, rest
    asyncio.run(middleware({"type": "lifespan"}, receive, send))
    assert passed == ([] if fails else ["lifespan"])
    assert sent == (["lifespan.startup.failed"] if fails else [])
    assert any(metric.samples for metric in registry.collect() if metric.name.endswith("in_progress"))


def test_nothing_is_in_progress_after_an_exception(counted):
    with pytest.raises(ArithmeticError):
        ask(counted, "/raising")
    values = [
        sample.value
        for metric in counted.registry.collect()
        for sample in metric.samples
        if sample.name.endswith("in_progress")
    ]
    assert values
    assert set(values) == {0}


def test_the_metrics_page_is_not_counted(counted):
    ask(counted, "/metrics")
    assert counted.total("other", 404) == 0


def test_the_series_are_those_of_bentoml():
    def series(kind):
        middleware, registry = made(kind)
        ask(middleware, "/known", "/livez", "/known")
        samples = [sample for metric in registry.collect() for sample in metric.samples]
        of_known = [s for s in samples if s.labels.get("endpoint", "/known") == "/known" and "_created" not in s.name]
        return {
            (s.name, *sorted(s.labels.items())): s.value
            for s in of_known
            if not s.name.endswith(("_sum", "_bucket", "timestamp_seconds"))
        }

    assert series(RequestMetricsMiddleware) == series(RunnerTrafficMetricsMiddleware)


def test_requests_answered_elsewhere_are_counted_together_as_each_would_be(counted, monkeypatch):
    ask(counted, "/known")
    series = [counted._series("/known", 200)[1], counted._in_progress["/known"]]
    seconds = [0.0002, 0.0003, 0.005, 0.005, 0.3, 100.0]
    shown = []

    async def count():
        counts = BatchCounts(counted, "/known")
        for _ in seconds:
            counts.begin()
        asyncio.get_running_loop().call_soon(lambda: shown.append(series[1]._value.get()))
        await asyncio.sleep(0)
        counts.end(None)
        for each in seconds[1:]:
            counts.end(each)
        for _ in range(3):
            await asyncio.sleep(0)

    before = counted._series("/known", 299)[1]  # of no request
    for each in seconds[1:]:
        before.observe(each)
    old = [bucket.get() for bucket in series[0]._buckets]
    asyncio.run(count())
    assert shown == [len(seconds)]
    assert series[1]._value.get() == 0
    assert counted.total("/known", 200) == 1 + len(seconds) - 1
    grown = [bucket.get() - past for bucket, past in zip(series[0]._buckets, old, strict=True)]
    assert grown == [bucket.get() for bucket in before._buckets]
