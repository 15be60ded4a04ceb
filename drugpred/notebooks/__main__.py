"""Run the notebook again and write it with its outputs: `python -m drugpred.notebooks`.

As `jupyter execute --inplace`, but without times, so that the same data and model give the same file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import nbformat
from nbclient import NotebookClient

NOTEBOOK: Final = Path(__file__).with_name("explore.ipynb")


def execute(notebook: nbformat.NotebookNode) -> None:
    """Run every cell of a notebook in a new kernel, in the current folder, and put the outputs into the notebook.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails.
    """
    # The kernel splits what a cell prints by the time; the parts are made one.
    NotebookClient(notebook, timeout=60, record_timing=False, coalesce_streams=True).execute()


def main() -> None:
    """Run the notebook, and write it if no cell fails."""
    notebook = nbformat.read(NOTEBOOK, 4)  # type: ignore[no-untyped-call]
    execute(notebook)
    nbformat.write(notebook, NOTEBOOK)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
