"""Where a Chromium is installed."""

from __future__ import annotations

import shutil
from typing import Final

BROWSERS: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
"""Its names, the smallest package first."""


def find_chromium() -> str | None:
    """Return the path of a Chromium, or None if no package of it is installed."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)
