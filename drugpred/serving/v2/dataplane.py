"""The Open Inference Protocol (V2) without transports: from named tensors to probabilities.

Each of the twelve inputs is a tensor of n people, and so is the answer for each drug. REST and gRPC translate their
messages into `Tensor` and back.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, TypeVar, cast

import numpy as np
from pydantic import Field, Strict, TypeAdapter, ValidationError

from drugpred import __version__
from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, Drug
from drugpred.errors import Fault, InvalidArgumentError, UnknownModelError, field_path
from drugpred.limits import MAX_ROWS, SLICE_ROWS
from drugpred.schemas import faults
from drugpred.selection import select
from drugpred.serving.scheduling import yield_slice
from drugpred.serving.v2.types import BOUNDS, DRUG_BOUNDS, SUPPORT, ModelMetadata, ServerMetadata, TensorMetadata
from drugpred.tabular import ColumnError, category_codes, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from drugpred.scoring import Scorer
    from drugpred.serving.v2.types import Parameters

_LABELS: Final = TypeAdapter(list[Annotated[str, Strict()]])
_NUMBERS: Final = TypeAdapter(list[Annotated[float, Strict()]])
_WHOLE: Final = TypeAdapter(list[Annotated[int, Strict(), Field(ge=-(2**63), lt=2**63)]])
_CATEGORIES: Final = {category.name: category for category in CATEGORIES}
_KINDS: Final = {"drug": DRUGS, "bound": DRUG_BOUNDS, "support": SUPPORT}
_PLACES: Final = {name: (kind, place) for kind, names in _KINDS.items() for place, name in enumerate(names)}
"""Kind of each tensor of answers, and its place among them."""

_SIZES: Final = {kind: len(names) for kind, names in _KINDS.items()}
_DATATYPES: Final = {name: ("BYTES",) if name in _CATEGORIES else ("FP64", "FP32", "INT64") for name in INPUTS}
_DTYPES: Final[dict[str, np.dtype[Any]]] = {"FP64": np.dtype("<f8"), "FP32": np.dtype("<f4"), "INT64": np.dtype("<i8")}

_Element = TypeVar("_Element", str, float, int)


class InvalidTensorError(InvalidArgumentError):
    """A request is malformed; the message is that of the first detail.

    Parameters
    ----------
    details : sequence of Fault
        At least one; a location is written as `inputs.age.data[3]`.
    """

    def __init__(self, details: Sequence[Fault]) -> None:
        super().__init__(details)
        self.args = (f"{field_path(details[0].loc) or 'request'}: {details[0].msg}",)

    @classmethod
    def at(cls, *loc: str | int, expected: str) -> InvalidTensorError:
        """Return the error at one location."""
        return cls([Fault(loc, f"expected {expected}", "unexpected")])

    @classmethod
    def of(cls, error: ValidationError, *within: str | int) -> InvalidTensorError:
        """Return the error of a message that pydantic rejected, at a location within the request."""
        return cls([fault._replace(loc=(*within, *fault.loc)) for fault in faults(error)])


class Tensor(NamedTuple):
    """A tensor of a request."""

    name: str
    datatype: str
    shape: Sequence[int]
    data: bytes | Sequence[object]  # raw bytes of the protocol, or the elements: str, bytes or numbers


class DataPlane:
    """The operations of the protocol for one stored model, for all transports."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        model = scorer.model
        self.name, _, self.version = model.tag.partition(":")
        self.data_source = model.card.data.source
        self.server = ServerMetadata(name="drugpred", version=__version__, extensions=["binary_tensor_data"])
        self.model = ModelMetadata(
            name=self.name,
            versions=[self.version],
            platform="drugpred",
            inputs=[TensorMetadata(name=name, datatype=_DATATYPES[name][0], shape=[-1]) for name in INPUTS],
            outputs=[TensorMetadata(name=drug, datatype="FP64", shape=[-1]) for drug in DRUGS],
        )

    def check_model(self, name: str, version: str) -> None:
        """Check that a model is the one served; an empty version matches any.

        Raises
        ------
        UnknownModelError
        """
        if name != self.name or version not in {"", self.version}:
            raise UnknownModelError

    async def infer(
        self, inputs: Iterable[Tensor], outputs: Iterable[str], parameters: Parameters
    ) -> dict[str, NDArray[np.float64]]:
        """Return the probability of use of each drug, and the other requested arrays, each of shape (n,) by its name.

        Parameters
        ----------
        inputs : iterable of Tensor
            One for each of `codebook.INPUTS`, in any order, of shape [n] or [n, 1].
        outputs : iterable of str
            Some of `drugpred.serving.v2.types.OUTPUTS`, in the order of the answer; all drugs if it is empty.
        parameters : Parameters

        Raises
        ------
        InvalidTensorError
            A value that `drugpred.schemas.Profile` would reject, or tensors of other names or shapes.
        """
        asked: list[str] = []
        for i, name in enumerate(outputs):
            if name not in _PLACES or name in asked:
                raise InvalidTensorError.at(
                    "outputs", i, "name", expected=f"one of {' | '.join(DRUGS)}, each at most once"
                )
            asked.append(name)
        names = _with_additions(asked or DRUGS, (parameters.include or "").split(","))
        try:
            people = encode(_columns(inputs), parameters.scale)
        except ColumnError as error:
            place = () if error.row is None else (error.row,)
            raise InvalidTensorError.at("inputs", error.field, "data", *place, expected=error.expected) from None
        drugs = {cast("Drug", name.partition(".")[0]) for name in names if name not in SUPPORT}
        selection = select(parameters.window, frozenset(drugs))
        window, uncertainty = selection.window_index, self._scorer.model.uncertainty
        kinds = {_PLACES[name][0] for name in names}
        tables = {kind: np.empty((size, len(people))) for kind, size in _SIZES.items() if kind in kinds}
        for start in range(0, len(people), SLICE_ROWS):
            if start:
                await yield_slice()
            part = slice(start, start + SLICE_ROWS)
            rows = people[part]
            probabilities = self._scorer.predict_proba(rows, selection)
            if "drug" in kinds:
                tables["drug"][:, part] = probabilities[:, :, window].T
            if "bound" in kinds:
                bounds = uncertainty.intervals(rows, probabilities)[..., window]
                tables["bound"][:, part] = bounds.transpose(2, 0, 1).reshape(-1, len(rows))
            if "support" in kinds:
                tables["support"][:, part] = uncertainty.support(rows)
        return {name: tables[kind][place] for name in names for kind, place in [_PLACES[name]]}


