"""docs/paper.md from the results: our figures beside the paper's, cell by cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from recipes.paper.results import read_results
from recipes.paper.table import (
    Column,
    Figure,
    Row,
    Table,
    names,
    read_figure,
    read_scale,
    read_table,
)

__all__ = ["FIGURES", "write_page"]

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "paper.md"
FIGURES = PAGE.parent / "figures"


def write_page(folder: Path) -> Path:
    """Write the page; its head stands in ``head.md``."""
    parts = [(HERE / "head.md").read_text().rstrip()]
    for name in names():
        table = read_table(name)
        for scale in ("cpu", "gpu"):
            records = read_results(folder, name, scale)
            if records:
                parts.append(_section(name, table, scale, records))
    parts += [_picture(n, read_figure(n)) for n in names("figure") if _drawn(n).exists()]
    PAGE.write_text("\n\n".join(parts) + "\n")
    return PAGE


def _drawn(name: str) -> Path:
    return FIGURES / f"{name}.png"


def _picture(name: str, figure: Figure) -> str:
    title = f"## Figure {name.removeprefix('figure')}: {figure.title}"
    note = f"{figure.note.strip()}\n\n" if figure.note else ""
    return f"{title}\n\n{note}![{figure.title}]({FIGURES.name}/{name}.png)"


def _section(name: str, table: Table, scale: str, records: list[dict[str, Any]]) -> str:
    seeds = [record["seed"] for record in records]
    minutes = [record["wall_seconds"] / 60 for record in records]
    size = read_scale(scale, table.steps)
    used = sorted({column.dataset for column in table.columns})
    data = "; ".join(
        f"{dataset} {d.train} + {d.test} samples of {d.frames} x {d.shape[0]} x {d.shape[1]}"
        for dataset, d in size.data.items()
        if dataset in used and dataset != "era5"
    )
    archive = next((record["era5"] for record in records if record.get("era5")), None)
    data += f"; era5 {archive}" if archive else ""
    head = [
        f"## Table {name.removeprefix('table').replace('_', ', ')}: {table.title}",
        "",
        f"Scale `{scale}`, seeds {', '.join(map(str, seeds))}, "
        f"{_span(minutes)} minutes a seed; {size.steps} steps of batch "
        f"{size.batch}, network `{size.size}`, {size.sampling_steps} sampling steps; {data}.",
    ]
    if table.note:
        head += ["", table.note]
    columns = [c for c in table.columns if any(c.name in r["cells"] for r in records)]
    head += ["", "| | " + " | ".join(_title(c) for c in columns) + " |"]
    head += ["|---|" + "---|" * len(columns)]
    for row in table.rows:
        cells = [_cell(column, row, records) for column in columns]
        head.append(f"| {row.name} | " + " | ".join(cells) + " |")
    head += ["", "Ours (mean ± standard deviation over seeds) / the paper's in italics."]
    if table.timed:
        head += ["", *_times(table, columns, records)]
    if table.lowest:
        head += ["", *(_verdict(table, column, records) for column in columns)]
    left = [c.name for c in table.columns if c not in columns]
    if left:
        head += ["", f"Not run: {', '.join(left)}."]
    return "\n".join(head)


def _span(values: list[float]) -> str:
    """As ``"12"`` or ``"12 to 13"``."""
    low, high = (f"{value:.0f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _title(column: Column) -> str:
    return f"{column.name} (x {column.unit:g})"


def _values(column: Column, row: Row, records: list[dict[str, Any]]) -> np.ndarray:
    found = [r["cells"][column.name][row.name]["value"] for r in records if _has(r, column, row)]
    return np.array(found) / column.unit


def _has(record: dict[str, Any], column: Column, row: Row) -> bool:
    return row.name in record["cells"].get(column.name, {})


def _cell(column: Column, row: Row, records: list[dict[str, Any]]) -> str:
    values = _values(column, row, records)
    paper = column.paper.get(row.name)
    theirs = "–" if paper is None else _figure(*(paper if isinstance(paper, tuple) else (paper,)))
    if not values.size:
        return f"– / *{theirs}*"
    spread = [values.std(ddof=1)] if values.size > 1 else []
    return f"{_figure(values.mean(), *spread)} / *{theirs}*"


def _figure(mean: float, spread: float | None = None) -> str:
    return f"{mean:.4g}" if spread is None else f"{mean:.4g} ± {spread:.2g}"


def _verdict(table: Table, column: Column, records: list[dict[str, Any]]) -> str:
    """How each of our rows stands to the best of the others, and whether beyond the spread."""
    means = {row.name: _values(column, row, records) for row in table.rows}
    means = {name: values for name, values in means.items() if values.size}
    ours = [row.name for row in table.rows if row.ours and row.name in means]
    other = min(set(means) - set(ours), key=lambda name: means[name].mean())
    best = means[other]
    said = []
    for name in ours:
        a = means[name]
        ratio = f"`{name}` is {a.mean() / best.mean():.2f} times it"
        if a.mean() < best.mean():
            said.append(ratio)
            continue
        if a.size == 1:
            said.append(f"**{ratio}** (one seed)")
            continue
        spread = float(np.hypot(a.std(ddof=1), best.std(ddof=1)))
        inside = "within" if a.mean() - best.mean() < spread else "outside"
        said.append(f"**{ratio}**, {inside} the spread of the seeds")
    return f"- {column.name}: the best of the others is `{other}`; {'; '.join(said)}."


def _times(table: Table, columns: list[Column], records: list[dict[str, Any]]) -> list[str]:
    """Time of each row over that of the first, in the filling alone."""
    lines = []
    for column in columns:
        rows = [r for r in table.rows if all(_has(record, column, r) for record in records)]
        taken = {
            row.name: np.median([_filling(rec["cells"][column.name][row.name]) for rec in records])
            for row in rows
        }
        first = taken[rows[0].name]
        text = ", ".join(f"{name} {value / first:.2f}" for name, value in taken.items())
        lines.append(f"- Time over the first row's, {column.name}: {text}.")
    return lines


def _filling(cell: dict[str, Any]) -> float:
    return min(value for name, value in cell["seconds"].items() if name != "training")
