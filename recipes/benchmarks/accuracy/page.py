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
from recipes.benchmarks.accuracy.results import read_results
from recipes.benchmarks.accuracy.verdict import (
    COLUMNS,
    Figure,
    Results,
    best_baseline,
    figures_of,
    fill_of,
)

__all__ = ["PAGE", "write_page"]

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "accuracy.md"
PICTURE = "accuracy.png"
DASH = "–"
SIGNS = {True: " ✓", False: " ✗", None: ""}


def write_page(cases: Sequence[Case], folder: Path, minutes: float, page: Path = PAGE) -> Path:
    """Write the page; its head stands in ``head.md``, and the figure in ``figures`` beside it.

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
    results = {
        case.name: _of_our_seeds(read_results(folder, case, list(METHODS), minutes))
        for case in cases
    }
    parts = [(HERE / "head.md").read_text().rstrip(), _state(cases, results, minutes)]
    if any(results.values()):
        path = page.parent / "figures" / PICTURE
        path.parent.mkdir(parents=True, exist_ok=True)
        if draw(cases, results, path):
            parts.append(f"![Errors of all methods over the best baseline's](figures/{PICTURE})")
    parts += ["## Targets", _targets(cases, results)]
    for _, group in groupby(cases, key=lambda case: case.name.partition("/")[0]):
        found = [case for case in group if results[case.name]]
        if found:
            parts.append(_section(found, results))
    page.write_text("\n\n".join(parts) + "\n")
    return page


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
    text = DASH if not figure.values else f"{figure.mean:.3g}"
    if figure.spread is not None:
        text += f" ± {figure.spread:.1g}"
    return f"{text}{_asked(figure)}{SIGNS[figure.met]}"


def _asked(figure: Figure) -> str:
    if figure.target is None:
        return ""
    low, high = figure.target
    if low > 0:
        return f" ({low:g} to {high:g})"
    return f" ({'<' if figure.open_end else '≤'} {high:g})"


def _section(cases: Sequence[Case], results: Mapping[str, Results]) -> str:
    """Errors in the units of the data, uncertainty and time, of a family."""
    title = cases[0].family.title
    parts = [f"## {title}", "Root mean square error at the hidden cells:", _errors(cases, results)]
    ours = [case for case in cases if _has_fill(results[case.name], OURS)]
    if ours:
        parts += ["CRPS over the spread of the truth, and the standard error of our own fills:"]
        parts += [_uncertainty(ours, results)]
    parts += [f"- {line}" for line in _skipped(cases, results)]
    return "\n\n".join(parts)


def _errors(cases: Sequence[Case], results: Mapping[str, Results]) -> str:
    """A row for each method and sampler, a column for each case and variable, then seconds."""
    columns = [(c, v) for c in cases for v in _variables(results[c.name])]
    heads = []
    for case, (name, units) in columns:
        unit = f" ({units})" if units not in (None, "1") else ""
        heads.append(f"{case.gaps.title}: {name}{unit}")
    lines = ["| | " + " | ".join(heads) + " | seconds, fit + fill |"]
    lines += ["|---|" + "---|" * (len(columns) + 1)]
    for method, sampler in _rows(cases, results):
        cells = []
        for case, (name, _) in columns:
            records = results[case.name].get(method, {}).values()
            values = [
                fill_of(r, sampler)["variables"][name]["rmse"] for r in records if "fills" in r
            ]
            cells.append(_spread(values, 4))
        label = f"`{method}`" if sampler is None else f"`{method}`, `{sampler}`"
        lines.append(
            f"| {label} | {' | '.join(cells)} | {_seconds(cases, results, method, sampler)} |"
        )
    exact = [_exact(results[case.name], name) for case, (name, _) in columns]
    if any(cell != DASH for cell in exact):
        lines.append(f"| exact answer | {' | '.join(exact)} | |")
    return "\n".join(lines)


def _rows(cases: Sequence[Case], results: Mapping[str, Results]) -> list[tuple[str, str | None]]:
    rows: list[tuple[str, str | None]] = []
    for method in METHODS:
        if any(_has_fill(results[case.name], method) for case in cases):
            both = ("single_pass", "ensemble") if method in (OURS, PAPER) else (None,)
            rows += [(method, sampler) for sampler in both]
    return rows


def _has_fill(results: Results, method: str) -> bool:
    return any("fills" in record for record in results.get(method, {}).values())


def _variables(results: Results) -> list[tuple[str, str | None]]:
    """Names and units of what is judged."""
    for records in results.values():
        for record in records.values():
            if "fills" in record:
                return [(n, v["units"]) for n, v in fill_of(record)["variables"].items()]
    return []


def _exact(results: Results, variable: str) -> str:
    found = {s: r["exact"] for rs in results.values() for s, r in rs.items() if r.get("exact")}
    return _spread([row["variables"][variable]["rmse"] for row in found.values()], 4)


def _seconds(
    cases: Sequence[Case], results: Mapping[str, Results], method: str, sampler: str | None
) -> str:
    taken = [
        (r["seconds"]["fit"], r["seconds"][sampler or method])
        for case in cases for r in results[case.name].get(method, {}).values() if "fills" in r
    ]  # fmt: skip
    fit, fill = np.median(taken, axis=0)
    return f"{fit:.0f} + {fill:.2g}"


def _uncertainty(cases: Sequence[Case], results: Mapping[str, Results]) -> str:
    """A row for each case and sampler of ours."""
    lines = ["| | | CRPS | exact answer's | spread / error | in 50% | in 90% |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for case in cases:
        records = [r for r in results[case.name].get(OURS, {}).values() if "fills" in r]
        exact = _spread([r["exact"]["crps"] for r in records if r.get("exact")], 3)
        for sampler in ("single_pass", "ensemble"):
            fills = [fill_of(r, sampler) for r in records]
            keys = ("crps", "spread_ratio", "coverage50", "coverage90")
            crps, *others = (_spread([f[key] for f in fills], 3) for key in keys)
            chosen = sum(r["chosen"] == sampler for r in records)
            label = f"`{sampler}`, chosen by {chosen} of {len(records)} fits"
            cells = [case.gaps.title, label, crps, exact, *others]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: Sequence[Any], digits: int) -> str:
    """Mean and standard deviation over seeds; a dash where one of them has no answer."""
    if not values or None in values:
        return DASH
    spread = f" ± {np.std(values, ddof=1):.1g}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}g}{spread}"


def _skipped(cases: Sequence[Case], results: Mapping[str, Results]) -> list[str]:
    """Methods without a result, and why."""
    lines = {}
    for case in cases:
        for method, records in results[case.name].items():
            for record in records.values():
                if "skipped" in record:
                    lines[f"`{method}`, {case.gaps.title}: {record['skipped']}"] = None
    return list(lines)
