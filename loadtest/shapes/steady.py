"""The same load all the time, by which service levels are measured."""

from __future__ import annotations

from loadtest.shapes.stages import Stages


class Steady(Stages):
    """A minute: long enough for a stable 99th percentile (30,000 requests)."""

    seconds = 60
    stages = ((1, 1),)
