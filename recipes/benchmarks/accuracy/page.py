"""docs/accuracy.md from the results: every case, its figures beside what they are held to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from recipes.benchmarks.accuracy.contestants import LEARNED, METHODS, OURS, PAPER
from recipes.benchmarks.accuracy.drawing import draw
from recipes.benchmarks.accuracy.family import Case
from recipes.benchmarks.accuracy.provenance import commits_of
from recipes.benchmarks.accuracy.results import read_results
from recipes.benchmarks.accuracy.sections import section
from recipes.benchmarks.accuracy.verdict import (
    COLUMNS,
    Figure,
    Results,
    best_baseline,
    figures_of,
)

__all__ = ["PAGE", "render", "shown", "write_page"]

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "accuracy.md"
PICTURE = "accuracy.png"
DASH = "–"
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
    parts = [(HERE / "head.md").read_text().rstrip(), _state(cases, results, minutes)]
    if _drawable(results):
        parts.append(f"![Errors of all methods over the best baseline's](figures/{PICTURE})")
    parts += ["## Targets", _targets(cases, results), *_made_with(list(results.values()))]
    for _, group in groupby(cases, key=lambda case: case.name.partition("/")[0]):
        found = [case for case in group if results[case.name]]
        if found:
            parts.append(section(found, results))
    return "\n\n".join(parts) + "\n"


def _made_with(results: Iterable[Results]) -> list[str]:
    """Commits and processors of the figures."""
    groups = {"ours": [OURS], "the paper's preset": [PAPER]}
    groups["baselines"] = [m for m in METHODS if m not in LEARNED]
    found = {
        label: [r for rs in results for m in methods for r in rs.get(m, {}).values()]
        for label, methods in groups.items()
    }
    commits = [f"{label}, {commits_of(rows)}" for label, rows in found.items() if rows]
    cpus = sorted({r["cpu"] for rows in found.values() for r in rows if "cpu" in r})
    text = f"Commits of the figures: {'; '.join(commits)}."
    return [text + (f" Processor: {'; '.join(cpus)}." if cpus else "")] if commits else []


def _drawable(results: Mapping[str, Results]) -> bool:
    return any(best_baseline(found) is not None for found in results.values())


def _of_our_seeds(results: Results) -> Results:
    """The results with the seeds that our preset has been run with; without it, all."""
    ours = results.get(OURS)
    if not ours:
        return results
    found = {m: {s: r for s, r in rows.items() if s in ours} for m, rows in results.items()}
    return {method: rows for method, rows in found.items() if rows}


def _state(cases: Sequence[Case], results: Mapping[str, Results], minutes: float) -> str:
    done = [name for name, found in results.items() if OURS in found]
    figures = [f for c in cases for f in figures_of(c, results[c.name]).values()]
    met = [f.met for f in figures if f.met is not None]
    text = f"Training: {minutes:g} minute{'s' * (minutes != 1)} for each network"
    ours = [r for found in results.values() for r in found.get(OURS, {}).values() if "seconds" in r]
    if ours:
        threads = sorted({r["threads"] for r in ours})
        before = np.median([r["seconds"]["fit"] - r["seconds"]["training"] for r in ours])
        text += f", on {' or '.join(map(str, threads))} thread{'s' * (threads != [1])}; what comes "
        text += f"before it (climatology, partition, first guesses) takes {before:.0f} s more"
    text += ". "
    text += f"Cases with results: {len(done)} of {len(cases)}."
    return text + (f" Targets met: {sum(met)} of {len(met)} that have a figure." if met else "")


def _targets(cases: Sequence[Case], results: Mapping[str, Results]) -> str:
    lines = ["| case | seeds | " + " | ".join(COLUMNS.values()) + " |"]
    lines += ["|---|---|" + "---|" * len(COLUMNS)]
    for case in cases:
        found = results[case.name]
        figures = figures_of(case, found)
        best = best_baseline(found)
        cells = []
        for name in COLUMNS:
            text = _cell(figures[name]) if name in figures else ""
            cells.append(f"{text} `{best}`" if name == "baseline" and best else text)
        lines.append(f"| {case.title} | {len(found.get(OURS, {})) or DASH} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(figure: Figure) -> str:
    """As ``"0.91 ± 0.02 (< 1) ✓"``."""
    text = f"{figure.mean:.3g}" if figure.values else DASH
    if figure.empty:
        text = "cells left empty"
    elif figure.spread is not None:
        text += f" ± {figure.spread:.1g}"
    return f"{text}{_asked(figure)}{SIGNS[figure.met]}"


def _asked(figure: Figure) -> str:
    if figure.target is None:
        return ""
    low, high = figure.target
    if low > 0:
        return f" ({low:g} to {high:g})"
    return f" ({'<' if figure.open_end else '≤'} {high:g})"
