"""All that an operator may set, from environment variables that begin with `DRUGPRED_`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings"]


class Settings(BaseSettings):
    """The settings, read once when the program starts."""

    model_config = SettingsConfigDict(env_prefix="DRUGPRED_", env_ignore_empty=True, frozen=True)

    data: Path | None = None
    """A file of respondents in either form; `train.py --data` goes before it."""

    model: str = "drug_consumption"
    """The model to serve: a tag of the BentoML model store, or without a version the newest (in a bento, its own)."""

    feedback_key: SecretStr | None = None
    """Secrets of at least 32 bytes, separated by commas, with which answers are signed so that their outcomes can be
    taken: the first signs, any verifies. Replicas share them; without any, each server makes one when it starts."""

    feedback_folder: Path | None = None
    """Where it is remembered which answers took feedback, on a local disk; by default below BENTOML_HOME."""

    api_keys_file: Path | None = None
    """API keys, a line for each: a name, its scopes (predict, feedback, read, metrics) separated by commas, and the
    key's SHA-256 in hexadecimal. It is read again when it changes. Without any key everybody is let in."""

    api_keys: SecretStr | None = None
    """More of the same lines, separated by newlines or semicolons."""

    rate_limit: str | None = None
    """How often a caller may ask over HTTP and gRPC together, as `100/minute`: a key, or without one an address."""

    redis_url: SecretStr | None = None
    """A Redis server (`redis://:password@host:6379`) that makes replicas share rate limits and the memory of which
    answers took feedback."""

    cors_origins: str | None = None
    """Origins of other sites' pages that may ask, separated by commas."""

    grpc_port: int = Field(3001, ge=0, le=65535)
    """The port of gRPC, on the address that HTTP listens on; 0 for any that is free."""

    grpc_certificate: Path | None = None
    """The server's certificate chain in PEM format; with it gRPC is by TLS alone."""

    grpc_key: Path | None = None
    """The certificate's private key in PEM format."""

    grpc_client_ca: Path | None = None
    """Certificates of those who sign clients' certificates; with them a client must have one (mutual TLS)."""
