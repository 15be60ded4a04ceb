"""Ten times the load for a while, which shows whether the service recovers."""

from __future__ import annotations

from loadtest.shapes.stages import Stages


class Spike(Stages):
    """Two minutes, with equal times before and after the spike."""

    seconds = 120
    users = 200
    stages = ((0.4, 0.1), (0.6, 1), (1, 0.1))
