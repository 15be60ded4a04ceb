"""Profiles per second through PredictStream of a running service: python -m loadtest.benchmarks.stream [HOST:PORT].

One stream of chunks of packed columns, drawn from the simulated cohort. For `bentoml serve` with its single worker that
is the speed of one process.
"""

from __future__ import annotations

import argparse
import time
from itertools import cycle
from typing import TYPE_CHECKING, Final

import grpc
import numpy as np

from drugpred.codebook import DRUGS
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from loadtest.harness.payloads import SERVICE, chunk, draw

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK: Final = 1000  # people in each message
CHUNKS: Final = 20  # different chunks, sent repeatedly
SECONDS: Final = 5.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure profiles per second through PredictStream.")
    parser.add_argument(
        "address", nargs="?", default="127.0.0.1:3001", help="host and port of the service (default: 127.0.0.1:3001)"
    )
    address: str = parser.parse_args().address
    chunks = [chunk(rows) for rows in np.split(draw(CHUNK * CHUNKS), CHUNKS)]
    started = 0.0

    def requests() -> Iterator[bytes]:
        for message in cycle(chunks):
            if time.monotonic() - started >= SECONDS:
                return
            yield message

    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(30)
        stream = channel.stream_stream(
            f"{SERVICE}/PredictStream", response_deserializer=pb.PredictStreamResponse.FromString
        )
        started = time.monotonic()
        answers = 0
        for answer in stream(requests()):
            if len(answer.probabilities) != CHUNK * len(DRUGS):
                raise SystemExit("expected a probability for each person and drug")
            answers += 1
        seconds = time.monotonic() - started
    print(f"{answers * CHUNK / seconds:,.0f} profiles/s, {answers} chunks of {CHUNK} in {seconds:.1f} s")


if __name__ == "__main__":
    main()
