"""The figure of the page: the error of every method over that of the best baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from recipes.benchmarks.accuracy.contestants import OURS, PAPER
from recipes.benchmarks.accuracy.family import Case
from recipes.benchmarks.accuracy.verdict import Results, best_baseline, fill_of, ratios
from xdiffimpute.pictures.base import FAINT, INK, new_figure

__all__ = ["draw"]

BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
MOST = 3.0
GAP = 0.9


def draw(cases: Sequence[Case], results: Mapping[str, Results], path: Path) -> None:
    """Draw a row for each case that has a baseline's result.

    Parameters
    ----------
    cases : sequence of Case
    results : mapping of str to Results
    path : Path
        Of the PNG.

    Raises
    ------
    ImputeError
        If matplotlib is missing.
    """
    shown = [case for case in cases if best_baseline(results[case.name]) is not None]
    places, heads, at = {}, [], 0.0
    for _, group in groupby(shown, key=lambda case: case.name.partition("/")[0]):
        members = list(group)
        heads.append((at, members[0].family.title))
        for case in members:
            at += 1.0
            places[case.name] = at
        at += 1.0 + GAP
    figure = new_figure(9.0, 0.24 * at + 1.3)
    figure.set_layout_engine("constrained")
    ax = figure.subplots()
    for case in shown:
        _row(ax, places[case.name], results[case.name])
    for place, title in heads:
        ax.annotate(
            title, (0.0, place), xycoords=("axes fraction", "data"), xytext=(4, 0),
            textcoords="offset points", va="center", fontsize=9, weight="bold", color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip
    _dress(ax, shown, places, at, paper=any(PAPER in results[case.name] for case in shown))
    figure.savefig(path, dpi=150, facecolor="white")


def _row(ax, y: float, results: Results) -> None:
    """Baselines as ticks, the presets as points with the range of the seeds, the exact limit."""
    best = best_baseline(results)
    for method in results:
        values = ratios(results, method, best)
        if not values or not np.isfinite(values).all():
            continue
        mean = float(np.mean(values))
        if method not in (OURS, PAPER):
            ax.plot(min(mean, MOST), y, "|", color=FAINT, ms=8, mew=1.2, zorder=2)
            continue
        colour = BLUE if method == OURS else ORANGE
        style = {"color": colour, "zorder": 4 if method == OURS else 3}
        if mean > MOST:
            ax.plot(MOST, y, ">", ms=5, **style)
            continue
        ax.plot([min(values), max(values)], [y, y], "-", lw=1.5, **style)
        ax.plot(mean, y, "o" if method == OURS else "D", ms=6 if method == OURS else 4.5, **style)
    exact = _limit(results, best)
    if exact is not None:
        ax.plot(exact, y, "*", color=GREEN, ms=8, mec="white", mew=0.5, zorder=5)


def _limit(results: Results, best: str | None) -> float | None:
    """Error of the exact answer over that of the best baseline."""
    rows = [r for r in results.get(best or "", {}).values() if r.get("exact")]
    return (
        float(np.mean([r["exact"]["error"] / fill_of(r)["error"] for r in rows])) if rows else None
    )


def _dress(
    ax, shown: Sequence[Case], places: Mapping[str, float], depth: float, *, paper: bool
) -> None:
    ax.axvline(1.0, color=INK, lw=0.8, zorder=1)
    ax.set(xscale="log", xlim=(0.1, MOST * 1.06), ylim=(depth - GAP, -1.0))
    low = min([x for line in ax.lines for x in np.atleast_1d(line.get_xdata())], default=0.5)
    low = min(0.7, max(0.02, low))
    ax.set_xlim(0.88 * low, MOST * 1.06)
    ticks = [x for x in (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, MOST) if x >= 0.88 * low]
    ax.set_xticks(ticks, [f"{x:g}" for x in ticks[:-1]] + [f"≥ {MOST:g}"], fontsize=8)
    ax.set_xticks([], minor=True)
    ax.set_yticks([places[c.name] for c in shown], [c.gaps.title for c in shown], fontsize=8)
    ax.tick_params(length=0, labelcolor=INK)
    ax.grid(axis="x", color="#e6e6e6", lw=0.6, zorder=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("RMSE at hidden cells over that of the best baseline", fontsize=9, color=INK)
    keys = [("o", BLUE, "xdiffimpute"), *([("D", ORANGE, "the paper's preset")] if paper else []),
            ("|", FAINT, "a baseline"), ("*", GREEN, "exact answer")]  # fmt: skip
    handles = [
        ax.plot([], [], marker, color=colour, ms=7, ls="", label=label)[0]
        for marker, colour, label in keys
    ]
    ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4,
              frameon=False, fontsize=9, labelcolor=INK)  # fmt: skip
