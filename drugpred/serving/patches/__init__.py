"""Changes to private parts of other packages, one module each; README.md lists them."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from drugpred.errors import ConfigurationError
from drugpred.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

__all__ = ["PACKAGES", "PATCHES", "applied", "apply", "replace"]

logger = logging.getLogger("bentoml.drugpred")  # BentoML shows its lines

PATCHES: Final = {
    "prometheus_files": ("prometheus-client",),  # before a module that defines a metric is imported
    "request_metrics": ("bentoml",),
    "request_timeout": ("bentoml",),
    "circus_arbiter": ("bentoml",),
    "uvicorn_limits": ("uvicorn", "httptools"),
    "uvicorn_fast_path": ("uvicorn", "httptools"),
    "uvicorn_server": ("uvicorn",),
    "grpc_unary": ("grpcio",),
    "grpc_log": ("grpcio",),
}
"""The modules, in the order of their application, and the packages that each changes."""

PACKAGES: Final = {
    "bentoml": (1, 5),
    "grpcio": (1, 86),
    "httptools": (0, 10),
    "prometheus-client": (0, 27),
    "uvicorn": (0, 55),
}
"""The first release of each package that the patches were not tested with."""

_applied: Final[dict[str, ModuleType]] = {}


def apply(names: Iterable[str] = PATCHES) -> None:
    """Apply patches to this process, unless DRUGPRED_PATCHES is `off`.

    A patch whose target is missing, or whose package is of an untested release, is left out, and a line is logged. Call
    this before importing a module that defines a metric: prometheus_client chooses the storage of a metric when the
    metric is defined.

    Parameters
    ----------
    names : iterable of str, optional
        Names of patches, by default all.
    """
    if sys.flags.optimize > 1:  # circus formats its docstrings
        raise SystemExit("error: expected Python without -OO (PYTHONOPTIMIZE=2), with which circus cannot be used")
    if _are_off():
        return
    for name in names:
        if name in _applied:
            continue
        try:
            _check_releases(PATCHES[name])
            module = import_module(f"{__name__}.{name}")
            module.apply()
        except (AttributeError, ImportError) as error:
            logger.warning("without the patch %s: %s", name, error)
        else:
            _applied[name] = module


def applied(name: str) -> Any:  # noqa: ANN401 - a module
    """Return the module of a patch, or None if it is not applied."""
    return _applied.get(name)


def replace(owner: object, name: str, replacement: object) -> None:
    """Replace an attribute of a module or class.

    Raises
    ------
    AttributeError
        There is no such attribute.
    """
    getattr(owner, name)
    setattr(owner, name, replacement)


def _are_off() -> bool:
    try:
        return Settings().patches == "off"
    except ConfigurationError:  # a later check ends the start with one line
        return False


def _check_releases(packages: tuple[str, ...]) -> None:
    for package in packages:
        found, bound = version(package), PACKAGES[package]
        if tuple(int(part) for part in found.split(".")[:2]) >= bound:
            raise ImportError(f"expected {package} before {'.'.join(map(str, bound))}, found {found}")
