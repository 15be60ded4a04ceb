"""The service without the layers that LAYERS names, separated by semicolons, for `loadtest.benchmarks.layers`."""

from __future__ import annotations

from service import DrugPrediction  # first, because it applies the patches

# isort: split
import os
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from loadtest.benchmarks.layers import PARTS, PASSED

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["DrugPrediction"]


async def _pass_on(self: Any, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ANN401
    await self.app(scope, receive, send)


for layer in filter(None, os.environ["LAYERS"].split(";")):
    target, replacement = PARTS.get(layer) or (f"{PASSED[layer]}.__call__", _pass_on)
    owner, name = target.replace(":", ".").rsplit(".", 1)
    setattr(resolve_name(owner), name, replacement)
