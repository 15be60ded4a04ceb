"""Requests per second of this service and of its peers: python -m loadtest.benchmarks.compare.

Each target is a server of the newest stored model on loopback. All get requests for the same person, and must return
the same probabilities. They take turns: in every round each gets load for some seconds while the others idle, so that
other work of the machine affects all of them. After that the service alone gets requests for 1000 people at once, and
is compared with itself on two workers and with API keys and a rate limit.

A target that does not start, returns other probabilities or fails a request is named at the end, and the exit status is
1.
"""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from drugpred import codebook
from drugpred.schemas import EXAMPLE
from loadtest.benchmarks.generators import ROUNDS, measure, require, wrk
from loadtest.benchmarks.peers.registry import MEASURE, PEERS, Peer, chosen
from loadtest.benchmarks.tables import BATCHES, REQUESTS, WORKERS, table
from loadtest.benchmarks.targets import agreeing, of_peers, of_service
from loadtest.harness.payloads import draw
from loadtest.harness.servers import exit_on_error, newest_model, serve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadtest.benchmarks.generators import Load
    from loadtest.benchmarks.tables import Shown

KEY: Final = "load"
BATCH: Final = 1000  # profiles of a batch request


@exit_on_error()
def main() -> None:
    """Measure and print."""
    names = ", ".join(peer.name for peer in PEERS)
    parser = argparse.ArgumentParser(description="Compare the throughput of this service with that of its peers.")
    parser.add_argument("--seconds", type=int, default=5, help="seconds of load in each round (default: 5)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds after a warm-up (default: {ROUNDS})")
    parser.add_argument("--peers", type=_peers, default=PEERS, metavar="A,B", help=f"some of {names} (default: all)")
    arguments = parser.parse_args()
    require("h2load", "wrk")
    if failures := compare(arguments.peers, arguments.seconds, arguments.rounds):
        print("\nNot measured:", *failures, sep="\n")
        raise SystemExit(1)


def _peers(names: str) -> list[Peer]:
    try:
        return chosen(names)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def compare(peers: Sequence[Peer], seconds: int, rounds: int = ROUNDS) -> list[str]:
    """Print all tables; return the failures, a line each.

    Raises
    ------
    StoredModelError
        There is no stored model.
    ServerError
        This service itself does not start.
    """
    model = newest_model()
    failures: list[str] = []
    with ExitStack() as stack:
        service = stack.enter_context(serve(model))
        two = stack.enter_context(serve(model, workers=2))  # idle until the end, like the next one
        keys = f"load predict {sha256(KEY.encode()).hexdigest()}"
        guarded = stack.enter_context(serve(model, DRUGPRED_API_KEYS=keys, DRUGPRED_RATE_LIMIT="1000000000/minute"))
        own = of_service(service)
        titles = [*(target.title for target in own), *(peer.title for peer in peers)]
        targets = agreeing([*own, *of_peers(stack, peers, model, failures)], failures)

        def show(
            heading: str,
            loads: Mapping[str, Load],
            clients: Sequence[int],
            shown: Shown,
            of: str,
            titles: Sequence[str] = (),
        ) -> None:
            print(f"\n{heading}\n", flush=True)
            headings = [f"{n} client" + "s" * (n > 1) for n in clients]
            columns = zip(headings, measure(loads, clients, seconds, failures, rounds), strict=True)
            print(table(titles or list(loads), dict(columns), of, shown), flush=True)

        print(f"{rounds} rounds of {seconds} s in turn, medians; {os.cpu_count()} processors")
        show(
            f"One profile a request; ratio of requests/s to {MEASURE.title}",
            {target.title: target.load for target in targets},
            (1, 32, 128),
            REQUESTS,
            MEASURE.title,
            titles,
        )
        batches = _batches(f"{service.url}/predict_batch")
        show(f"drugpred, HTTP, {BATCH} profiles a request", batches, (1, 4), BATCHES, "")
        predict = f"{service.url}/predict"
        show(
            "drugpred, HTTP; wrk cores: the processors that wrk itself kept busy",
            {"1 worker": partial(wrk, predict, EXAMPLE), "2 workers": partial(wrk, f"{two.url}/predict", EXAMPLE)},
            (32, 128),
            WORKERS,
            "1 worker",
        )
        show(
            "drugpred, HTTP",
            {
                "open": partial(wrk, predict, EXAMPLE),
                "keys and limit": partial(wrk, f"{guarded.url}/predict", EXAMPLE, key=KEY),
            },
            (1, 32, 128),
            REQUESTS,
            "open",
        )
    return failures


def _batches(url: str) -> dict[str, Load]:
    profiles = [codebook.describe(row) for row in draw(BATCH).tolist()]
    one_drug = [{**profile, "drugs": ["cannabis"]} for profile in profiles]
    return {"18 drugs": partial(wrk, url, {"profiles": profiles}), "1 drug": partial(wrk, url, {"profiles": one_drug})}


if __name__ == "__main__":
    main()
