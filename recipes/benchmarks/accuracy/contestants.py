"""Methods that fill: ours by preset, and every baseline. They are handed what is shown, alone."""

from __future__ import annotations

import time
from typing import Any

import torch
import xarray as xr

from recipes.benchmarks.accuracy.family import Case
from recipes.benchmarks.accuracy.results import knobs_of
from recipes.benchmarks.accuracy.trial import Shown, Trial
from xdiffimpute.baselines import BASELINES
from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.exceptions import ImputeError
from xdiffimpute.samplers import SAMPLERS

__all__ = ["LEARNED", "MEMBERS", "METHODS", "OURS", "PAPER", "NotRun", "run_method"]

OURS, PAPER = "standard", "paper"
LEARNED = (OURS, PAPER)
METHODS = (*LEARNED, *BASELINES)
MEMBERS = 10
JUDGED: dict[str, dict[str, Any]] = {"single_pass": {}, "ensemble": {"members": MEMBERS}}


class NotRun(ImputeError):
    """A baseline that could not be run: it has no result, and is tried again by the next run."""


def run_method(name: str, case: Case, trial: Trial, seed: int, minutes: float) -> dict[str, Any]:
    """Fit, fill and judge.

    Returns
    -------
    dict
        ``fills``, measures by sampler (of a baseline, by its name), ``chosen``, which of them the
        fit chose, and ``seconds``; or ``skipped``, the reason why the family leaves it out.

    Raises
    ------
    NotRun
        If a baseline cannot be run, for want of a package, say.
    ImputeError
        If a network cannot.
    """
    if name in case.family.without:
        return {"skipped": case.family.without[name]}
    if name in LEARNED:
        return _network(name, case, trial, seed, minutes)
    try:
        return _baseline(name, case, trial, seed, minutes)
    except ImputeError as error:
        raise NotRun(str(error)) from error


def _network(name: str, case: Case, trial: Trial, seed: int, minutes: float) -> dict[str, Any]:
    shown = trial.shown
    start = time.perf_counter()
    imputer = DiffusionImputer(
        method=name, max_time=60 * minutes, seed=seed, progress=False, summary=False,
        **case.family.fit,
    ).fit(shown.learned)  # fmt: skip
    history = imputer.fitted.history
    seconds = {"fit": time.perf_counter() - start, "training": history.seconds}
    fills = {}
    for sampler, options in JUDGED.items():
        start = time.perf_counter()
        filled = imputer.fill(
            shown.filled, sampler=SAMPLERS.create(sampler, **options), where=shown.where,
            progress=False,
        ).compute()  # fmt: skip
        seconds[sampler] = time.perf_counter() - start
        fills[sampler] = trial.judge(filled)
    chosen = imputer.fitted.sampler
    return {
        "fills": fills, "chosen": chosen if chosen in fills else "single_pass", "seconds": seconds,
        "steps": history.steps, "threads": torch.get_num_threads(),
    }  # fmt: skip


def _baseline(name: str, case: Case, trial: Trial, seed: int, minutes: float) -> dict[str, Any]:
    start = time.perf_counter()
    method = BASELINES.create(name, seed=seed).fit(trial.shown.learned)
    fitted = time.perf_counter()
    filled = _filled(method, trial.shown)
    seconds = {"fit": fitted - start, name: time.perf_counter() - fitted}
    return {
        "fills": {name: trial.judge(filled)}, "chosen": name, "seconds": seconds,
        "knobs": knobs_of(name),
    }  # fmt: skip


def _filled(method: Any, shown: Shown) -> xr.Dataset:
    filled: xr.Dataset = method.fill(shown.filled, where=shown.where).compute()
    return filled
