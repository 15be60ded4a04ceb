"""How servers are started and ended."""

import os
import signal
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from loadtest.harness import servers
from tests.harness.ports import free_ports
from tests.loadtest.conftest import STUBBORN


@pytest.mark.slow
def test_a_server_is_ended_with_all_its_processes(model):
    (port,) = free_ports(1)
    with servers.run([sys.executable, "-c", STUBBORN, str(port)], model) as server:
        server.answer(f"http://127.0.0.1:{port}", [])
        (child,) = server.family()
        os.kill(child.pid, signal.SIGTERM)
        time.sleep(0.1)
        assert child.is_running()
    assert server.process.poll() == -signal.SIGTERM
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running()
    with pytest.raises(httpx.ConnectError):
        httpx.post(f"http://127.0.0.1:{port}", json=[])


def test_each_server_has_a_home_of_its_own_with_the_same_store(model):
    show = [sys.executable, "-c", "import os; print(os.environ['BENTOML_HOME'], os.environ['DRUGPRED_MODEL'])"]
    homes = []
    for _ in range(2):
        with servers.run(show, model) as server:
            server.process.wait(30)
            home, tag = server.log.read_text().split()
            assert Path(home, "models", "drug_consumption", "abc").samefile(model.path)
        assert tag == "drug_consumption:abc"
        homes.append(home)
    assert len(set(homes)) == 2
