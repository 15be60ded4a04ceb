"""What happens to every HTTP request before it is routed: one job a module."""

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
"""The outermost first."""
