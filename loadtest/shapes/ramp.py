"""A rising load, which shows when response times start to rise."""

from __future__ import annotations

from loadtest.shapes.stages import Stages


class Ramp(Stages):
    """Two minutes in ten equal steps, each long enough to be visible in the report's charts."""

    seconds = 120
    users = 200
    stages = tuple((step / 10, step / 10) for step in range(1, 11))
