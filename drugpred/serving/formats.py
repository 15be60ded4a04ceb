"""How requests and answers cross HTTP, where BentoML's own way would be slow or would take more than JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Self

import bentoml
from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response

from drugpred.monitoring.refused import count_validation
from drugpred.schemas import Batch, Prediction, Predictions, Profile

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["BatchInput", "PredictionsOutput", "ProfileInput"]

_PREDICTIONS: Final = TypeAdapter(list[Prediction])


class _JSONInput(bentoml.IODescriptor):
    """A body that is JSON whatever its content type says: forms would go through temporary files."""

    @classmethod
    async def from_http_request(cls, request: Request, serde: object) -> Self:  # noqa: ARG003 - BentoML's signature
        """Check a request's body; raises pydantic's ValidationError, which BentoML answers with 400."""
        try:
            checked: Self = cls.model_validate_json(await request.body())
        except ValidationError as error:
            count_validation(error)
            raise
        return checked


class ProfileInput(_JSONInput, Profile):
    """A profile that is the whole body."""

    __root_input__: ClassVar[bool] = True


class BatchInput(_JSONInput, Batch):
    """A batch of profiles."""


class PredictionsOutput(bentoml.IODescriptor, Predictions):
    """Answers, written in one go: BentoML would walk them in Python, at a millisecond an answer."""

    @classmethod
    async def to_http_response(cls, obj: list[Prediction], serde: object) -> Response:  # noqa: ARG003
        """Return the answers as a JSON array."""
        return Response(_PREDICTIONS.dump_json(obj), media_type="application/json")
