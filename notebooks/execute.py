"""Run the notebooks and keep their outputs and pictures in the ``.ipynb`` beside each ``.py``.

    python notebooks/execute.py [NAME ...]

The text comes from the ``.py``. Nothing that changes from one run to the next is written, but for
the outputs themselves: no time stamps, and cells are named by their number.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
TIMEOUT = 1800  # seconds, of one cell


def execute(source: Path) -> None:
    """Run one notebook; it is written only if it ran to its end."""
    notebook = jupytext.read(source)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
        cell["metadata"] = {}
    notebook.metadata.pop("jupytext", None)
    client = NotebookClient(
        notebook, timeout=TIMEOUT, record_timing=False, coalesce_streams=True,
        resources={"metadata": {"path": str(HERE)}},
    )  # fmt: skip
    client.execute()
    notebook.metadata.get("language_info", {}).pop("version", None)
    nbformat.validate(notebook)
    target = source.with_suffix(".ipynb")
    partial = target.with_suffix(".partial")
    partial.write_text(nbformat.writes(notebook), encoding="utf-8")
    partial.replace(target)


def main() -> None:
    """All of them, or those that are named."""
    for source in sorted(HERE.glob("[0-9]*.py")):
        if sys.argv[1:] and source.stem not in sys.argv[1:]:
            continue
        start = time.perf_counter()
        execute(source)
        print(f"{source.stem}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
