"""A moderate load for a long time, which shows growth of memory, connections or response times."""

from __future__ import annotations

from loadtest.shapes.stages import Stages


class Soak(Stages):
    """An hour at half of the load of the service levels."""

    seconds = 3600
    users = 25
    stages = ((1, 1),)
