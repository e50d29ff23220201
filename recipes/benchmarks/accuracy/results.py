"""Results as JSON files, one a case, method and seed.

Those of networks have the minutes of training in their names, so that a quick look leaves the
results of a full run alone.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from recipes.benchmarks.accuracy.family import Case
from xdiffimpute.baselines import BASELINES
from xdiffimpute.exceptions import ImputeError
from xdiffimpute.methods import METHODS

__all__ = ["RESULTS", "knobs_of", "path_of", "read_result", "read_results", "write_result"]

RESULTS = Path(__file__).parent / "results"
FORMAT = 1


def path_of(folder: Path, case: str, method: str, minutes: float, seed: int) -> Path:
    """Where a result is, or will be."""
    trained = f"-{minutes:g}min" if method in METHODS else ""
    return folder / f"{case.replace('/', '.')}.{method}{trained}.seed{seed}.json"


def knobs_of(method: str) -> dict[str, list[Any]]:
    """What a baseline is tuned among, as JSON holds it; nothing of a network."""
    if method not in BASELINES:
        return {}
    return {knob: list(values) for knob, values in BASELINES.get(method).knobs.items()}


def write_result(path: Path, record: dict[str, Any]) -> None:
    """Write a result; the file has its name only when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps({"format": FORMAT} | record, indent=1) + "\n")
    os.replace(part, path)


def read_result(path: Path, case: Case) -> dict[str, Any] | None:
    """A result of the case as it is defined now; None if there is none.

    A method that was left out has one only as long as the family says so, and a baseline only as
    long as it is tuned among the same settings.

    Raises
    ------
    ImputeError
        If the file cannot be read.
    """
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text())
        current = record["format"] == FORMAT and record["definition"] == case.definition()
        method = record["method"]
        current &= record.get("skipped") == case.family.without.get(method)
        current &= "skipped" in record or record.get("knobs", {}) == knobs_of(method)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ImputeError(
            f"{path}: not a result of this program ({error}); remove it, and run the case again: "
            f"python -m recipes.benchmarks.accuracy run --cases {case.name}"
        ) from error
    return record if current else None


def read_results(
    folder: Path, case: Case, methods: list[str], minutes: float
) -> dict[str, dict[int, dict[str, Any]]]:
    """Current results of a case by method and seed; methods without any are not there."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for method in methods:
        name = path_of(folder, case.name, method, minutes, 0).name
        for path in sorted(folder.glob(name.replace(".seed0.", ".seed*."))):
            record = read_result(path, case)
            if record is not None:
                found.setdefault(method, {})[record["seed"]] = record
    return found
