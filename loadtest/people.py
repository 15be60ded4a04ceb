"""People of the load test: drawn from the simulated cohort and serialised once, ahead of the load.

The same people in every run, so that runs compare. No person is real.
"""

from __future__ import annotations

import json
import random
from typing import Any, Final

import numpy as np

from drugpred import codebook
from drugpred.data.simulator import Cohort
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb

__all__ = ["BATCH", "BATCHES", "MESSAGES", "PROFILES"]

PEOPLE: Final = 10_000

BATCH: Final = 100
"""Profiles of one batch request."""

_ROWS: Final = Cohort.load().rows(PEOPLE, np.random.default_rng(0)).tolist()


def _message(row: list[float]) -> bytes:
    fields: dict[str, Any] = dict(zip(codebook.INPUTS, row, strict=True))
    fields |= {category.name: int(fields[category.name]) + 1 for category in codebook.CATEGORIES}
    request = pb.PredictRequest(profile=pb.Profile(band=fields.pop("age"), **fields))
    return bytes(request.SerializeToString())


PROFILES: Final = [json.dumps(codebook.describe(row)) for row in _ROWS]
"""Bodies of POST /predict."""

BATCHES: Final = [
    f'{{"profiles": [{", ".join(random.Random(number).sample(PROFILES, BATCH))}]}}' for number in range(PEOPLE // BATCH)
]
"""Bodies of POST /predict_batch."""

MESSAGES: Final = [_message(row) for row in _ROWS]
"""Requests of Predict over gRPC."""
