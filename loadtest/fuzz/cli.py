"""Send generated bad requests to a running service: python -m loadtest.fuzz --http URL --grpc HOST:PORT.

Same seed, same requests. Wrong is an answer of 500 or above (but 503 with Retry-After), one of another shape than all
errors have, one that repeats what was sent, and none within a second; also a worker that ended, that grew, or that
answers otherwise than before. Prints how many inputs of each family were answered how, and what was wrong; then the
exit code is 1. --only FAMILY --index N sends one of them again.

With --key nine of ten come with that API key, the others with none, or with what is wrong with keys; wrong is then too
who was let in without it. No answer, log or metric may hold a key.
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

_SHORTEST_KEY: Final = 16  # what is shorter may stand in an answer by chance
_SHOWN: Final = 20  # faults of a family that are printed


def main() -> None:
    """Send, judge and print."""
    parser = argparse.ArgumentParser(description="Send generated bad requests to a running service of this machine.")
    parser.add_argument("--http", default="http://127.0.0.1:3000", metavar="URL", help="(default: %(default)s)")
    parser.add_argument("--grpc", default="127.0.0.1:3001", metavar="HOST:PORT", help="(default: %(default)s)")
    parser.add_argument("--requests", type=int, default=100_000, help="how many in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of what is sent (default: %(default)s)")
    parser.add_argument("--key", type=_key, help="an API key of all scopes, for a service that wants one")
    parser.add_argument("--log", type=Path, help="what the service writes: it must hold no traceback and no values")
    parser.add_argument("--only", choices=[family.name for family in FAMILIES], metavar="FAMILY", help="of this family")
    parser.add_argument("--index", type=int, help="with --only: this one alone, which is shown too")
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
        raise argparse.ArgumentTypeError(f"expected a key of {_SHORTEST_KEY} or more printable ASCII characters")
    return text


def run(service: Service, planned: Sequence[tuple[Family, int]], seed: int) -> list[str]:
    """Send inputs, print what became of them, and return what was wrong."""
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
            return [*fault_lines(runner.faults), f"the service does not answer any more: {error}"]
    for pid in start:
        holds = [
            f"{one.rss:.0f} MB, {one.handles} handles, {one.threads} threads"
            for one in (at[pid] for at in (start, middle, end) if pid in at)
        ]
        print(f"worker {pid} at the start, after half and at the end: {'; '.join(holds)}")
    wrong = fault_lines(runner.faults) + process_monitor.faults(start, middle, end, len(planned))
    if repeats(counted, service.key):
        wrong.append("/metrics: a value that was sent")
    return wrong if same else [*wrong, "the same person gets another prediction than before"]


def table(counts: Mapping[str, Counter[str]]) -> str:
    """Return how many inputs of each family were tried, and how they were answered."""
    rows = [f"{'family':26}{'tried':>8}  answers"]
    for name in sorted(counts):
        answers = ", ".join(f"{status} {n:,}" for status, n in sorted(counts[name].items()))
        rows.append(f"{name:26}{counts[name].total():8,}  {answers}")
    return "\n".join(rows)


def fault_lines(faults: Sequence[Fault]) -> list[str]:
    """Return which inputs were not answered properly, some of each family."""
    by_family = defaultdict(list)
    for fault in faults:
        by_family[fault.family].append(fault)
    shown = []
    for family, faulty in sorted(by_family.items()):
        shown += [f'--only "{family}" --index {one.number}: {one.what}' for one in faulty[:_SHOWN]]
        shown += [f"{family}: {len(faulty) - _SHOWN} more"] * (len(faulty) > _SHOWN)
    return shown


def log_faults(log: Path, key: str = KEY) -> list[str]:
    """Return what is wrong with the lines of a log."""
    wrong = []
    for number, line in enumerate(log.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if repeats(line.encode(), key):
            wrong.append(f"{log}, line {number}: a value that was sent")
        elif "Traceback" in line:
            wrong.append(f"{log}, line {number}: a traceback")
    return wrong[:_SHOWN]
