"""Which inputs end only when the server has waited long enough."""

from loadtest.fuzz import inputs, runner
from tests.loadtest.fuzz.conftest import FAMILIES


def test_calls_that_say_nothing_wait_for_the_server_to_end_them():
    for name in ("gRPC, silent", "gRPC, half messages", "HTTP, silent"):
        assert all(runner._waits(inputs.generate(FAMILIES[name], 1, i)) for i in range(20))
    for name in ("gRPC, streams", "gRPC, answers not taken", "HTTP/2 frames"):
        assert not any(runner._waits(inputs.generate(FAMILIES[name], 1, i)) for i in range(20))
    silent = [inputs.generate(FAMILIES["gRPC, silent"], 1, i).method for i in range(100)]
    assert {"/grpc.health.v1.Health/Check", "/drugpred.v1.DrugPrediction/Predict"} <= set(silent)
