"""A constant load, for measuring service levels."""

from __future__ import annotations

from loadtest.shapes.stages import Stages


class Steady(Stages):
    """A minute: enough for a stable 99th percentile (30,000 requests)."""

    seconds = 60
    stages = ((1, 1),)
