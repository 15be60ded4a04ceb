"""Payloads of the load test: people from the simulated cohort, serialized once, before the load.

They are the same in every run, so that runs can be compared. No person is real.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drugpred import codebook
from drugpred.data.simulator import Cohort
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.schemas import EXAMPLE, Profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SERVICE: Final = "/drugpred.v1.DrugPrediction"
PREDICT: Final = f"{SERVICE}/Predict"

PEOPLE: Final = 10_000

BATCH: Final = 100  # profiles of a batch request

EXAMPLE_ROW: Final = Profile.model_validate(EXAMPLE).row()

_CATEGORIES: Final = len(codebook.CATEGORIES)


def draw(n: int) -> NDArray[np.float64]:
    """Return simulated people, shape (n, 12); the same ones each time."""
    return Cohort.load().rows(n, np.random.default_rng(0))


def message(row: Sequence[float]) -> bytes:
    """Return the request of Predict for one person."""
    fields: dict[str, Any] = dict(zip(codebook.INPUTS, row, strict=True))
    fields |= {category.name: int(fields[category.name]) + 1 for category in codebook.CATEGORIES}
    request = pb.PredictRequest(profile=pb.Profile(band=fields.pop("age"), **fields))
    return bytes(request.SerializeToString())


def chunk(rows: NDArray[np.float64]) -> bytes:
    """Return the request of PredictStream for many people, shape (n, 12), as packed columns."""
    codes = (rows[:, :_CATEGORIES].astype(int) + 1).T.tolist()
    columns = dict(zip(codebook.INPUTS, codes + rows[:, _CATEGORIES:].T.tolist(), strict=True))
    return bytes(pb.PredictStreamRequest(**columns).SerializeToString())


_ROWS: Final = draw(PEOPLE).tolist()

PROFILES: Final = [json.dumps(codebook.describe(row)) for row in _ROWS]  # bodies of POST /predict

BATCHES: Final = [
    f'{{"profiles": [{", ".join(random.Random(number).sample(PROFILES, BATCH))}]}}' for number in range(PEOPLE // BATCH)
]
"""Bodies of POST /predict_batch."""

MESSAGES: Final = [message(row) for row in _ROWS]  # requests of Predict over gRPC
