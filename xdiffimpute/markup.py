"""Tables of scores as HTML; whatever comes from the data is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import xarray as xr

__all__ = ["facts", "number", "score_table", "skill_tables", "text"]


def text(value: object) -> str:
    """Any text for HTML, in an element or a quoted attribute."""
    return escape(str(value), quote=True)


def number(value: float) -> str:
    """Three digits, those of a whole number in full; a dash where there is none.

    Examples
    --------
    >>> number(0.36249), number(0.13), number(1234.5), number(float("nan"))
    ('0.362', '0.130', '1234', '–')
    """
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if size and not 1e-4 <= size < 1e6:
        return f"{value:.2e}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(size))) if size else 0}f}"


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """A list of names and values."""
    rows = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in pairs)
    return f"<dl>{rows}</dl>"


def score_table(skill: xr.Dataset) -> str:
    """RMSE of each method by variable, the lowest in bold.

    Parameters
    ----------
    skill : Dataset, dims (imputer, metric)

    Returns
    -------
    str
        One ``<table>``.
    """
    methods = [str(m) for m in skill["imputer"].values]
    rows = []
    for name, table in skill.data_vars.items():
        values = table.sel(metric="rmse").values.astype(np.float64)
        rows.append([_named(name, table), *_marked(values)])
    return _table(["RMSE at withheld observations", *methods], rows)


def skill_tables(skill: xr.Dataset, by: str | None = None) -> str:
    """Every metric, or with ``by`` the RMSE in each class, a table for each variable.

    Parameters
    ----------
    skill : Dataset
        Of :func:`xdiffimpute.scoring.skill_table`, with the same ``by``.
    by : str, optional

    Returns
    -------
    str
        Tables, one after the other, each with a caption.
    """
    return "".join(
        _whole(str(name), table) if by is None else _classes(str(name), table, by)
        for name, table in skill.data_vars.items()
    )


def _whole(name: str, table: xr.DataArray) -> str:
    head = ["method", "RMSE", "mean absolute error", "bias", "cells"]
    values = table.transpose("imputer", "metric").values.astype(np.float64)
    marked = _marked(values[:, 0])
    rows = [
        [text(method), best, number(row[1]), number(row[2]), _count(row[3])]
        for method, best, row in zip(table["imputer"].values, marked, values, strict=True)
    ]
    return _table(head, rows, _named(name, table))


def _classes(name: str, table: xr.DataArray, by: str) -> str:
    methods = [str(m) for m in table["imputer"].values]
    rows = []
    for label in table[by].values:
        part = table.sel({by: label})
        count = float(part.sel(metric="cells").max())
        if not count > 0:
            continue
        values = part.sel(metric="rmse").values.astype(np.float64)
        rows.append([text(label), _count(count), *_marked(values)])
    head = [f"{by.replace('_', ' ')} (cells)", "cells counted", *methods]
    return _table(head, rows, _named(name, table))


def _marked(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[str]:
    """Numbers, the lowest in bold, with those that read the same."""
    finite = values[np.isfinite(values)]
    best = number(float(finite.min())) if len(finite) > 1 else ""
    return [f"<b>{shown}</b>" if shown == best else shown for shown in map(number, values)]


def _named(name: object, table: xr.DataArray) -> str:
    units = table.attrs.get("units")
    return text(f"{name} ({units})" if units else name)


def _count(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "0"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """Cells of ``rows`` and the caption are HTML already; the headings are text."""
    top = "".join(f'<th scope="col">{text(h)}</th>' for h in head)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    title = f"<caption>{caption}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
