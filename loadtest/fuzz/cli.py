"""Send generated bad requests to a running service: python -m loadtest.fuzz --http URL --grpc HOST:PORT.

The same seed sends the same requests. Faults are: an answer with status 500 or above (except 503 with Retry-After), an
error in another format, an answer that repeats a value of the request, an answer after more than a second, a worker
that ended or grew, and another answer to the same person than before. Prints the answers to each family of inputs, and
the faults; if there are faults, the exit status is 1. --only FAMILY --index N sends one input again.

With --key nine of ten inputs have that API key, the others none or a wrong one; a request that is accepted without the
key is a fault too. No answer, log or metric may contain a key.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx
import uvloop

from loadtest.fuzz import grpc_inputs, http_inputs, key_inputs, process_monitor, wire_inputs
from loadtest.fuzz.inputs import KEY, Service, generate, plan
from loadtest.fuzz.oracle import repeats
from loadtest.fuzz.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadtest.fuzz.inputs import Family
    from loadtest.fuzz.runner import Fault

_OTHERS: Final = (*http_inputs.FAMILIES, *wire_inputs.FAMILIES, *grpc_inputs.FAMILIES)
FAMILIES: Final = (*_OTHERS, *key_inputs.families(KEY))

_SHORTEST_KEY: Final = 16  # a shorter key may occur in an answer by chance
_SHOWN: Final = 20  # printed faults of each family


def main() -> None:
    """Send, judge and print."""
    parser = argparse.ArgumentParser(description="Send generated bad requests to a running service of this machine.")
    parser.add_argument("--http", default="http://127.0.0.1:3000", metavar="URL", help="(default: %(default)s)")
    parser.add_argument("--grpc", default="127.0.0.1:3001", metavar="HOST:PORT", help="(default: %(default)s)")
    parser.add_argument("--requests", type=int, default=100_000, help="number of requests (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the inputs (default: %(default)s)")
    parser.add_argument("--key", type=_key, help="an API key with all scopes, if the service requires one")
    parser.add_argument("--log", type=Path, help="log of the service: it must contain no traceback and no values")
    parser.add_argument(
        "--only", choices=[family.name for family in FAMILIES], metavar="FAMILY", help="only inputs of this family"
    )
    parser.add_argument("--index", type=int, help="with --only: only this input, which is printed too")
    arguments = parser.parse_args()
    key = arguments.key or KEY
    families = [*_OTHERS, *key_inputs.families(key)]
    families = [family for family in families if arguments.only in {None, family.name}]
    if arguments.index is None:
        try:
            planned = plan(families, arguments.requests, arguments.seed)
        except ValueError as error:
            parser.error(str(error))
    else:
        planned = [(families[0], arguments.index)]
        print(repr(generate(families[0], arguments.seed, arguments.index)).replace(key, KEY)[:2000])
    try:
        url, (grpc_host, _, grpc_port) = urlsplit(arguments.http), arguments.grpc.rpartition(":")
        at = (url.hostname or "", url.port or 80), (grpc_host, int(grpc_port))
        wrong = run(Service(*at, key, wants_key=bool(arguments.key)), planned, arguments.seed)
    except (LookupError, httpx.HTTPError) as error:
        raise SystemExit(f"error: {error}") from error
    if arguments.log:
        wrong += log_faults(arguments.log, key)
    if wrong:
        print("\nWrong:", *wrong, sep="\n")
        sys.exit(1)


def _key(text: str) -> str:
    if len(text) < _SHORTEST_KEY or not (text.isascii() and text.isprintable()):
        raise argparse.ArgumentTypeError(f"expected a key of at least {_SHORTEST_KEY} printable ASCII characters")
    return text


def run(service: Service, planned: Sequence[tuple[Family, int]], seed: int) -> list[str]:
    """Send inputs, print a table of the outcomes, and return the faults."""
    host, port = service.http
    headers = {"authorization": f"Bearer {service.key}"} if service.wants_key else {}
    client = httpx.Client(base_url=f"http://{host}:{port}", timeout=10, headers=headers)
    before, start = process_monitor.predict(client), process_monitor.usage(port)
    begun = time.monotonic()
    runner = Runner(service, seed)
    half = len(planned) // 2
    with process_monitor.LowestMemory(start) as lowest:
        uvloop.run(runner.send(planned[:half]))
        middle = lowest.of(process_monitor.usage(port))
        uvloop.run(runner.send(planned[half:]))
        seconds = time.monotonic() - begun
        print(table(runner.counts))
        print(f"\n{len(planned):,} inputs of {len(runner.counts)} families in {seconds:.0f} s, seed {seed}")
        try:
            end = lowest.of(process_monitor.usage(port))
            same = process_monitor.same_answer(before, process_monitor.predict(client))
            counted = client.get("/metrics").raise_for_status().content
        except (LookupError, httpx.HTTPError) as error:
            return [*fault_lines(runner.faults), f"the service no longer answers: {error}"]
    for pid in start:
        holds = [
            f"{one.rss:.0f} MB, {one.handles} handles, {one.threads} threads"
            for one in (at[pid] for at in (start, middle, end) if pid in at)
        ]
        print(f"worker {pid} at the start, after half and at the end: {'; '.join(holds)}")
    wrong = fault_lines(runner.faults) + process_monitor.faults(start, middle, end, len(planned))
    if repeats(counted, service.key):
        wrong.append("/metrics: a value that was sent")
    return wrong if same else [*wrong, "the prediction for the same person has changed"]


def table(counts: Mapping[str, Counter[str]]) -> str:
    """Return a table of the number of inputs and of their answers for each family."""
    rows = [f"{'family':26}{'tried':>8}  answers"]
    for name in sorted(counts):
        answers = ", ".join(f"{status} {n:,}" for status, n in sorted(counts[name].items()))
        rows.append(f"{name:26}{counts[name].total():8,}  {answers}")
    return "\n".join(rows)


def fault_lines(faults: Sequence[Fault]) -> list[str]:
    """Return the faulty inputs, some of each family."""
    by_family = defaultdict(list)
    for fault in faults:
        by_family[fault.family].append(fault)
    shown = []
    for family, faulty in sorted(by_family.items()):
        shown += [f'--only "{family}" --index {one.number}: {one.what}' for one in faulty[:_SHOWN]]
        shown += [f"{family}: {len(faulty) - _SHOWN} more"] * (len(faulty) > _SHOWN)
    return shown


def log_faults(log: Path, key: str = KEY) -> list[str]:
    """Return the faults in the lines of a log."""
    wrong = []
    for number, line in enumerate(log.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if repeats(line.encode(), key):
            wrong.append(f"{log}, line {number}: a value that was sent")
        elif "Traceback" in line:
            wrong.append(f"{log}, line {number}: a traceback")
    return wrong[:_SHOWN]
