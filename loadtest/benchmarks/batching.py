"""Cost and gain of adaptive batching: python -m loadtest.benchmarks.batching.

Measures one endpoint with one profile a request under three dispatchers: none, this project's and BentoML's own. They
take turns. A dispatcher with a failed request has dashes, and is named at the end.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack, suppress
from functools import partial
from typing import Final

from drugpred.schemas import EXAMPLE
from loadtest.benchmarks.generators import ROUNDS, LoadError, Measured, measure, require, wrk
from loadtest.benchmarks.peers.registry import service_of
from loadtest.benchmarks.tables import REQUESTS, table
from loadtest.harness.ports import free_ports
from loadtest.harness.servers import bentoml_serve, exit_on_error, newest_model, run

DISPATCHERS: Final = ("none", "drugpred", "stock")
BURST: Final = 128  # clients of a burst
BODY: Final = {"profiles": [EXAMPLE]}


@exit_on_error()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Compare dispatchers of adaptive batching.")
    parser.add_argument("--seconds", type=int, default=3, help="seconds of load in each of three rounds (default: 3)")
    seconds: int = parser.parse_args().seconds
    require("wrk")
    if failures := compare(seconds):
        print("\nFailed:", *failures, sep="\n")


def compare(seconds: int) -> list[str]:
    """Print the table; return the failures, a line each.

    Raises
    ------
    StoredModelError
        There is no stored model.
    ServerError
        A service does not start.
    """
    model = newest_model()
    failures: list[str] = []
    with ExitStack() as stack:
        urls = {}
        for dispatcher in DISPATCHERS:
            (port,) = free_ports(1)
            command = bentoml_serve(service_of("bentoml_batching"), port)
            server = stack.enter_context(run(command, model, DISPATCHER=dispatcher))
            urls[dispatcher] = f"http://127.0.0.1:{port}"
            server.answer(f"{urls[dispatcher]}/fast", BODY)
        fast = {title: partial(wrk, f"{url}/fast", BODY) for title, url in urls.items()}
        slow = {title: partial(wrk, f"{url}/slow", BODY) for title, url in urls.items()}
        after = {title: partial(_burst_then, f"{url}/fast") for title, url in urls.items()}
        columns = {
            heading: measure(loads, (clients,), seconds, failures)[0]
            for heading, loads, clients in (
                ("1 client", fast, 1),
                ("1 after a burst", after, 1),
                ("8 clients", fast, 8),
                ("32 clients", fast, 32),
                ("128 clients", fast, 128),
                ("32 clients, slow model", slow, 32),
            )
        }
        print(f"{ROUNDS} rounds of {seconds} s in turn, medians; one profile a request; ratio of requests/s to none\n")
        halves = list(columns)[:3], list(columns)[3:]
        print("\n\n".join(table(DISPATCHERS, {of: columns[of] for of in half}, "none", REQUESTS) for half in halves))
    return failures


def _burst_then(url: str, clients: int, seconds: int) -> Measured:
    with suppress(LoadError):  # requests rejected in the burst are seen in the column of 128 clients
        wrk(url, BODY, BURST, seconds)
    return wrk(url, BODY, clients, seconds)


if __name__ == "__main__":
    main()
