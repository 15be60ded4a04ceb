"""What supervises workers, with real processes that only say what workers say."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

SERVER = """
import sys
from pathlib import Path
from bentoml._internal.utils import circus
from bentoml.serving import create_watcher
from circus.sockets import CircusSocket
from drugpred.errors import ConfigurationError
from drugpred.serving import patches

def prepare(place):
    print("place", place.host, place.workers, dict(place.tls), flush=True)
    if "".join(sys.argv[2:3]):
        raise ConfigurationError(sys.argv[2])
    return {"GIVEN": "given"}

patches.apply(["circus_arbiter", *sys.argv[3:]])
circus_arbiter = patches.applied("circus_arbiter")
circus_arbiter._CHECK_SECONDS = 0.1
circus_arbiter._PAUSE_SECONDS = 0.5
circus_arbiter.Supervisor.before_start(prepare)
arguments = ["-c", sys.argv[1], "--ssl-certfile", "a.pem"]
watcher = create_watcher("service", arguments, numprocesses=2, env={"PROMETHEUS_MULTIPROC_DIR": "a.pem/metrics"})
arbiter = circus.create_standalone_arbiter([watcher], sockets=[CircusSocket("_bento_api_server", "127.0.0.1", 0)])
arbiter.exit_stack.callback(print, "cleaned up", flush=True)
arbiter.start()
"""

# A worker: the first one that makes the file is well and says so; BEHAVES is what the others do, and it in the end.
WORKER = """
import asyncio, os, signal, sys, time
from pathlib import Path
from drugpred.errors import ConfigurationError
from drugpred.serving.supervision import ready, starting

def say(line):  # in one piece, because all workers write to one pipe
    os.write(1, f"{line}\\n".encode())

async def serve():
    over = asyncio.Event()
    ready(over.set)
    say(f"ready {os.getpid()} {os.environ['GIVEN']}")
    await asyncio.wait_for(over.wait(), 60)
    say("orphaned")

def first():
    try:
        os.open(os.environ["MARK"], os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return False
    return True

def fail():
    with starting():
        raise ConfigurationError("the reason")

"""


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a server with two such workers, and returns its process."""
    started = []

    def begin(behaves, *more):
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, WORKER + behaves, *more],
            cwd=tmp_path,
            env=os.environ
            | {"MARK": str(tmp_path / "mark"), "PYTHONPATH": os.pathsep.join(sys.path)}
            | {"BENTOML_CONTAINERIZED": "true"},  # where BentoML replaces no worker
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def until(process, *wanted):
    """Read lines until each wanted text was in one."""
    missing, lines = list(wanted), []
    while missing:
        line = process.stdout.readline()
        assert line, lines
        lines.append(line)
        missing = [each for each in missing if each not in line]
    return lines


@pytest.mark.parametrize(
    ("behaves", "reason"),
    [("fail()", "the reason"), ("sys.exit(7)", "exit code 7; "), ("os.kill(os.getpid(), 9)", "exit code -9; ")],
)
def test_workers_that_never_are_ready_end_the_server_with_their_reason(start, behaves, reason):
    process = start(behaves)
    output, _ = process.communicate(timeout=60)
    last = output.splitlines()[-1]
    assert process.returncode == 1
    assert last.startswith(f"error: 3 workers ended one after the other before they were ready: {reason}")
    assert "cleaned up" in output
    assert "Traceback" not in output


def test_a_failed_preparation_ends_the_server_before_a_worker_starts(start, tmp_path):
    output, _ = start("fail()", "no place").communicate(timeout=60)
    tls = {"certificate": tmp_path / "a.pem"}
    assert output.splitlines() == [f"place 127.0.0.1 2 {tls}", "cleaned up", "error: no place"]


def test_no_room_for_metrics_ends_the_server_before_a_worker_starts(start, tmp_path):
    (tmp_path / "a.pem").touch()  # no folder
    output, _ = start("fail()", "", "prometheus_files").communicate(timeout=60)
    assert output.splitlines()[-1].startswith("error: expected to be able to make a.pem/metrics-127.0.0.1-")


def test_others_continue_while_one_cannot_start(start):
    process = start("asyncio.run(serve()) if first() else fail()")
    until(process, "given")
    until(process, "3 workers ended one after the other before they were ready: the reason; the others continue")
    until(process, "the others continue")  # it is tried again
    process.terminate()
    assert process.wait(30) == 0


def test_workers_that_were_ready_are_replaced_however_many_end(start):
    process = start("asyncio.run(serve())")
    for _ in range(3):
        for line in [*until(process, "ready"), *until(process, "ready")]:
            if line.startswith("ready"):
                os.kill(int(line.split()[1]), signal.SIGKILL)
    until(process, "ready")
    process.terminate()
    assert process.wait(30) == 0


def test_workers_hear_that_the_server_was_killed(start):
    process = start("asyncio.run(serve())")
    until(process, "ready")
    until(process, "ready")
    process.kill()
    started = time.monotonic()
    assert process.stdout.read().count("orphaned") == 2  # all of them have ended
    assert time.monotonic() - started < 10


def test_a_hangup_replaces_all_workers_quietly(start):
    process = start("asyncio.run(serve())")
    until(process, "ready")
    until(process, "ready")
    process.send_signal(signal.SIGHUP)
    until(process, "ready")
    until(process, "ready")
    time.sleep(0.5)
    process.terminate()
    assert process.communicate(timeout=30)[0] == "cleaned up\n"
    assert process.returncode == 0


def test_a_signal_during_a_reload_is_not_lost(start):
    begun = time.monotonic()
    process = start("signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), sys.exit())); asyncio.run(serve())")

    def wait_for_two_workers():
        for _ in range(2):
            until(process, "ready")

    wait_for_two_workers()
    process.send_signal(signal.SIGHUP)
    wait_for_two_workers()  # the former two take a second to end, and the reload lasts as long
    process.send_signal(signal.SIGHUP)
    wait_for_two_workers()
    process.terminate()
    assert process.wait(30) == 0
    assert time.monotonic() - begun < 45  # after 60 seconds workers end by themselves, and are replaced
