"""The smallest BentoML service, for a comparison of start-up time and memory."""

import bentoml


@bentoml.service
class Service:
    """One endpoint without a model."""

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, number: float) -> float:
        """Return the argument."""
        return number
