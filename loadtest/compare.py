"""Requests a second of this service and of its peers: python loadtest/compare.py.

Each contestant is one process that serves the newest stored model on loopback. All are asked the same profile, and must
give the same probabilities. They take turns: in every round each is loaded for some seconds while the others idle, so
that whatever else the machine does hits them alike. wrk loads HTTP and h2load gRPC, each with one thread, and every
client is a connection with one request at a time. A request that fails ends the comparison.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NamedTuple

import grpc
import httpx
from peers import PEERS

from drugpred import bundle
from drugpred.schemas import EXAMPLE, Prediction
from drugpred.serving.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT: Final = Path(__file__).parents[1]
METHOD: Final = "/drugpred.v1.DrugPrediction/Predict"
CLIENTS: Final = (1, 32, 128)
ROUNDS: Final = 3

# EXAMPLE as a message.
REQUEST: Final = pb.PredictRequest(
    profile=pb.Profile(
        years=25,
        gender=pb.GENDER_FEMALE,
        education=pb.EDUCATION_UNIVERSITY_DEGREE,
        country=pb.COUNTRY_UK,
        ethnicity=pb.ETHNICITY_WHITE,
        neuroticism=0.31,
        extraversion=-0.58,
        openness=1.24,
        agreeableness=-0.30,
        conscientiousness=-0.14,
        impulsivity=0.53,
        sensation_seeking=0.77,
    )
)

# What wrk sends, and what it prints at the end.
LUA: Final = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = [[%s]]
function done(summary, latency)
    local e = summary.errors
    io.write("\\n", summary.requests, " ", summary.duration, " ", latency:percentile(50), " ",
        e.connect + e.read + e.write + e.status + e.timeout, "\\n")
end
"""


class Measured(NamedTuple):
    """What one contestant did in one round."""

    rate: float
    """Requests a second."""
    milliseconds: float
    """Median of what a request took."""


class Contestant(NamedTuple):
    """A way to ask for a prediction."""

    title: str
    load: Callable[[int, int], Measured]
    """Load it from so many clients for so many seconds."""


