"""What a result was made with: versions, the commit of the checkout, the processor."""

from __future__ import annotations

import platform
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import xdiffimpute as xdi

__all__ = ["commits_of", "provenance"]

ROOT = Path(__file__).resolve().parents[3]
DECISIVE = ("xdiffimpute", "recipes/benchmarks/accuracy")
RESULTS = ":(exclude)recipes/benchmarks/accuracy/results"
SHORT = 7
UNKNOWN = "unknown"


def provenance() -> dict[str, Any]:
    """As it is kept in a result.

    Returns
    -------
    dict
        ``versions``, ``cpu``, and ``code``: the ``commit``, None outside of a git checkout of this
        project, and whether what decides the results was ``dirty``, changed since.
    """
    return {
        "versions": {
            "xdiffimpute": xdi.__version__, "python": platform.python_version(),
            "torch": str(torch.__version__), "numpy": np.__version__,
        },
        "code": _code(Path(xdi.__file__).resolve().parents[1]),
        "cpu": _cpu(),
    }  # fmt: skip


def commits_of(records: Iterable[Mapping[str, Any]]) -> str:
    """Commits of results in words, the most frequent first.

    Examples
    --------
    >>> commits_of([{"code": {"commit": "0123456789", "dirty": True}}, {}, {}])
    'unknown (2 results), 0123456 and changes (1)'
    >>> commits_of([{"code": {"commit": "0123456789", "dirty": False}}, {}])
    '0123456 (1 result), unknown (1)'
    """
    counts = Counter(_commit(record.get("code") or {}) for record in records)
    if len(counts) == 1:
        return next(iter(counts))
    (first, most), *rest = counts.most_common()
    parts = [f"{first} ({most} result{'s' * (most > 1)})"]
    return ", ".join(parts + [f"{name} ({count})" for name, count in rest])


def _commit(code: Mapping[str, Any]) -> str:
    commit = code.get("commit")
    return f"{commit[:SHORT]}{' and changes' * bool(code.get('dirty'))}" if commit else UNKNOWN


def _code(package: Path) -> dict[str, Any]:
    """Commit and state of the checkout that holds the suite, if the package is of it."""
    top = _git("rev-parse", "--show-toplevel")
    commit = _git("rev-parse", "HEAD")
    if not commit or top is None or Path(top).resolve() != ROOT or package != ROOT:
        return {"commit": None, "dirty": None}
    state = _git("status", "--porcelain", "--", *DECISIVE, RESULTS)
    return {"commit": commit, "dirty": None if state is None else bool(state)}


def _git(*arguments: str) -> str | None:
    """What git prints; None without git or a checkout."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _cpu() -> str:
    """Model of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(models), platform.processor() or platform.machine() or UNKNOWN)
