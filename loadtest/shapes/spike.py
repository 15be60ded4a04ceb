"""Ten times the load for a while, to see whether the service recovers from it."""

from __future__ import annotations

from loadtest.shapes.stages import Stages


class Spike(Stages):
    """Two minutes, with as long after the spike as before it, to compare them."""

    seconds = 120
    users = 200
    stages = ((0.4, 0.1), (0.6, 1), (1, 0.1))
