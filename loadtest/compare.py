"""Requests a second of this service and of its peers: python loadtest/compare.py.

Each contestant is one server of the newest stored model on loopback. All are asked of the same person, and must give
the same probabilities. They take turns: in every round each is loaded for some seconds while the others idle, so that
whatever else the machine does hits them alike. After that the service alone is asked of 1000 people at once, and is
compared with itself on two workers and with API keys and a rate limit.

A contestant that does not start, gives other probabilities or fails a request is named at the end, and the exit code
is 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import numpy as np
from contestants import agreeing, of_peers, of_this, start
from figures import BATCHES, REQUESTS, WORKERS, table
from load import LoadError, wrk
from peers.registry import MEASURE, PEERS, Peer, chosen
from servers import ServerError

from drugpred import codebook, model_store
from drugpred.data.simulator import Cohort
from drugpred.errors import StoredModelError
from drugpred.schemas import EXAMPLE
from drugpred.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from figures import Shown
    from load import Measured

    Load = Callable[[int, int], Measured]
    """Load something from so many clients for so many seconds."""

ROUNDS: Final = 3
KEY: Final = "load"
BATCH: Final = 1000
"""Profiles of one batch request."""


def main() -> None:
    """Measure and print."""
    names = ", ".join(peer.name for peer in PEERS)
    parser = argparse.ArgumentParser(description="Compare the throughput of this service with that of its peers.")
    parser.add_argument("--seconds", type=int, default=5, help="of load in each of three rounds (default: 5)")
    parser.add_argument("--peers", type=_peers, default=PEERS, metavar="A,B", help=f"some of {names} (default: all)")
    arguments = parser.parse_args()
    if missing := [tool for tool in ("h2load", "wrk") if shutil.which(tool) is None]:
        raise SystemExit(f"install {' and '.join(missing)} first; Debian has them as nghttp2-client and wrk")
    try:
        failures = compare(arguments.peers, arguments.seconds)
    except (StoredModelError, ServerError) as error:
        raise SystemExit(f"error: {error}") from error
    if failures:
        print("\nNot measured:", *failures, sep="\n")
        raise SystemExit(1)


def _peers(names: str) -> list[Peer]:
    try:
        return chosen(names)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def compare(peers: Sequence[Peer], seconds: int) -> list[str]:
    """Print all tables; return what could not be measured and why, a line each.

    Raises
    ------
    StoredModelError
        There is no stored model.
    ServerError
        This service itself does not start.
    """
    model = model_store.resolve(Settings().model)
    failures: list[str] = []
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        url, address = start(stack, model, folder)
        two, _ = start(stack, model, folder, workers=2)  # idle until the end, as the next one
        guarded, _ = start(
            stack,
            model,
            folder,
            DRUGPRED_API_KEYS=f"load predict {sha256(KEY.encode()).hexdigest()}",
            DRUGPRED_RATE_LIMIT="1000000000/minute",
        )
        found = of_this(url, address, folder)
        titles = [*(one.title for one in found), *(peer.title for peer in peers)]
        found = agreeing([*found, *of_peers(stack, peers, model, folder, failures)], failures)

        def show(
            titles: Sequence[str], loads: Mapping[str, Load], clients: Sequence[int], measure: str, shown: Shown
        ) -> None:
            results = {}
            for n in clients:
                heading = f"{n} client" + "s" * (n > 1)
                results[heading] = measured(loads, n, seconds, failures)
            print(table(titles, results, measure, shown), flush=True)

        print(f"{ROUNDS} rounds of {seconds} s in turn, medians; {os.cpu_count()} processors")
        print(f"\nOne profile a request; ratio of requests/s to {MEASURE.title}\n", flush=True)
        show(titles, {one.title: one.load for one in found}, (1, 32, 128), MEASURE.title, REQUESTS)
        print(f"\ndrugpred, HTTP, {BATCH} profiles a request\n", flush=True)
        loads = _batches(f"{url}/predict_batch", folder)
        show(list(loads), loads, (1, 4), "", BATCHES)
        print("\ndrugpred, HTTP; wrk cores: the processors that wrk itself kept busy\n", flush=True)
        loads = {
            title: partial(wrk, f"{at}/predict", EXAMPLE, folder)
            for title, at in (("1 worker", url), ("2 workers", two))
        }
        show(list(loads), loads, (32, 128), "1 worker", WORKERS)
        print("\ndrugpred, HTTP\n", flush=True)
        loads = {
            "open": partial(wrk, f"{url}/predict", EXAMPLE, folder),
            "keys and limit": partial(wrk, f"{guarded}/predict", EXAMPLE, folder, key=KEY),
        }
        show(list(loads), loads, (1, 32, 128), "open", REQUESTS)
    return failures


def measured(loads: Mapping[str, Load], clients: int, seconds: int, failures: list[str]) -> dict[str, list[Measured]]:
    """Return the rounds of each contestant, but of one that fails; that is added to `failures`."""
    results: dict[str, list[Measured]] = {title: [] for title in loads}
    for length in (1, *[seconds] * ROUNDS):
        for title in list(results):
            try:
                results[title].append(loads[title](clients, length))
            except LoadError as error:
                failures.append(f"{title}, {clients} clients: {error}")
                del results[title]
    return {title: rounds[1:] for title, rounds in results.items()}  # the first is to warm up


def _batches(url: str, folder: Path) -> dict[str, Load]:
    rows = Cohort.load().rows(BATCH, np.random.default_rng(0)).tolist()
    profiles = [codebook.describe(row) for row in rows]
    one_drug = [{**profile, "drugs": ["cannabis"]} for profile in profiles]
    return {
        title: partial(wrk, url, {"profiles": body}, folder)
        for title, body in (("18 drugs", profiles), ("1 drug", one_drug))
    }


if __name__ == "__main__":
    main()
