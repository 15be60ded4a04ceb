"""Load on a running service, with profiles drawn from the simulated cohort.

usage: locust -f loadtest/locustfile.py --headless --host http://127.0.0.1:3000 -u 8 -t 30s
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from locust import FastHttpUser, task

from drugpred import codebook
from drugpred.data.cohort import Cohort

BATCH = 100
"""Profiles of one batch request."""


def draw_profiles(n: int) -> list[dict[str, Any]]:
    """Return n drawn profiles as a caller would send them."""
    profiles = []
    for row in Cohort.load().rows(n, np.random.default_rng()).tolist():
        profile: dict[str, Any] = dict(zip(codebook.INPUTS, row, strict=True))
        for category in codebook.CATEGORIES:
            profile[category.name] = category.labels[int(profile[category.name])]
        profiles.append(profile)
    return profiles


PROFILES = draw_profiles(10_000)


class Person(FastHttpUser):
    """Somebody who asks of one person at a time."""

    weight = 3

    @task
    def predict(self) -> None:
        """POST /predict."""
        self.client.post("/predict", json=random.choice(PROFILES))


class Researcher(FastHttpUser):
    """Somebody who asks of many people at once."""

    weight = 1

    @task
    def predict_batch(self) -> None:
        """POST /predict_batch."""
        self.client.post("/predict_batch", json={"profiles": random.sample(PROFILES, BATCH)})
