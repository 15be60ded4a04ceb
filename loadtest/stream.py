"""Profiles a second through PredictStream of a running service: python loadtest/stream.py [HOST:PORT].

One stream of chunks of packed columns, drawn from the simulated cohort. Against `bentoml serve` with its one worker,
that is what one process does.
"""

from __future__ import annotations

import argparse
import time
from itertools import cycle
from typing import TYPE_CHECKING, Final

import grpc
import numpy as np

from drugpred import codebook
from drugpred.data.simulator import Cohort
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK: Final = 1000
"""People in a message."""

CHUNKS: Final = 20
"""Different ones, sent over and over."""

SECONDS: Final = 5.0


def chunks() -> list[pb.PredictStreamRequest]:
    """Draw people and pack them."""
    rows = Cohort.load().rows(CHUNK * CHUNKS, np.random.default_rng())
    columns = dict(zip(codebook.INPUTS, rows.T, strict=True))
    codes = {category.name: columns.pop(category.name).astype(int) + 1 for category in codebook.CATEGORIES}
    packed = {name: column.tolist() for name, column in (codes | columns).items()}
    return [
        pb.PredictStreamRequest(**{name: column[start : start + CHUNK] for name, column in packed.items()})
        for start in range(0, CHUNK * CHUNKS, CHUNK)
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure profiles a second through PredictStream.")
    parser.add_argument("address", nargs="?", default="127.0.0.1:3001", help="of a service (default: 127.0.0.1:3001)")
    address: str = parser.parse_args().address
    drawn = chunks()
    started = 0.0

    def asked() -> Iterator[pb.PredictStreamRequest]:
        for chunk in cycle(drawn):
            if time.monotonic() - started >= SECONDS:
                return
            yield chunk

    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(30)
        started = time.monotonic()
        answers = 0
        stream = channel.stream_stream(
            "/drugpred.v1.DrugPrediction/PredictStream",
            pb.PredictStreamRequest.SerializeToString,
            pb.PredictStreamResponse.FromString,
        )
        for answer in stream(asked()):
            if len(answer.probabilities) != CHUNK * len(codebook.DRUGS):
                raise SystemExit("an answer is not of all people and drugs")
            answers += 1
        seconds = time.monotonic() - started
    print(f"{answers * CHUNK / seconds:,.0f} profiles/s, {answers} chunks of {CHUNK} in {seconds:.1f} s")


if __name__ == "__main__":
    main()