def _with_additions(names: Sequence[str], additions: Sequence[str]) -> list[str]:
    """Return the names of tensors with those of the additions: bounds after their drug, the support at the end."""
    bounds = BOUNDS if "interval" in additions else ()
    added = [name for each in names for name in (each, *(f"{each}.{bound}" for bound in bounds * (each in DRUGS)))]
    return list(dict.fromkeys([*added, *(SUPPORT if "support" in additions else ())]))


def _columns(tensors: Iterable[Tensor]) -> dict[str, NDArray[np.generic]]:
    columns: dict[str, NDArray[np.generic]] = {}
    for i, tensor in enumerate(tensors):
        name = tensor.name
        if name not in INPUTS or name in columns:
            raise InvalidTensorError.at("inputs", i, "name", expected=f"one of {' | '.join(INPUTS)}, each once")
        if tensor.datatype not in _DATATYPES[name]:
            raise InvalidTensorError.at("inputs", name, "datatype", expected=" or ".join(_DATATYPES[name]))
        n, *others = tensor.shape or [0]
        if not 1 <= n <= MAX_ROWS or others not in ([], [1]):
            raise InvalidTensorError.at("inputs", name, "shape", expected=f"[n] or [n, 1], n from 1 to {MAX_ROWS}")
        columns[name] = (
            category_codes(_CATEGORIES[name], _labels(tensor, n)) if name in _CATEGORIES else _scores(tensor, n)
        )
    for name in INPUTS:
        if name not in columns:
            raise InvalidTensorError.at("inputs", name, expected="a tensor of this name")
    return columns


def _labels(tensor: Tensor, n: int) -> list[str]:
    elements = _unpacked(tensor.name, tensor.data, n) if isinstance(tensor.data, bytes) else tensor.data
    # One more element than allowed is enough to be rejected, and bytes that are not UTF-8 match no label.
    decoded = [each.decode(errors="replace") if isinstance(each, bytes) else each for each in elements[: n + 1]]
    return _checked(_LABELS, tensor.name, decoded, n)


def _unpacked(name: str, data: bytes, n: int) -> list[bytes]:
    elements = []
    at = 0
    try:
        for _ in range(n):
            start = at + 4
            at = start + struct.unpack_from("<I", data, at)[0]
            elements.append(data[start:at])
    except struct.error:
        at = -1
    if at != len(data):
        raise InvalidTensorError.at(
            "inputs", name, "data", expected=f"{n} strings, each after its length in 4 bytes, little-endian"
        )
    return elements


def _scores(tensor: Tensor, n: int) -> NDArray[np.number]:
    dtype = _DTYPES[tensor.datatype]
    if isinstance(tensor.data, bytes):
        if len(tensor.data) != n * dtype.itemsize:
            raise InvalidTensorError.at("inputs", tensor.name, "data", expected=f"{n * dtype.itemsize} bytes")
        return np.frombuffer(tensor.data, dtype)
    if tensor.datatype == "INT64":  # raw totals, as clients write the integers of a table
        return np.array(_checked(_WHOLE, tensor.name, tensor.data, n), dtype)
    numbers = np.array(_checked(_NUMBERS, tensor.name, tensor.data, n))
    with np.errstate(over="ignore"):  # an infinity is rejected like any number out of bounds
        return numbers.astype(dtype, copy=False)


def _checked(adapter: TypeAdapter[list[_Element]], name: str, data: Sequence[object], n: int) -> list[_Element]:
    if len(data) != n:
        raise InvalidTensorError.at("inputs", name, "data", expected=f"{n} elements, as the shape says")
    try:
        return adapter.validate_python(list(data))
    except ValidationError as error:
        raise InvalidTensorError.of(error, "inputs", name, "data") from None
