"""The service drugpred.v1.DrugPrediction."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import override

from drugpred import codebook
from drugpred.codebook import Drug, Scale, Window
from drugpred.errors import Fault, InvalidArgumentError
from drugpred.limits import MAX_PROFILES, SLICE_PROFILES, SLICE_ROWS
from drugpred.monitoring.rejection_metrics import count_column, count_validation
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.drugpred.v1 import drug_prediction_pb2_grpc as pb_grpc
from drugpred.schemas import Batch, ColumnAddition, Profile, faults
from drugpred.selection import select
from drugpred.serving.grpc import converters
from drugpred.serving.predictions import is_slow
from drugpred.serving.scheduling import exclusive, yield_slice
from drugpred.tabular import ColumnError, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from grpc.aio import ServicerContext

    from drugpred.scoring import Scorer
    from drugpred.serving.predictions import PredictionService


class _Options(BaseModel):
    """The options of a chunk, with a profile's defaults."""

    model_config = ConfigDict(hide_input_in_errors=True)

    scale: Scale = "standardized"
    window: Window = "decade"
    drugs: frozenset[Drug] = frozenset(codebook.DRUGS)
    include: frozenset[ColumnAddition] = frozenset()


class DrugPredictionServicer(pb_grpc.DrugPredictionServicer):
    """Servicer with the prediction service that HTTP uses too.

    Parameters
    ----------
    scorer : Scorer
    predictions : PredictionService
        With the same scorer.
    """

    def __init__(self, scorer: Scorer, predictions: PredictionService) -> None:
        self._scorer = scorer
        self._predictions = predictions
        self._renderer = converters.MessageRenderer(scorer.model)
        self._model = converters.model(scorer.model)

    @override
    async def Predict(self, request: pb.PredictRequest, context: ServicerContext) -> bytes:
        """Return the prediction for one person, serialized."""
        try:
            profile = Profile.model_validate(converters.profile(request.profile))
        except ValidationError as error:
            count_validation(error)
            details = [fault._replace(loc=("profile", *fault.loc)) for fault in faults(error)]
            raise InvalidArgumentError(details) from None
        if is_slow(profile):
            return await self._explain([profile])
        (response,) = await self._predictions.batcher.submit([(profile, self._renderer.render)])
        return bytes(response)

    @override
    async def PredictBatch(self, request: pb.PredictBatchRequest, context: ServicerContext) -> bytes:
        """Return the predictions for up to 1000 people, serialized."""
        async with exclusive(request.ByteSize()):
            profiles = await self._batch(request)
            if not any(map(is_slow, profiles)):
                return b"".join(await self._predictions.render([(each, self._renderer.render) for each in profiles]))
        return await self._explain(profiles)

    async def _batch(self, request: pb.PredictBatchRequest) -> list[Profile]:
        messages = request.profiles[: MAX_PROFILES + 1]  # one more than allowed, for validation to reject
        contents = []
        for i, message in enumerate(messages):
            if i and i % SLICE_PROFILES == 0:
                await yield_slice()
            contents.append(converters.profile(message))
        try:
            return Batch.model_validate({"profiles": contents}).profiles
        except ValidationError as error:
            count_validation(error)
            raise InvalidArgumentError(faults(error)) from None

    async def _explain(self, profiles: Sequence[Profile]) -> bytes:
        """Return the predictions, each as a field 1: of PredictResponse, or of PredictBatchResponse."""
        await asyncio.sleep(0)  # grpc_unary's thread continues in the event loop
        answers = await self._predictions.explain(profiles)
        return b"".join(
            converters.as_first_field(converters.prediction(answer).SerializeToString()) for answer in answers
        )

    @override
    async def PredictStream(
        self, request_iterator: AsyncIterator[pb.PredictStreamRequest], context: ServicerContext
    ) -> AsyncIterator[pb.PredictStreamResponse]:
        """Yield the predictions of each chunk, before the next one is read."""
        async for request in request_iterator:
            async with exclusive(request.ByteSize()):
                answers = [await self._chunk(request)]
            del request  # keeps neither in memory while the answer is sent
            yield answers.pop()

    async def _chunk(self, request: pb.PredictStreamRequest) -> pb.PredictStreamResponse:
        where = f"chunk {request.chunk}"
        try:
            options = _Options.model_validate(converters.options(request))
            people = encode(converters.columns(request), options.scale)
        except ValidationError as error:
            count_validation(error)
            raise InvalidArgumentError(faults(error), where) from None
        except ColumnError as error:
            count_column(error.field, error.row)
            row = () if error.row is None else (error.row,)
            detail = Fault((error.field, *row), f"expected {error.expected}")
            raise InvalidArgumentError([detail], where) from None
        selection = select(options.window, options.drugs)
        response = pb.PredictStreamResponse(
            chunk=request.chunk,
            model=self._model.model,
            window=converters.WINDOWS[selection.window],
            data_source=self._model.data_source,
            drugs=[converters.DRUGS[drug] for drug in selection.drugs],
        )
        for start in range(0, len(people), SLICE_ROWS):
            if start:
                await yield_slice()
            rows = people[start : start + SLICE_ROWS]
            probabilities = self._scorer.predict_proba(rows, selection)
            selected = (..., selection.drug_indices, selection.window_index)
            response.probabilities.extend(probabilities[selected].ravel().tolist())
            uncertainty = self._scorer.model.uncertainty
            if "interval" in options.include:
                for bounds, into in zip(
                    uncertainty.intervals(rows, probabilities), (response.low, response.high), strict=True
                ):
                    into.extend(bounds[selected].ravel().tolist())
            if "support" in options.include:
                similar, percentile, level = uncertainty.support(rows)
                response.similar.extend(similar.tolist())
                response.percentile.extend(percentile.tolist())
                response.level.extend((level + 1).tolist())  # the enum has 0 for unspecified
        return response

    @override
    async def GetModel(self, request: pb.GetModelRequest, context: ServicerContext) -> pb.GetModelResponse:
        """Return the model card's facts."""
        return self._model
