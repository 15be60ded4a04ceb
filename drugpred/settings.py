"""The operator's settings, from environment variables that start with `DRUGPRED_`."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from drugpred.errors import ConfigurationError

_PREFIX: Final = "DRUGPRED_"

_COMPOSE: Final = {"DRUGPRED_IMAGE"}  # read by configs/deploy/compose.yaml itself

_EXPECTED: Final = {
    "grpc_port": "a port from 0 to 65535",
    "fast_path": "1 or 0",
    "patches": "on or off",
    "cors_origins": "origins like https://one.example:8443, separated by commas, without a path",
}

_LINK: Final = re.compile(r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_[A-Z]+_(PROTO|PORT|ADDR))")
_LINKED: Final = re.compile(r"(tcp|udp|sctp)://")
"""Variables that Kubernetes adds for each Service, whose name may start with drugpred-."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_ignore_empty=True, frozen=True)

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - of any field
        _refuse_unknown()
        try:
            super().__init__(**values)
        except ValidationError as error:  # it would quote the value
            fields = dict.fromkeys(str(fault["loc"][0]) for fault in error.errors(include_input=False))
            raise ConfigurationError(
                "; ".join(f"{_variable(field)}: expected {_EXPECTED.get(field, 'another value')}" for field in fields)
            ) from None


class DataSettings(_Environment):
    """The setting of training.

    Raises
    ------
    ConfigurationError
        A variable is not a setting.
    """

    data: Path | None = None
    """A file of respondents in either format; `train.py --data` takes precedence."""


class Settings(DataSettings):
    """The settings, read once when the program starts.

    Raises
    ------
    ConfigurationError
        A value is malformed, or a variable is not a setting.
    """

    model: str = "drug_consumption"
    """The model to serve: a tag of the BentoML model store, or without a version the newest (in a bento, its own)."""

    challenger: str | None = None
    """A second model of the store that is compared with the served one on the same people, and never answers."""

    feedback_key: SecretStr | None = None
    """Secrets of at least 32 bytes, separated by commas, that sign predictions so that their outcomes can be reported:
    the first one signs, all verify. Replicas must share them; by default each server generates one when it starts."""

    feedback_folder: Path | None = None
    """A folder on a local disk for the ids of predictions that received feedback; by default below BENTOML_HOME."""

    api_keys_file: Path | None = None
    """API keys, a line for each: a name, its scopes (predict, feedback, read, metrics) separated by commas, and the
    key's SHA-256 in hexadecimal. It is read again when it changes. Without any key every caller is accepted."""

    api_keys: SecretStr | None = None
    """More such lines, separated by newlines or semicolons."""

    rate_limit: str | None = None
    """Rate limit of each caller, such as `100/minute`: over HTTP and gRPC together, by key or else by address."""

    redis_url: SecretStr | None = None
    """A Redis server (`redis://:password@host:6379`) in which replicas share rate limits and the ids of predictions
    that received feedback."""

    cors_origins: str | None = None
    """Origins of other sites whose pages may send requests, separated by commas, or `*` for all."""

    fast_path: bool = True
    """Whether POST /predict and /predict_batch are answered before BentoML's routing, which costs at least half as much
    again."""

    grpc_port: int = Field(3001, ge=0, le=65535)
    """Port of gRPC, on the address of HTTP; 0 for any free port."""

    grpc_certificate: Path | None = None
    """Certificate chain of the server in PEM format; with it gRPC requires TLS."""

    grpc_key: Path | None = None
    """Private key of the certificate in PEM format."""

    grpc_client_ca: Path | None = None
    """CA certificates in PEM format; with them clients need a certificate signed by one of them (mutual TLS)."""

    patches: Literal["on", "off"] = "on"
    """`off` leaves BentoML, uvicorn, prometheus_client and grpcio unpatched: slower and less protected, see
    drugpred/serving/patches/README.md."""

    @field_validator("grpc_port", mode="before")
    @classmethod
    def _without_link(cls, value: object) -> object:
        return cls.model_fields["grpc_port"].default if isinstance(value, str) and _LINKED.match(value) else value

    @field_validator("cors_origins")
    @classmethod
    def _as_browsers_write_them(cls, value: str | None) -> str | None:
        return value and ",".join(_origin(origin.strip()) for origin in value.split(",") if origin.strip())


def make_paths_absolute(settings: Settings) -> None:
    """Write the paths of settings into the environment as absolute paths, for processes that run in another folder."""
    for field, value in settings:
        if isinstance(value, Path):
            name = _variable(field)
            for spelling in [variable for variable in os.environ if variable.upper() == name]:
                del os.environ[spelling]
            os.environ[name] = str(value.absolute())


def _variable(field: str) -> str:
    return _PREFIX + field.upper()


def _refuse_unknown() -> None:
    known = [_variable(field) for field in Settings.model_fields]
    for name, value in os.environ.items():
        upper = name.upper()
        if (
            upper.startswith(_PREFIX)
            and upper not in {*known, *_COMPOSE}
            and not _LINK.fullmatch(upper)
            and not _LINKED.match(value)
        ):
            near = get_close_matches(upper, known, 1)
            raise ConfigurationError(f"{name}: expected the name of a setting{f', like {near[0]}' if near else ''}")


def _origin(text: str) -> str:
    """Return an origin as browsers write it, or raise ValueError."""
    if text == "*":
        return text
    url = urlsplit(text)
    host = url.hostname or ""
    if (
        url.scheme not in _DEFAULT_PORTS
        or not _HOST.fullmatch(host)
        or url.path not in {"", "/"}
        or not {"@", "?", "#"}.isdisjoint(text)
    ):
        raise ValueError("no origin")
    host = f"[{host}]" if ":" in host else host
    port = "" if url.port is None or url.port == _DEFAULT_PORTS[url.scheme] else f":{url.port}"
    return f"{url.scheme}://{host}{port}"
