"""Run the notebooks and keep their outputs and pictures in the ``.ipynb`` beside each ``.py``.

    python notebooks/execute.py [--text] [NAME ...]

The text comes from the ``.py``. With ``--text`` nothing is run: outputs are kept, and only what
stands between the code is taken over. Nothing that changes from one run to the next is written, but
for the outputs themselves: no time stamps, and cells are named by their number.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
TIMEOUT = 3600  # seconds, of one cell


def read(source: Path) -> nbformat.NotebookNode:
    """The notebook without outputs."""
    notebook = jupytext.read(source)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
        cell["metadata"] = {}
    notebook.metadata.pop("jupytext", None)
    return notebook


def run(notebook: nbformat.NotebookNode) -> None:
    """Run it, in the folder it is in."""
    client = NotebookClient(
        notebook, timeout=TIMEOUT, record_timing=False, coalesce_streams=True,
        resources={"metadata": {"path": str(HERE)}},
    )  # fmt: skip
    client.execute()
    notebook.metadata.get("language_info", {}).pop("version", None)


def keep_outputs(notebook: nbformat.NotebookNode, stored: nbformat.NotebookNode) -> None:
    """Take the outputs of a notebook with the same code."""
    new, old = ([c for c in nb.cells if c.cell_type == "code"] for nb in (notebook, stored))
    if [cell.source for cell in new] != [cell.source for cell in old]:
        raise SystemExit("the code has changed; run the notebook without --text")
    for cell, done in zip(new, old, strict=True):
        cell.outputs, cell.execution_count = done.outputs, done.execution_count
    notebook.metadata = stored.metadata


def write(notebook: nbformat.NotebookNode, target: Path) -> None:
    """The whole file or nothing."""
    nbformat.validate(notebook)
    partial = target.with_suffix(".partial")
    partial.write_text(nbformat.writes(notebook), encoding="utf-8")
    partial.replace(target)


def main() -> None:
    """All of them, or those that are named."""
    names = [name for name in sys.argv[1:] if name != "--text"]
    for source in sorted(HERE.glob("[0-9]*.py")):
        if names and source.stem not in names:
            continue
        start = time.perf_counter()
        notebook, target = read(source), source.with_suffix(".ipynb")
        if "--text" in sys.argv:
            keep_outputs(notebook, nbformat.read(target, as_version=4))
        else:
            run(notebook)
        write(notebook, target)
        print(f"{source.stem}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
