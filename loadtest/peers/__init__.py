"""Other ways to serve the same model, each in an environment of its own.

A peer is a script NAME.py here, which takes a port and answers on it, and NAME.txt, what it needs beside this project.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pooch

__all__ = ["PEERS", "Peer"]

_HERE: Final = Path(__file__).parent
_ROOT: Final = _HERE.parents[1]
_VERSIONS: Final = _ROOT / "configs" / "locks" / "dev.txt"


@dataclass(frozen=True)
class Peer:
    """Another way to serve the same model."""

    title: str
    name: str
    """Of its script and its requirements."""
    path: str
    """Where it answers a profile, POSTed as JSON, as POST /predict does."""

    def command(self, port: int) -> list[str]:
        """Return what starts it, once its environment is made."""
        return [str(self._python()), str(_HERE / f"{self.name}.py"), str(port)]

    def _python(self) -> Path:
        """Return the interpreter of its environment in the user's cache, which is made where it is not as wanted."""
        requirements = _HERE / f"{self.name}.txt"
        folder = Path(pooch.os_cache("drugpred")) / "peers" / self.name
        python, made = folder / "bin" / "python", folder / "made"
        files = (requirements, _VERSIONS, _ROOT / "pyproject.toml")
        wanted = "\n".join([str(_ROOT), sys.version, *(file.read_text(encoding="utf-8") for file in files)])
        if not made.is_file() or made.read_text(encoding="utf-8") != wanted:
            print(f"making the environment of {self.title} in {folder}", file=sys.stderr)
            make = (sys.executable, "-m", "venv", "--clear", folder)
            install = (python, "-m", "pip", "install", "-qq", "-c", _VERSIONS, "-r", requirements, "-e", _ROOT)
            for command in (make, install):
                subprocess.run(list(map(str, command)), check=True)  # noqa: S603 - our own commands
            made.write_text(wanted, encoding="utf-8")
        return python


PEERS: Final = (Peer("FastAPI, our predictor", "fastapi_scorer", "/predict"),)
"""What is compared with; the first one is the measure."""
