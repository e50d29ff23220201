"""docs/accuracy.md from the results: every case, its figures beside what they are held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from recipes.benchmarks.accuracy.contestants import METHODS, OURS, PAPER
from recipes.benchmarks.accuracy.drawing import draw
from recipes.benchmarks.accuracy.family import Case
from recipes.benchmarks.accuracy.printing import DASH, mean_of
from recipes.benchmarks.accuracy.results import read_results
from recipes.benchmarks.accuracy.sections import section
from recipes.benchmarks.accuracy.summary import made_with, summary
from recipes.benchmarks.accuracy.verdict import (
    COLUMNS,
    Figure,
    Results,
    best_baseline,
    done,
    figures_of,
    fill_of,
)

__all__ = ["PAGE", "render", "shown", "write_page"]

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "accuracy.md"
PICTURE = "accuracy.png"
SIGNS = {True: " ✓", False: " ✗", None: ""}


def write_page(cases: Sequence[Case], folder: Path, minutes: float, page: Path = PAGE) -> Path:
    """Write the page, and its figure in ``figures`` beside it.

    Parameters
    ----------
    cases : sequence of Case
        Each has its row, with results or without.
    folder : Path
        Of the results.
    minutes : float
        Results of networks that were trained for so long are shown.
    page : Path

    Returns
    -------
    Path
    """
    results = shown(cases, folder, minutes)
    if _drawable(results):
        path = page.parent / "figures" / PICTURE
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(cases, results, path)
    page.write_text(render(cases, results, minutes))
    return page


def shown(cases: Sequence[Case], folder: Path, minutes: float) -> dict[str, Results]:
    """Results by case, of the seeds that our preset has been run with."""
    return {
        case.name: _of_our_seeds(read_results(folder, case, list(METHODS), minutes))
        for case in cases
    }


def render(cases: Sequence[Case], results: Mapping[str, Results], minutes: float) -> str:
    """The text of the page; its head stands in ``head.md``."""
    parts = [(HERE / "head.md").read_text().rstrip(), *summary(cases, results, minutes)]
    if _drawable(results):
        parts.append(f"![Errors of all methods over the best baseline's](figures/{PICTURE})")
    parts += ["## Targets", _targets(cases, results), *made_with(list(results.values()))]
    parts += ["## What the figures rest on", _basis(cases, results)]
    for _, group in groupby(cases, key=lambda case: case.name.partition("/")[0]):
        found = [case for case in group if results[case.name]]
        if found:
            parts.append(section(found, results))
    return "\n\n".join(parts) + "\n"


def _drawable(results: Mapping[str, Results]) -> bool:
    return any(best_baseline(found) is not None for found in results.values())


def _of_our_seeds(results: Results) -> Results:
    """The results with the seeds that our preset has been run with; without it, all."""
    ours = results.get(OURS)
    if not ours:
        return results
    found = {m: {s: r for s, r in rows.items() if s in ours} for m, rows in results.items()}
    return {method: rows for method, rows in found.items() if rows}


def _targets(cases: Sequence[Case], results: Mapping[str, Results]) -> str:
    lines = ["| case | seeds | " + " | ".join(COLUMNS.values()) + " |"]
    lines += ["|---|---|" + "---|" * len(COLUMNS)]
    for case in cases:
        found = results[case.name]
        figures = figures_of(case, found)
        best, seeds = best_baseline(found), len(found.get(OURS, {}))
        cells = []
        for name in COLUMNS:
            text = _cell(figures[name], seeds) if name in figures else ""
            cells.append(f"{text} `{best}`" if name == "baseline" and best else text)
        lines.append(f"| {case.title} | {seeds or DASH} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(figure: Figure, seeds: int) -> str:
    """As ``"0.910 ± 0.02 (< 1) ✓"``, with the number of seeds where it is less than usual."""
    text = mean_of(figure.values, bounds=figure.target or ())
    if figure.empty:
        text = "cells left empty"
    count = len(figure.values)
    if 0 < count < seeds:
        text += f", {count} seed{'s' * (count != 1)}"
    return f"{text}{_asked(figure)}{SIGNS[figure.met]}"


def _asked(figure: Figure) -> str:
    if figure.target is None:
        return ""
    low, high = figure.target
    if low > 0:
        return f" ({low:g} to {high:g})"
    return f" ({'<' if figure.open_end else '≤'} {high:g})"


def _basis(cases: Sequence[Case], results: Mapping[str, Results]) -> str:
    """How much each figure rests on, and the cost of the networks."""
    heads = [
        "case", "seeds of ours", "of the paper's preset", "of the best baseline", "hidden values",
        "frames", "fit, s", "of these training", "steps", "the paper's preset: fit, s", "steps",
    ]  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---|" * (len(heads) - 1)]
    for case in cases:
        found = results[case.name]
        ours, paper, best = (done(found, m) for m in (OURS, PAPER, best_baseline(found) or ""))
        cells = [len(rows) or DASH for rows in (ours, paper, best)]
        cells += [_hidden(ours or paper or best), case.frames]
        cells += [_seconds(ours, "fit"), _seconds(ours, "training"), _steps(ours)]
        cells += [_seconds(paper, "fit"), _steps(paper)]
        lines.append(f"| {case.title} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _hidden(rows: Mapping[int, dict[str, Any]]) -> str:
    """Mean number of values that are judged, of all variables."""
    counts = [sum(v["cells"] for v in fill_of(r)["variables"].values()) for r in rows.values()]
    return f"{np.mean(counts):,.0f}" if counts else DASH


def _seconds(rows: Mapping[int, dict[str, Any]], part: str) -> str:
    return _rounded([record["seconds"][part] for record in rows.values()])


def _steps(rows: Mapping[int, dict[str, Any]]) -> str:
    return _rounded([r["steps"] for r in rows.values() if "steps" in r])


def _rounded(values: Sequence[float]) -> str:
    return f"{np.mean(values):.0f}" if values else DASH
