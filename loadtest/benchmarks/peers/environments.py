"""The environment of each peer, in the user's cache."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pooch

SCORER: Final = "scorer"  # the environment of this project with additions

_HERE: Final = Path(__file__).parent
_ROOT: Final = _HERE.parents[2]
_VERSIONS: Final = _ROOT / "configs" / "locks" / "dev.txt"


class EnvironmentFailedError(Exception):
    """The environment could not be created; the message is what uv prints, in a line."""


def python(name: str) -> Path:
    """Return the interpreter of an environment, which is created if missing or outdated.

    Parameters
    ----------
    name : str
        Name of the requirements file. Except for `SCORER`, they are installed in addition to those of the scikit-learn
        pipeline, which needs only the code of this project: not every peer can meet this project's requirements.

    Raises
    ------
    EnvironmentFailedError
        A package could not be installed.
    """
    requirements = _HERE / f"{name}.txt"
    folder = Path(pooch.os_cache("drugpred")) / "peers" / name
    interpreter, made = folder / "bin" / "python", folder / "made"
    project = name == SCORER
    first = ["-c", _VERSIONS, "-e", f"{_ROOT}[serve]"] if project else ["-r", _HERE / "pipeline.txt"]
    files = (requirements, _VERSIONS, _ROOT / "pyproject.toml" if project else _HERE / "pipeline.txt")
    wanted = "\n".join([*map(str, first), sys.version, *(file.read_text(encoding="utf-8") for file in files)])
    if not made.is_file() or made.read_text(encoding="utf-8") != wanted:
        print(f"creating the environment of {name} in {folder}", file=sys.stderr)
        uv = [sys.executable, "-m", "uv"]
        install = [*uv, "pip", "install", "-q", "--python", interpreter]
        # In two steps: the peer's requirements must not choose the versions of the pipeline's.
        for command in (
            [*uv, "venv", "-q", "--clear", "--python", sys.executable, folder],
            [*install, *first],
            [*install, "-r", requirements],
        ):
            _run(*map(str, command))
        made.write_text(wanted, encoding="utf-8")
    return interpreter


def _run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # noqa: S603
    if done.returncode:
        why = " ".join(done.stdout.split()) or f"exit code {done.returncode}"
        raise EnvironmentFailedError(f"no environment: {why}")
