"""What stands above the tables: how many targets are met, and what all of it cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recipes.benchmarks.accuracy.contestants import LEARNED, METHODS, OURS, PAPER
from recipes.benchmarks.accuracy.family import Case
from recipes.benchmarks.accuracy.provenance import commits_of
from recipes.benchmarks.accuracy.verdict import Figure, Results, figures_of

__all__ = ["made_with", "summary"]

EARLY = 0.98  # of the time that was given


def summary(cases: Sequence[Case], results: Mapping[str, Results], minutes: float) -> list[str]:
    """Paragraphs: the verdict and the cost.

    Parameters
    ----------
    cases : sequence of Case
    results : mapping of str to Results
    minutes : float
        Of training that were given.

    Returns
    -------
    list of str
    """
    figures = [figures_of(case, results[case.name]) for case in cases]
    done = sum(OURS in results[case.name] for case in cases)
    text = f"Cases with results: {done} of {len(cases)}."
    met = [f.met for row in figures for f in row.values() if f.met is not None]
    if met:
        text += f" Targets met: {sum(met)} of {len(met)} that have a figure."
    beside = [row["baseline"] for row in figures if row["baseline"].values]
    parts = [text + (_wins(beside) if beside else "")]
    kept = list(results.values())
    return parts + _cost(_of(kept, [OURS]), _of(kept, [PAPER]), minutes)


def _wins(beside: Sequence[Figure]) -> str:
    every = sum(all(value < 1 for value in figure.values) for figure in beside)
    known = [figure.mean for figure in beside if not figure.empty]
    median = f"; at the median {np.median(known):.2f} times its error" if known else ""
    return (
        f" Below the best baseline in the mean over the seeds: {sum(bool(f.met) for f in beside)} "
        f"of {len(beside)}, with every seed: {every}{median}."
    )


def _of(results: Iterable[Results], methods: Sequence[str]) -> list[dict[str, Any]]:
    """Results of methods, of all cases and seeds."""
    return [r for rs in results for m in methods for r in rs.get(m, {}).values()]


def _cost(
    ours: Sequence[Mapping[str, Any]], paper: Sequence[Mapping[str, Any]], minutes: float
) -> list[str]:
    rows = [r for r in ours if "seconds" in r]
    if not rows:
        return []
    threads = sorted({r["threads"] for r in rows})
    text = f"Training: at most {minutes:g} minute{'s' * (minutes != 1)} for each network, on "
    text += f"{' or '.join(map(str, threads))} thread{'s' * (threads != [1])}"
    early = sum(r["seconds"]["training"] < EARLY * 60 * minutes for r in rows)
    text += f"; {early} of {len(rows)} of ours ended before. What comes "
    text += f"before and after it in a fit takes {_beside(rows)}"
    theirs = [r for r in paper if "seconds" in r]
    return [text + (f"; of the paper's preset {_beside(theirs)}" if theirs else "") + "."]


def _beside(rows: Sequence[Mapping[str, Any]]) -> str:
    """Seconds of a fit that are not of training."""
    rest = [r["seconds"]["fit"] - r["seconds"]["training"] for r in rows]
    return f"{np.median(rest):.0f} s (median; largest {max(rest):.0f} s)"


def made_with(results: Sequence[Results]) -> list[str]:
    """A paragraph with commits and processors of the figures; none without figures."""
    groups = {"ours": [OURS], "the paper's preset": [PAPER]}
    groups["baselines"] = [m for m in METHODS if m not in LEARNED]
    found = {label: _of(results, methods) for label, methods in groups.items()}
    commits = [f"{label}, {commits_of(rows)}" for label, rows in found.items() if rows]
    cpus = sorted({r["cpu"] for rows in found.values() for r in rows if "cpu" in r})
    text = f"Commits of the figures: {'; '.join(commits)}."
    return [text + (f" Processor: {'; '.join(cpus)}." if cpus else "")] if commits else []
