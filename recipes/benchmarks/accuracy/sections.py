"""The part of the page that a family has: errors in the units of the data, uncertainty, time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from recipes.benchmarks.accuracy.contestants import METHODS, OURS, PAPER
from recipes.benchmarks.accuracy.family import Case
from recipes.benchmarks.accuracy.printing import DASH, mean_of
from recipes.benchmarks.accuracy.verdict import Results, fill_of

__all__ = ["section"]


def section(cases: Sequence[Case], results: Mapping[str, Results]) -> str:
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
            cells.append(mean_of(values, 4))
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
    return mean_of([row["variables"][variable]["rmse"] for row in found.values()], 4)


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
        exact = mean_of([r["exact"]["crps"] for r in records if r.get("exact")], 3)
        for sampler in ("single_pass", "ensemble"):
            fills = [fill_of(r, sampler) for r in records]
            keys = ("crps", "spread_ratio", "coverage50", "coverage90")
            crps, *others = (mean_of([f[key] for f in fills], 3) for key in keys)
            chosen = sum(r["chosen"] == sampler for r in records)
            label = f"`{sampler}`, chosen by {chosen} of {len(records)} fits"
            cells = [case.gaps.title, label, crps, exact, *others]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _skipped(cases: Sequence[Case], results: Mapping[str, Results]) -> list[str]:
    """Methods without a result, and why."""
    lines = {}
    for case in cases:
        for method, records in results[case.name].items():
            for record in records.values():
                if "skipped" in record:
                    lines[f"`{method}`, {case.gaps.title}: {record['skipped']}"] = None
    return list(lines)
