"""Whether an address can be listened on is asked of that address, and the answer says by whom it is taken."""

import os
import socket
import subprocess
import sys

import pytest

from drugpred.errors import ConfigurationError
from drugpred.serving import ports as module
from drugpred.serving.ports import probe, reserve
from drugpred.serving.supervision import VARIABLE
from tests.harness.ports import free_ports

HOLDER = """
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])), family=int(sys.argv[3]), reuse_port=True)
print("listens", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder():
    """Return a function that listens in another process, and returns its port and process."""
    started = []

    def start(host, **environment):
        (port,) = free_ports(1)  # not 0: another process may have that port of another address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        command = [sys.executable, "-c", HOLDER, host, str(port), str(int(family))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        started.append(subprocess.Popen(command, **pipes, text=True, env=os.environ | environment))
        assert started[-1].stdout.readline() == "listens\n"
        return port, started[-1]

    yield start
    for process in started:
        process.communicate()


@pytest.mark.parametrize(
    ("held", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("127.0.0.1", "0.0.0.0"),
        ("::1", "::1"),
        ("::1", "::"),
        ("::1", "0.0.0.0"),  # gRPC listens on all of IPv6 too
        ("127.0.0.1", "::"),
    ],
)
def test_a_port_that_is_shared_or_not_is_not_taken_and_its_holder_is_named(holder, held, host):
    port, process = holder(held)
    with pytest.raises(ConfigurationError, match=rf"^port {port} is in use by process {process.pid} \(.+\); choose$"):
        reserve(host, port, "choose")


def test_a_port_is_free_where_another_address_has_it(holder):
    port, _ = holder("::1")
    probe("127.0.0.1", port, "choose")
    reserve("127.0.0.1", port, "choose").close()


def test_workers_that_were_left_are_named(holder):
    port, process = holder("127.0.0.1", **{VARIABLE: "3"})
    with pytest.raises(ConfigurationError, match=rf"workers whose server is gone \(end them: kill {process.pid}\)"):
        probe("127.0.0.1", port, "choose")


def test_without_permission_only_the_use_of_a_port_is_reported(holder, monkeypatch):
    def denied(*_):
        raise module.psutil.AccessDenied

    port, _ = holder("127.0.0.1")
    monkeypatch.setattr(module.psutil.Process, "net_connections", denied)
    with pytest.raises(ConfigurationError, match=rf"^port {port} is in use; choose$"):
        probe("127.0.0.1", port, "choose")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_a_reserved_port_is_kept_from_others_and_shared_with_workers(host):
    (port,) = free_ports(1)
    with reserve(host, port, "choose") as kept:
        with pytest.raises(ConfigurationError, match=f"port {port} is in use; choose"):
            probe(host, port, "choose", both=True)
        with (
            socket.create_server((host, port), family=kept.family, reuse_port=True) as worker,
            socket.create_connection(worker.getsockname()[:2], 5),
        ):
            worker.accept()[0].close()
    reserve(host, port, "choose").close()


def test_without_a_number_any_free_port_is_reserved():
    with reserve("127.0.0.1", 0, "choose") as one, reserve("127.0.0.1", 0, "choose") as other:
        assert 0 < one.getsockname()[1] != other.getsockname()[1] > 0


def test_a_port_is_free_again_when_its_connections_wait_for_their_end():
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)) as server, socket.create_connection(server.getsockname()) as client:
        server.accept()[0].close()
        client.recv(1)
    reserve("127.0.0.1", port, "choose").close()


def test_other_errors_of_an_address_are_reported():
    with pytest.raises(ConfigurationError, match=r"cannot listen on 192\.0\.2\.1 port 3001: .+; choose"):
        reserve("192.0.2.1", 3001, "choose")
