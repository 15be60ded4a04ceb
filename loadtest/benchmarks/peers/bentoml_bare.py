"""The least that BentoML can serve, to compare start-up and memory with."""

import bentoml


@bentoml.service
class Service:
    """One endpoint without a model."""

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, number: float) -> float:
        """Return what was given."""
        return number
