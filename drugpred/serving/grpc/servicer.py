"""The service drugpred.v1.DrugPrediction."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import override

from drugpred import codebook
from drugpred.codebook import Drug, Scale, Window
from drugpred.monitoring.rejection_metrics import count_column, count_validation
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.drugpred.v1 import drug_prediction_pb2_grpc as pb_grpc
from drugpred.schemas import MAX_PROFILES, Batch, Profile
from drugpred.serving.grpc import converters
from drugpred.serving.grpc.errors import Malformed
from drugpred.serving.grpc.rendering import MessageRenderer
from drugpred.serving.middleware.error_format import field_path
from drugpred.serving.predictions import is_slow, score
from drugpred.serving.scheduling import SLICE_PROFILES, SLICE_ROWS, exclusive, yield_slice
from drugpred.tabular import ColumnError, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from grpc.aio import ServicerContext

    from drugpred.scoring import Scorer

__all__ = ["DrugPredictionServicer"]


class _Options(BaseModel):
    """What a chunk asks for, with a profile's defaults."""

    model_config = ConfigDict(hide_input_in_errors=True)

    scale: Scale = "standardized"
    window: Window = "decade"
    drugs: frozenset[Drug] = frozenset(codebook.DRUGS)


class DrugPredictionServicer(pb_grpc.DrugPredictionServicer):
    """Answers of one scorer, the one that HTTP answers from too."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._answers = MessageRenderer(scorer)
        self._model = converters.model(scorer.model)

    @override
    async def Predict(self, request: pb.PredictRequest, context: ServicerContext) -> pb.PredictResponse:
        """Tell of one person."""
        try:
            profile = Profile.model_validate(converters.profile(request.profile))
        except ValidationError as error:
            count_validation(error)
            raise Malformed.of(error, "profile") from None
        response = pb.PredictResponse()
        if is_slow(profile):
            await self._explain([response.prediction], [profile])
        else:
            self._answers.fill([response.prediction], [profile])
        return response

    @override
    async def PredictBatch(self, request: pb.PredictBatchRequest, context: ServicerContext) -> pb.PredictBatchResponse:
        """Tell of up to 1000 people."""
        response = pb.PredictBatchResponse()
        async with exclusive(request.ByteSize()):
            profiles = await self._batch(request)
            answers = [response.predictions.add() for _ in profiles]
            slow = any(map(is_slow, profiles))
            for start in range(0, 0 if slow else len(profiles), SLICE_PROFILES):
                if start:
                    await yield_slice()
                part = slice(start, start + SLICE_PROFILES)
                self._answers.fill(answers[part], profiles[part])
        if slow:
            await self._explain(answers, profiles)
        return response

    async def _batch(self, request: pb.PredictBatchRequest) -> list[Profile]:
        asked = request.profiles[: MAX_PROFILES + 1]  # one too many is enough to be refused
        contents = []
        for i, profile in enumerate(asked):
            if i and i % SLICE_PROFILES == 0:
                await yield_slice()
            contents.append(converters.profile(profile))
        try:
            return Batch.model_validate({"profiles": contents}).profiles
        except ValidationError as error:
            count_validation(error)
            raise Malformed.of(error) from None

    async def _explain(self, answers: Sequence[pb.Prediction], profiles: Sequence[Profile]) -> None:
        await asyncio.sleep(0)  # a lane goes on in the event loop
        for answer, said in zip(answers, await score(self._scorer, profiles), strict=True):
            answer.CopyFrom(converters.prediction(said))

    @override
    async def PredictStream(
        self, request_iterator: AsyncIterator[pb.PredictStreamRequest], context: ServicerContext
    ) -> AsyncIterator[pb.PredictStreamResponse]:
        """Tell of chunks of people, each before the next one is read."""
        async for request in request_iterator:
            async with exclusive(request.ByteSize()):
                answers = [await self._chunk(request)]
            del request  # while the answer is taken, neither is held
            yield answers.pop()

    async def _chunk(self, request: pb.PredictStreamRequest) -> pb.PredictStreamResponse:
        where = f"chunk {request.chunk}"
        try:
            options = _Options.model_validate(converters.options(request))
            people = encode(converters.columns(request), options.scale)
        except ValidationError as error:
            count_validation(error)
            raise Malformed.of(error, where=where) from None
        except ColumnError as error:
            count_column(error.field, error.row)
            row = () if error.row is None else (error.row,)
            raise Malformed({field_path([error.field, *row]): f"expected {error.expected}"}, where) from None
        places = [place for place, drug in enumerate(codebook.DRUGS) if drug in options.drugs]
        asked: list[float] = []
        for start in range(0, len(people), SLICE_ROWS):
            if start:
                await yield_slice()
            probabilities = self._scorer.predict_proba(
                people[start : start + SLICE_ROWS], options.window, options.drugs
            )
            asked += probabilities[:, :, codebook.WINDOWS.index(options.window)][:, places].ravel().tolist()
        return pb.PredictStreamResponse(
            chunk=request.chunk,
            model=self._model.model,
            window=converters.WINDOWS[options.window],
            data_source=self._model.data_source,
            drugs=[converters.DRUGS[codebook.DRUGS[place]] for place in places],
            probabilities=asked,
        )

    @override
    async def GetModel(self, request: pb.GetModelRequest, context: ServicerContext) -> pb.GetModelResponse:
        """Tell what is known of the model."""
        return self._model
