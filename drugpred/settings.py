"""All that an operator may set, from environment variables that begin with `DRUGPRED_`."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings"]


class Settings(BaseSettings):
    """The settings, read once when the program starts."""

    model_config = SettingsConfigDict(env_prefix="DRUGPRED_", env_ignore_empty=True, frozen=True)

    data: Path | None = None
    """A file of respondents in either form; `train.py --data` goes before it."""

    model: str = "drug_consumption"
    """The model to serve: a tag of the BentoML model store, or without a version the newest (in a bento, its own)."""
