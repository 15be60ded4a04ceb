"""Middleware of every HTTP request, one job for each module."""

from typing import Final

from drugpred.serving.middleware.access import AccessMiddleware
from drugpred.serving.middleware.error_format import ErrorFormatMiddleware
from drugpred.serving.middleware.fast_path import fast_path
from drugpred.serving.middleware.security_headers import SecurityHeadersMiddleware, cors
from drugpred.serving.middleware.shutdown import ConnectionCloseMiddleware

__all__ = ["MIDDLEWARE"]

MIDDLEWARE: Final = (
    ConnectionCloseMiddleware,
    cors,
    SecurityHeadersMiddleware,
    ErrorFormatMiddleware,
    AccessMiddleware,
    fast_path,
)
"""All middleware, outermost first."""
