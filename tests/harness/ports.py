"""Free ports of loopback, of which no two processes of a test run get the same."""

import os
import random

from loadtest.harness import ports

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_own = list(ports.CANDIDATES[_WORKER::_WORKERS])
random.shuffle(_own)


def free_ports(n: int) -> list[int]:
    """Return `n` ports on which nothing listens, none of which was returned before."""
    found = []
    while len(found) < n:
        port = _own.pop()
        if ports.is_free(port):
            found.append(port)
    return found
