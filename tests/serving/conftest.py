"""Routes as the service connects them."""

import pytest

from drugpred.monitoring.feedback import Collector
from drugpred.monitoring.seen import SeenFile
from drugpred.scoring import Scorer
from drugpred.serving.draining import Draining
from drugpred.serving.routes import Routes


@pytest.fixture(scope="session")
def routes_of(tmp_path_factory):
    """Return what makes the routes of a bundle."""

    def make(bundle, draining=None):
        scorer = Scorer(bundle)
        routes = Routes(draining or Draining())
        seen = SeenFile(tmp_path_factory.mktemp("feedback"))
        routes.connect(scorer, Collector(scorer.tokens, seen, bundle.card))
        return routes

    return make
