"""Every case, method and seed that has no result yet, one after the other."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xdiffimpute as xdi
from recipes.benchmarks.accuracy.contestants import NotRun, run_method
from recipes.benchmarks.accuracy.family import Case
from recipes.benchmarks.accuracy.provenance import provenance
from recipes.benchmarks.accuracy.results import path_of, read_result, write_result
from recipes.benchmarks.accuracy.sources import Absent
from recipes.benchmarks.accuracy.trial import Trial, make_trial

__all__ = ["run_suite"]

log = logging.getLogger("xdiffimpute.accuracy")


def run_suite(
    cases: Sequence[Case],
    methods: Sequence[str],
    seeds: Sequence[int],
    minutes: float,
    *,
    data: Path | None,
    folder: Path,
    again: bool = False,
) -> list[Path]:
    """Run, and write each result as soon as it is there; all cases with one seed, then the next.

    Parameters
    ----------
    cases : sequence of Case
    methods : sequence of str
    seeds : sequence of int
    minutes : float
        Of training, for each network.
    data : Path, optional
        Folder of the archives.
    folder : Path
        Of the results.
    again : bool
        Run also what is there.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    ImputeError
        If a network fails. A baseline that does is told of in the log, and has no file.
    """
    written: list[Path] = []
    made_with = provenance()  # of the code that is loaded: files may change during the run
    for seed in seeds:
        for case in cases:
            left = {m: path_of(folder, case.name, m, minutes, seed) for m in methods}
            if not again:
                left = {m: p for m, p in left.items() if read_result(p, case) is None}
            if not left:
                log.info("%s, seed %d: all is there", case.name, seed)
                continue
            try:
                trial = make_trial(case, seed, data)
            except Absent as error:
                log.warning("%s is skipped: %s", case.name, error)
                continue
            for method, path in left.items():
                try:
                    _one(case, method, trial, seed, minutes, path, made_with)
                except NotRun as error:
                    log.warning("%s, %s, seed %d: not run: %s", case.name, method, seed, error)
                    continue
                except xdi.ImputeError:
                    log.error("%s, %s, seed %d: failed", case.name, method, seed)
                    raise
                written.append(path)
    return written


def _one(
    case: Case, method: str, trial: Trial, seed: int, minutes: float, path: Path,
    made_with: dict[str, Any],
) -> None:  # fmt: skip
    start = time.perf_counter()
    result = run_method(method, case, trial, seed, minutes)
    said = result.get("skipped")
    if said is None:
        fill = result["fills"][result["chosen"]]
        said = f"error over spread {fill['error'] or float('nan'):.4f}"
        if trial.exact is not None:
            result["exact"] = trial.exact
    log.info("%s, %s, seed %d: %s (%.0f s)", case.name, method, seed, said,
             time.perf_counter() - start)  # fmt: skip
    record = {"case": case.name, "method": method, "seed": seed, "minutes": minutes}
    write_result(path, record | {"definition": case.definition()} | made_with | result)
