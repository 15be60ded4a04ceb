"""Time of one profile in the serving process, without HTTP: python -m loadtest.benchmarks.micro.

Prints microseconds per profile with the newest stored model, and those of the stored scikit-learn pipeline in the same
run. BLAS uses one thread. It is time of the processor, which other programs disturb less.
"""

from __future__ import annotations

import json
import math
import time
import timeit
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import skops.io
from threadpoolctl import threadpool_limits

from drugpred import model_store
from drugpred.schemas import EXAMPLE, Profile
from drugpred.scoring import Scorer
from drugpred.training.estimators import TRUSTED
from loadtest.harness.payloads import draw
from loadtest.harness.servers import exit_on_error, newest_model

if TYPE_CHECKING:
    from collections.abc import Callable

REPEATS = 5
PROFILES = 8192
_SECONDS = 0.05  # of a timing


def microseconds(call: Callable[[], object], profiles: int = 1) -> float:
    """Return the best of several timings, per profile: disturbances only make a timing longer."""
    timer = timeit.Timer(call, timer=time.process_time)
    timer.timeit(1)
    number = math.ceil(_SECONDS / timer.timeit(1))
    return min(timer.repeat(REPEATS, number)) / number / profiles * 1e6


def answered(scorer: Scorer, profile: Profile) -> None:
    """Predict, sign and count as a worker does with 32 clients within a second."""
    for _ in range(PROFILES // 32):
        scorer.predict_arrays([profile] * 32)
    scorer.counter.flush()


@exit_on_error()
def main() -> None:
    """Measure and print."""
    stored = model_store.read(newest_model())
    pipeline = skops.io.load(stored.path / "pipeline.skops", trusted=TRUSTED)
    predictor, scorer = stored.predictor, Scorer(stored)
    body = json.dumps(EXAMPLE).encode()
    profile = Profile.model_validate_json(body)
    row = np.array([profile.row()], np.float64)
    rows = draw(1000)
    answer = scorer.predict([profile])[0]
    compared = Scorer(stored, challenger=replace(stored, tag=f"{stored.tag}-again"))
    uncertainty, probable = stored.uncertainty, predictor.predict_proba(row)
    with threadpool_limits(1):
        probabilities = microseconds(lambda: predictor.predict_proba(row))
        encoded = microseconds(lambda: predictor.predict_proba(np.array([profile.row()], np.float64)))
        print(f"{'us per profile':48}{'us':>10}")
        for name, figure in {
            "encoded row -> 18 drugs x 6 windows": probabilities,
            "validated profile -> 18 drugs x 6 windows": encoded,
            "the same from rows, in batches of 1000": microseconds(lambda: predictor.predict_proba(rows), len(rows)),
            "JSON -> validated profile": microseconds(lambda: Profile.model_validate_json(body)),
            "validated profile -> answer": microseconds(lambda: scorer.predict([profile])),
            "validated profiles -> arrays and counts, 32": microseconds(lambda: answered(scorer, profile), PROFILES),
            "the same with a challenger": microseconds(lambda: answered(compared, profile), PROFILES),
            "answer -> JSON": microseconds(answer.model_dump_json),
            "row, probabilities -> intervals of 18 x 6": microseconds(lambda: uncertainty.intervals(row, probable)),
            "row -> support": microseconds(lambda: uncertainty.support(row)),
            "explanation of 18 drugs": microseconds(lambda: stored.explainer.explain(row[0])),
            "stored scikit-learn pipeline, 1 row": microseconds(lambda: pipeline.predict_proba(row)),
        }.items():
            print(f"{name:48}{figure:10.1f}")


if __name__ == "__main__":
    main()
