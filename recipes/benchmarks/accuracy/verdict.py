"""A case against its targets: means over seeds of figures that are compared within a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from recipes.benchmarks.accuracy.contestants import LEARNED, OURS, PAPER
from recipes.benchmarks.accuracy.family import Case

__all__ = [
    "COLUMNS",
    "Figure",
    "Results",
    "best_baseline",
    "done",
    "figures_of",
    "fill_of",
    "ratios",
]

Results: TypeAlias = Mapping[str, Mapping[int, dict[str, Any]]]  # by method and seed

# What each column of the page holds.
COLUMNS = {
    "exact": "MSE / exact",
    "rmse": "RMSE",
    "baseline": "/ best baseline",
    "paper": "/ paper's preset",
    "single": "one pass / ensemble",
    "chosen": "chosen / ensemble",
    "spread": "spread / error",
    "half": "in 50% interval",
    "covered": "in 90% interval",
}
BASELINE, PRESET, CHOSEN = (0.0, 1.0), (0.0, 0.7), (0.0, 1.0)
SPREAD, COVERED = (0.9, 1.1), (0.87, 0.93)


@dataclass(frozen=True)
class Figure:
    """A figure by seed, with what it is held to.

    Parameters
    ----------
    values : tuple of float
        One a seed; NaN where ours left a cell empty.
    target : (float, float), optional
        From and to; None where nothing is asked.
    open_end : bool
        Whether the upper end itself is not enough.
    """

    values: tuple[float, ...]
    target: tuple[float, float] | None = None
    open_end: bool = False

    @property
    def mean(self) -> float:
        """Over the seeds; NaN without any, or with an empty cell."""
        return float(np.mean(self.values)) if self.values else float("nan")

    @property
    def empty(self) -> bool:
        """Whether ours left a cell empty with one of the seeds."""
        return bool(np.isnan(self.values).any())

    @property
    def spread(self) -> float | None:
        """Standard deviation over the seeds; None of one seed."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    @property
    def met(self) -> bool | None:
        """Whether the mean is within the target, never with a cell that was left empty.

        None where there is no figure or no target.
        """
        if self.target is None or not self.values:
            return None
        low, high = self.target
        return low <= self.mean <= high and not (self.open_end and self.mean == high)


def fill_of(record: dict[str, Any], sampler: str | None = None) -> dict[str, Any]:
    """Measures of a sampler; default: the one that the fit chose."""
    found: dict[str, Any] = record["fills"][sampler or record["chosen"]]
    return found


def figures_of(case: Case, results: Results) -> dict[str, Figure]:
    """The figures of our preset by the names of :data:`COLUMNS`, those that apply."""
    ours = done(results, OURS)
    out: dict[str, Figure] = {}
    if case.source == "gaussian":
        most = case.gaps.targets.exact
        out["exact"] = Figure(
            _each(ours, lambda r: _ratio(fill_of(r)["error"], r["exact"]["error"], 2)),
            None if most is None else (0.0, most),
        )
    for name, most in case.gaps.targets.rmse.items():
        out["rmse"] = Figure(
            _each(ours, lambda r, name=name: _own(fill_of(r)["variables"][name]["rmse"])),
            (0.0, most),
        )
    best = best_baseline(results)
    beside = () if best is None else ratios(results, OURS, best)
    out["baseline"] = Figure(beside, BASELINE, open_end=True)
    out["paper"] = Figure(ratios(results, OURS, PAPER), PRESET)
    out["single"] = Figure(_each(ours, partial(_over_many, sampler="single_pass")))
    out["chosen"] = Figure(_each(ours, _over_many), CHOSEN)
    asked = case.calibrated
    out["spread"] = Figure(
        _each(ours, lambda r: _own(fill_of(r)["spread_ratio"])), SPREAD if asked else None
    )
    out["half"] = Figure(_each(ours, lambda r: _own(fill_of(r)["coverage50"])))
    out["covered"] = Figure(
        _each(ours, lambda r: _own(fill_of(r)["coverage90"])), COVERED if asked else None
    )
    return out


def _over_many(record: dict[str, Any], sampler: str | None = None) -> float | None:
    """Error of a sampler, by default the one that was chosen, over that of the ensemble."""
    return _ratio(fill_of(record, sampler)["error"], fill_of(record, "ensemble")["error"])


def best_baseline(results: Results) -> str | None:
    """The one of the lowest mean error over the seeds that our preset has; None without any.

    Of those that have been run with most of these seeds.
    """
    seeds = set(done(results, OURS)) or {s for m in results for s in done(results, m)}
    errors: dict[str, list[float]] = {}
    for method in results:
        rows = done(results, method)
        found = [fill_of(rows[s])["error"] for s in sorted(seeds & set(rows))]
        if method not in LEARNED and found and None not in found:
            errors[method] = found
    most = max(map(len, errors.values()), default=0)
    means = {m: float(np.mean(found)) for m, found in errors.items() if len(found) == most}
    return min(means, key=lambda m: means[m], default=None)


def ratios(results: Results, method: str, reference: str) -> tuple[float, ...]:
    """Error of a method over that of another, for each seed that both have.

    NaN where the method left a cell empty; where the other did, there is nothing to compare with.
    """
    one, other = done(results, method), done(results, reference)
    both = sorted(set(one) & set(other))
    pairs = [(fill_of(one[s])["error"], fill_of(other[s])["error"]) for s in both]
    return _known(_ratio(a, b) for a, b in pairs)


def done(results: Results, method: str) -> dict[int, dict[str, Any]]:
    """Results by seed of a method that was not skipped."""
    return {s: r for s, r in sorted(results.get(method, {}).items()) if "skipped" not in r}


def _each(
    records: Mapping[int, dict[str, Any]], figure: Callable[[dict[str, Any]], float | None]
) -> tuple[float, ...]:
    return _known(figure(record) for record in records.values())


def _known(values: Iterable[float | None]) -> tuple[float, ...]:
    return tuple(value for value in values if value is not None)


def _ratio(a: float | None, b: float | None, power: int = 1) -> float | None:
    """Of an own figure to another; NaN without the one, None without the other."""
    return None if not b else float((_own(a) / b) ** power)


def _own(value: float | None) -> float:
    """A figure of ours; NaN where a cell was left empty."""
    return float("nan") if value is None else float(value)
