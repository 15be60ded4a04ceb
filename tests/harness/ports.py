"""Free ports of loopback, of which no two processes of a test run get the same."""

import os
import random
from itertools import islice

from loadtest.harness import ports

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_own = ports.CANDIDATES[_WORKER::_WORKERS]
_free = filter(ports.is_free, random.sample(_own, len(_own)))


def free_ports(n: int) -> list[int]:
    """Return `n` ports on which nothing listens, none of which was returned before."""
    return list(islice(_free, n))
