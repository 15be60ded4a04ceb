"""What adaptive batching costs and gains: python loadtest/batching.py.

The same endpoint of one profile a request, under three dispatchers: none, this project's and BentoML's own. They take
turns. A dispatcher that fails a request has dashes, and is named at the end.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from compare import ROUNDS, measured
from figures import REQUESTS, table
from load import LoadError, wrk
from peers.ports import free_ports
from peers.registry import bentoml_serve
from servers import ServerError, serving

from drugpred import model_store
from drugpred.errors import StoredModelError
from drugpred.schemas import EXAMPLE
from drugpred.settings import Settings

if TYPE_CHECKING:
    from load import Measured

DISPATCHERS: Final = ("none", "drugpred", "stock")
BURST: Final = 128
"""Clients of a burst."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Compare dispatchers of adaptive batching.")
    parser.add_argument("--seconds", type=int, default=3, help="of load in each of three rounds (default: 3)")
    seconds: int = parser.parse_args().seconds
    if shutil.which("wrk") is None:
        raise SystemExit("install wrk first; Debian has it")
    try:
        failures = compare(seconds)
    except (StoredModelError, ServerError) as error:
        raise SystemExit(f"error: {error}") from error
    if failures:
        print("\nFailed:", *failures, sep="\n")


def compare(seconds: int) -> list[str]:
    """Print the table; return what failed, a line each.

    Raises
    ------
    StoredModelError
        There is no stored model.
    ServerError
        A service does not start.
    """
    model = model_store.resolve(Settings().model)
    failures: list[str] = []
    body = {"profiles": [EXAMPLE]}
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        urls = {}
        for dispatcher in DISPATCHERS:
            (port,) = free_ports(1)
            command = bentoml_serve(sys.executable, "bentoml_batching", port)
            server = stack.enter_context(serving(command, model, folder, DISPATCHER=dispatcher))
            urls[dispatcher] = f"http://127.0.0.1:{port}"
            server.answer(f"{urls[dispatcher]}/fast", body)

        def burst_then(url: str, clients: int, seconds: int) -> Measured:
            with suppress(LoadError):  # what sheds in the burst is seen in the column of 128 clients
                wrk(url, body, folder, BURST, seconds)
            return wrk(url, body, folder, clients, seconds)

        fast = {title: partial(wrk, f"{url}/fast", body, folder) for title, url in urls.items()}
        slow = {title: partial(wrk, f"{url}/slow", body, folder) for title, url in urls.items()}
        after = {title: partial(burst_then, f"{url}/fast") for title, url in urls.items()}
        columns = {}
        for heading, loads, clients in (
            ("1 client", fast, 1),
            ("1 after a burst", after, 1),
            ("8 clients", fast, 8),
            ("32 clients", fast, 32),
            ("128 clients", fast, 128),
            ("32 clients, slow model", slow, 32),
        ):
            columns[heading] = measured(loads, clients, seconds, failures)
        print(f"{ROUNDS} rounds of {seconds} s in turn, medians; one profile a request; ratio of requests/s to none\n")
        halves = list(columns)[:3], list(columns)[3:]
        print("\n\n".join(table(DISPATCHERS, {of: columns[of] for of in half}, "none", REQUESTS) for half in halves))
    return failures


if __name__ == "__main__":
    main()
