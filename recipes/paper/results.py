"""Results as JSON files, one a table, scale and seed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from xdiffimpute.exceptions import ImputeError

__all__ = ["RESULTS", "read_results", "write_result"]

RESULTS = Path(__file__).parent / "results"
FORMAT = 1


def write_result(path: Path, record: dict[str, Any]) -> None:
    """Write a result; the file has its name only when it is whole."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"format": FORMAT} | record, indent=1) + "\n")
    os.replace(part, path)


def read_results(folder: Path, table: str, scale: str) -> list[dict[str, Any]]:
    """All seeds of a table.

    Raises
    ------
    ImputeError
        If a file cannot be read or is of another version.
    """
    found = []
    for path in sorted(folder.glob(f"{table}.{scale}.seed*.json")):
        try:
            record = json.loads(path.read_text())
            version = record["format"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ImputeError(
                f"{path}: not a result of this program ({error}); run the table again: "
                f"python -m recipes.paper {table} --scale {scale}"
            ) from error
        if version != FORMAT:
            raise ImputeError(
                f"{path} has format {version}, this program reads {FORMAT}; run the table again: "
                f"python -m recipes.paper {table} --scale {scale} --seeds {record.get('seed', 0)}"
            )
        found.append(record)
    return found
