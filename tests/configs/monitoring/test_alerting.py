"""An alert goes from a rule through Alertmanager to whom it may concern."""

import pytest

from tests.harness.prometheus import alertmanager, exposition, prometheus, webhook

pytestmark = pytest.mark.slow  # a real Prometheus and a real Alertmanager

NOBODY = "127.0.0.1:9"


def test_a_missing_server_goes_to_the_pager_and_a_warning_to_the_tickets(tmp_path):
    with (
        webhook() as receiver,
        alertmanager(tmp_path, receiver) as address,
        exposition(lambda: "") as empty,
        prometheus(tmp_path, NOBODY, empty.address, alertmanager=address) as server,
    ):
        down = receiver.wait("/page", "DrugpredDown")
        uncounted = receiver.wait("/ticket", "DrugpredNotCounting")
        assert server.firing("DrugpredDown")
    assert down["status"] == "firing"
    assert down["labels"]["instance"] == NOBODY
    assert down["labels"]["severity"] == "critical"
    assert down["annotations"]["summary"] == f"{NOBODY} does not answer /metrics"
    assert "end of its log" in down["annotations"]["runbook"]
    assert uncounted["labels"]["instance"] == empty.address
    assert not [alert for alert in receiver.alerts("/ticket") if alert["labels"]["severity"] == "critical"]