def wrk(url: str, folder: Path, clients: int, seconds: int) -> Measured:
    """Load an HTTP endpoint."""
    script = folder / "wrk.lua"
    script.write_text(LUA % json.dumps(EXAMPLE))
    said = _run("wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "-s", script, url)
    requests, duration, middle, errors = map(float, said.splitlines()[-1].split())
    if errors or not requests:
        raise SystemExit(f"requests to {url} failed:\n{said}")
    return Measured(requests / duration * 1e6, middle / 1e3)


def h2load(address: str, folder: Path, answer: int, clients: int, seconds: int) -> Measured:
    """Load gRPC, whose answers are of a known length: the status of a call that failed comes without one."""
    body, log = folder / "request", folder / "h2load.log"
    message = REQUEST.SerializeToString()
    body.write_bytes(b"\0" + len(message).to_bytes(4) + message)
    log.unlink(missing_ok=True)
    headers = ("-H", "content-type: application/grpc", "-H", "te: trailers")
    options = ("-t1", f"-c{clients}", "-m1", f"-D{seconds}", "-d", body, *headers, f"--log-file={log}")
    said = _run("h2load", *options, f"http://{address}{METHOD}")
    took = [int(line.split("\t")[2]) for line in log.read_text().splitlines()]
    received = re.search(r"\((\d+)\) data$", said, re.MULTILINE)
    whole = received and int(received[1]) >= len(took) * (5 + answer)
    if not took or not whole or not re.search(r" 0 failed, 0 errored, 0 timeout$", said, re.MULTILINE):
        raise SystemExit(f"calls to {address} failed:\n{said}")
    return Measured(len(took) / seconds, median(took) / 1e3)


def _run(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own commands


@contextmanager
def contestants() -> Iterator[list[Contestant]]:
    """Start all servers, see that they say the same, and stop them at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        http, rpc, *others = _free_ports(2 + len(PEERS))
        ours = [sys.executable, "-m", "bentoml", "serve", ".", "--host", "127.0.0.1", "--port", str(http)]
        answers = [stack.enter_context(_serving(ours, f"http://127.0.0.1:{http}/predict", folder, grpc_port=rpc))]
        message = _call(f"127.0.0.1:{rpc}")
        answers.append([risk.probability for risk in pb.PredictResponse.FromString(message).prediction.risks])
        found = [
            Contestant("drugpred, HTTP", lambda *load: wrk(f"http://127.0.0.1:{http}/predict", folder, *load)),
            Contestant("drugpred, gRPC", lambda *load: h2load(f"127.0.0.1:{rpc}", folder, len(message), *load)),
        ]
        for peer, port in zip(PEERS, others, strict=True):
            url = f"http://127.0.0.1:{port}{peer.path}"
            answers.append(stack.enter_context(_serving(peer.command(port), url, folder)))
            found.append(Contestant(peer.title, lambda *load, url=url: wrk(url, folder, *load)))
        if any(abs(one - other) > 1e-9 for answer in answers for one, other in zip(answer, answers[0], strict=True)):
            raise SystemExit("the contestants do not give the same probabilities")
        yield found


def _free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(n)]
        return [probe.getsockname()[1] for probe in probes]


@contextmanager
def _serving(command: list[str], url: str, folder: Path, grpc_port: int = 0) -> Iterator[list[float]]:
    """Run a server and give the probabilities that it answers."""
    log = folder / f"{url.replace('/', '_')}.log"
    # One thread of BLAS for each, as the service gives its workers.
    environment = os.environ | {"DRUGPRED_GRPC_PORT": str(grpc_port), "OMP_NUM_THREADS": "1"}
    with log.open("w") as output:
        process = subprocess.Popen(  # noqa: S603 - our own commands
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            try:
                answer = httpx.post(url, json=EXAMPLE).raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.2)
            else:
                yield [risk["probability"] for risk in Prediction.model_validate_json(answer.content).risks]
                return
        raise SystemExit(f"{' '.join(command)} does not answer:\n{log.read_text()}")
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()


def _call(address: str) -> bytes:
    """Return the message that gRPC answers."""
    with grpc.insecure_channel(address) as channel:
        answer: bytes = channel.unary_unary(METHOD)(REQUEST.SerializeToString(), timeout=60, wait_for_ready=True)
        return answer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Compare the throughput of this service with that of its peers.")
    parser.add_argument("--seconds", type=int, default=5, help="of load in each of three rounds (default: 5)")
    seconds: int = parser.parse_args().seconds
    if missing := [tool for tool in ("h2load", "wrk") if shutil.which(tool) is None]:
        raise SystemExit(f"install {' and '.join(missing)} first; Debian has them as nghttp2-client and wrk")
    bundle.find(Settings().model)
    with contestants() as found:
        results = [_rounds(found, clients, seconds) for clients in CLIENTS]
    print(f"{ROUNDS} rounds of {seconds} s in turn, medians; ratio of requests/s to {PEERS[0].title}\n")
    print(" " * 24 + "".join(f"{f'{n} client' + 's' * (n > 1):>30}" for n in CLIENTS))
    print(" " * 24 + f"{'requests/s':>14}{'p50 ms':>9}{'ratio':>7}" * len(CLIENTS))
    for place, contestant in enumerate(found):
        cells = ""
        for measured in results:
            ours, measure = measured[place], measured[len(found) - len(PEERS)]
            ratio = median(one.rate / other.rate for one, other in zip(ours, measure, strict=True))
            rate, milliseconds = median(one.rate for one in ours), median(one.milliseconds for one in ours)
            cells += f"{rate:14.0f}{milliseconds:9.2f}{ratio:7.2f}"
        print(f"{contestant.title:24}{cells}")


def _rounds(found: list[Contestant], clients: int, seconds: int) -> list[list[Measured]]:
    """Return what each contestant did in each round."""
    for contestant in found:
        contestant.load(clients, 1)  # a second to warm up
    rounds = [[contestant.load(clients, seconds) for contestant in found] for _ in range(ROUNDS)]
    return [list(measured) for measured in zip(*rounds, strict=True)]


if __name__ == "__main__":
    main()
