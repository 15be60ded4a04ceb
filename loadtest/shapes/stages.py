"""What the shapes of load have in common: stages, each a share of the run with a share of the users."""

# mypy: disallow-untyped-calls=false

from __future__ import annotations

from typing import ClassVar

from locust import LoadTestShape


class Stages(LoadTestShape):
    """A load in stages; locust's -u is the most users, and -t how long all of it takes."""

    abstract = True
    use_common_options = True

    users: ClassVar[int] = 50
    """The most users where -u is not given: 500 requests a second, as the service levels want."""
    seconds: ClassVar[float]
    """How long it takes where -t is not given."""
    stages: ClassVar[tuple[tuple[float, float], ...]]
    """Share of the time at which a stage ends, and its share of the users."""

    def tick(self) -> tuple[int, float] | None:
        """Return how many users there are now, or None at the end."""
        options = self.runner.environment.parsed_options if self.runner else None
        most = (options and options.num_users) or self.users
        elapsed = self.get_run_time() / ((options and options.run_time) or self.seconds)
        for end, share in self.stages:
            if elapsed < end:
                count = max(1, round(share * most))
                return count, min(count, 100)  # the fastest that locust advises
        return None
