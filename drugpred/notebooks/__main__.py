"""Run the notebook again and write it with its outputs: `python -m drugpred.notebooks`.

As `jupyter execute --inplace`, but without times, so that the same data and model give the same file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import nbformat
from nbclient import NotebookClient

NOTEBOOK: Final = Path(__file__).with_name("explore.ipynb")


def main() -> None:
    """Run the notebook in a new kernel, and write it if no cell fails."""
    notebook = nbformat.read(NOTEBOOK, 4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=60, record_timing=False).execute()
    nbformat.write(notebook, NOTEBOOK)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
