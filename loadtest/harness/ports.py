"""Free ports of loopback."""

from __future__ import annotations

import random
import socket
from itertools import islice
from pathlib import Path
from typing import Final


def _first_ephemeral() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except OSError:  # not Linux
        return 32768


CANDIDATES: Final = range(10_240, max(_first_ephemeral(), 10_340))
"""Below the ports that the system gives to connections and to BentoML's own sockets, which might take one first."""


def is_free(port: int) -> bool:
    """Return whether nothing listens at a port."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False


def free_ports(n: int) -> list[int]:
    """Return `n` ports of loopback on which nothing listens."""
    return list(islice(filter(is_free, random.sample(CANDIDATES, len(CANDIDATES))), n))
