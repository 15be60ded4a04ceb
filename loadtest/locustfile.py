r"""Load on a running service, over HTTP and gRPC.

usage: locust -f loadtest/locustfile.py PredictUser --headless --host http://127.0.0.1:3000 -u 55 -r 55 -t 30s \
           --levels loadtest/slo.yaml --html report.html

Users are selected by the name of their class; by default all are used. Each sends RATE requests per second, so their
number sets the load. A wrong answer counts as a failure. With --levels the exit status says whether the service levels
were met. A file of loadtest/shapes, given with another -f, changes the number of users over time.
"""

# locust has no types for its decorators and calls.
# mypy: disallow-untyped-calls=false, disallow-untyped-decorators=false
# ruff: noqa: RUF012 - class attributes as in locust

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import gevent
import grpc
from grpc.experimental import gevent as grpc_gevent
from locust import FastHttpUser, User, constant_pacing, events, task
from locust.exception import StopTest
from locust.runners import WorkerRunner

from drugpred.codebook import DRUGS
from drugpred.errors import ConfigurationError
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.settings import Settings
from loadtest import slo
from loadtest.harness import payloads

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable

    from locust.env import Environment
    from locust.stats import StatsEntry

RATE: Final = 10.0  # requests per second of a user, if answers take less than 0.1 s
SECONDS: Final = 60.0  # timeout of an answer over gRPC, as the default over HTTP

# Without it a waiting call would block every user.
grpc_gevent.init_gevent()


class _Paced(User):
    abstract = True

    def wait_time(self) -> float:
        """Return a random wait with a mean rate of RATE.

        Requests of people are independent. With constant waits, users delayed by a pause of the server would send their
        requests at the same moments from then on.
        """
        return constant_pacing(random.expovariate(RATE))(self)


class _HTTPUser(_Paced, FastHttpUser):
    abstract = True
    default_headers = {"Content-Type": "application/json"}

    def predict(self) -> None:
        """Send POST /predict."""
        self._ask("/predict", random.choice(payloads.PROFILES), lambda answer: [len(answer["risks"])] == [len(DRUGS)])

    def predict_batch(self) -> None:
        """Send POST /predict_batch."""
        expected = [len(DRUGS)] * payloads.BATCH
        body = random.choice(payloads.BATCHES)
        self._ask("/predict_batch", body, lambda answers: [len(answer["risks"]) for answer in answers] == expected)

    def _ask(self, path: str, body: str, complete: Callable[[Any], bool]) -> None:
        with self.client.post(path, data=body, catch_response=True) as response:
            if not response.ok or response.status_code == 0:  # locust counts these as failures itself, by their names
                return
            try:
                right = response.status_code == 200 and complete(json.loads(response.content))
            except (ValueError, LookupError, TypeError):
                right = False
            if not right:
                response.failure(f"expected status 200 and {len(DRUGS)} risks for every profile")


class PredictUser(_HTTPUser):
    """A client that requests one person at a time."""

    tasks = [_HTTPUser.predict]


class PredictBatchUser(_HTTPUser):
    """A client that requests many people at once."""

    tasks = [_HTTPUser.predict_batch]


class MixedUser(_HTTPUser):
    """A client that mostly requests one person, and sometimes many."""

    tasks = [*[_HTTPUser.predict] * 3, _HTTPUser.predict_batch]


class GrpcUser(_Paced):
    """A client that requests one person at a time over gRPC, with its own connection."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        host, options = urlsplit(self.host or "").hostname, environment.parsed_options
        if not (host and options):
            raise StopTest("expected the service's URL, such as --host http://127.0.0.1:3000")
        address = f"{host}:{options.grpc_port}"
        # By default channels to one address share a connection.
        self.channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
        self.ask = self.channel.unary_unary(payloads.PREDICT, response_deserializer=pb.PredictResponse.FromString)

    def on_stop(self) -> None:
        """Close the connection."""
        self.channel.close()

    @task
    def predict(self) -> None:
        """Call Predict."""
        message = random.choice(payloads.MESSAGES)
        length, fault = 0, None
        started = time.perf_counter()
        try:
            answer = self.ask(message, timeout=SECONDS)
        except grpc.RpcError as error:
            # grpc's text differs each time, and each would be a line of the report.
            fault = f"{error.code().name}: {error.details()}"
        milliseconds = 1000 * (time.perf_counter() - started)
        if not fault:
            length = answer.ByteSize()
            if len(answer.prediction.risks) != len(DRUGS):
                fault = f"expected {len(DRUGS)} risks"
        self.environment.events.request.fire(
            request_type="gRPC",
            name=payloads.PREDICT,
            response_time=milliseconds,
            response_length=length,
            exception=fault,
            context=self.context(),
        )


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser) -> None:
    """Add the options of this file."""
    port = Settings().grpc_port
    parser.add_argument(
        "--grpc-port", type=int, default=port, help=f"gRPC port on the host of --host (default: {port})"
    )
    parser.add_argument(
        "--levels", metavar="PATH", help="a file of service levels; if one is missed, the exit status is 1"
    )


@events.init.add_listener
def update_clock(**_: object) -> None:
    """Let --run-time begin now: gevent's clock stood still during the imports, which would count as part of it."""
    gevent.get_hub().loop.update_now()


@events.init.add_listener
def read_levels(environment: Environment, **_: object) -> None:
    """Read the service levels before the load, and check them after it."""
    options, runner = environment.parsed_options, environment.runner
    if not (options and options.levels and runner) or isinstance(runner, WorkerRunner):
        return
    try:
        wanted = slo.read(Path(options.levels))
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)

    def judge(**_: object) -> None:
        stats = environment.stats
        measured = {f"{entry.method} {entry.name}": measure(entry) for entry in stats.entries.values()}
        if stats.total.num_requests:
            measured["Aggregated"] = measure(stats.total)
        verdicts = slo.check(wanted, measured)
        met = all(verdict.met for verdict in verdicts)
        # Failed requests are judged by their level; an exception of a user is no failure of the service.
        environment.process_exit_code = 0 if met and not runner.exceptions else 1
        environment.events.quit.add_listener(lambda **_: print(slo.table(verdicts)))  # after locust's own tables

    environment.events.quitting.add_listener(judge)


def measure(entry: StatsEntry) -> dict[str, float]:
    """Return locust's measurements; it rounds response times to milliseconds, from 100 to two digits."""
    times = {f"p{share}_ms": entry.get_response_time_percentile(share / 100) for share in (50, 95, 99)}
    return times | {"error_rate": entry.fail_ratio, "requests_per_second": entry.total_rps}
