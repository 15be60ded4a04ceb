"""Load on a running service, with profiles drawn from the simulated cohort.

usage: locust -f loadtest/locustfile.py --headless --host http://127.0.0.1:3000 -u 8 -t 30s
"""

from __future__ import annotations

import random

import numpy as np
from locust import FastHttpUser, task

from drugpred import codebook
from drugpred.data.cohort import Cohort

BATCH = 100
"""Profiles of one batch request."""


PROFILES = [codebook.describe(row) for row in Cohort.load().rows(10_000, np.random.default_rng()).tolist()]


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
