"""Schemas of requests, sharpened to what is really taken: rules that pydantic checks in code and so does not tell."""

from __future__ import annotations

from typing import Any, Final

from pydantic import AliasChoices

from drugpred.codebook import DRUGS, INPUTS, NEO_TOTALS, SCORES
from drugpred.model_store import NAME
from drugpred.schemas import Profile
from drugpred.tabular import MAX_ROWS

__all__ = ["add_request_constraints"]

_NEO: Final = [score for score in SCORES if score.is_neo]


def add_request_constraints(schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schemas of all models by name, those of requests changed in place.

    Of several spellings that are taken a schema tells the one to use, and a description the others.
    """
    _sharpen_profile(schemas["Profile"])
    tensor, request = schemas["RequestInput"]["properties"], schemas["InferenceRequest"]["properties"]
    tensor["name"]["enum"] = list(INPUTS)
    tensor["datatype"]["enum"] = ["BYTES", "FP64", "FP32", "INT64"]
    tensor["shape"] |= {
        "description": "[n] or [n, 1], with one n for all inputs.",
        "prefixItems": [{"type": "integer", "minimum": 1, "maximum": MAX_ROWS}, {"type": "integer", "const": 1}],
        "minItems": 1,
        "maxItems": 2,
    }
    tensor["shape"].pop("items")
    tensor["data"]["description"] += " With binary_data_size there are none here, without it n."
    schemas["RequestOutput"]["properties"]["name"]["enum"] = list(DRUGS)
    request["model_name"]["enum"] = ["", NAME]
    request["inputs"] |= {"minItems": len(INPUTS), "description": "Each input once, in any order."}
    request["outputs"]["description"] = "Which drugs, each once at most, in this order; all by default."
    return schemas


def _sharpen_profile(schema: dict[str, Any]) -> None:
    properties = schema["properties"]
    for name in ("drugs", "include"):
        del properties[name]["uniqueItems"]  # what is named twice is told once
    for name in INPUTS:
        alias = Profile.model_fields[name].validation_alias
        if isinstance(alias, AliasChoices):
            others = ", ".join(str(choice) for choice in alias.choices if choice != name)
            properties[name]["description"] += f" Also taken as {others}."
    lowest, highest = NEO_TOTALS
    total = {"type": "integer", "minimum": lowest, "maximum": highest}
    schema["if"] = {"properties": {"scale": {"const": "raw"}}, "required": ["scale"]}
    schema["then"] = {"properties": {score.name: total for score in _NEO}}
    schema["else"] = {"properties": {score.name: {"maximum": score.highest} for score in _NEO}}
