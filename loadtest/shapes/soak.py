"""A moderate load for long, to see what grows: memory, connections, response times."""

from __future__ import annotations

from loadtest.shapes.stages import Stages


class Soak(Stages):
    """An hour at half of the load that the service levels want."""

    seconds = 3600
    users = 25
    stages = ((1, 1),)
