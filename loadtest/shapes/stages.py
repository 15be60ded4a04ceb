"""The base class of the load shapes: stages, each a share of the time with a share of the users."""

# mypy: disallow-untyped-calls=false

from __future__ import annotations

from typing import ClassVar

from locust import LoadTestShape


class Stages(LoadTestShape):
    """A load in stages; locust's -u is the number of users, and -t the duration."""

    abstract = True
    use_common_options = True

    users: ClassVar[int] = 50
    """Number of users without -u: 500 requests per second, as in the service levels."""
    seconds: ClassVar[float]
    """Duration without -t."""
    stages: ClassVar[tuple[tuple[float, float], ...]]
    """End of each stage as a share of the time, and its share of the users."""

    def tick(self) -> tuple[int, float] | None:
        """Return the present number of users, or None at the end."""
        options = self.runner.environment.parsed_options if self.runner else None
        most = (options and options.num_users) or self.users
        elapsed = self.get_run_time() / ((options and options.run_time) or self.seconds)
        for end, share in self.stages:
            if elapsed < end:
                count = max(1, round(share * most))
                return count, min(count, 100)  # the fastest rate that locust recommends
        return None
