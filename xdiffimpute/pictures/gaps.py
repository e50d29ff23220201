"""Coverage: a map of how often each cell is observed, and how much is observed at each time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from .base import (
    FAINT,
    HATCHED,
    INK,
    PANEL,
    axis_of,
    colour_map,
    dims_of,
    draw_map,
    draw_times,
    new_figure,
    plain,
    save,
    shape_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["gaps"]

IN_SPACE, IN_TIME = "_in_space", "_in_time"
SHADE = "#5b8db8"
MOST_NAMES = 4
STEPS = 60  # frames; fewer are drawn with a dot each


def gaps(
    covered: xr.Dataset,
    *,
    figsize: tuple[float, float] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw a row for each variable; those with the same gaps share one.

    Parameters
    ----------
    covered : Dataset
        Of :func:`xdiffimpute.coverage.coverage`: shares in [0, 1].
    figsize : (float, float), optional
        Width and height in inches.
    path : path, optional
        Where to save the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Its maps are labelled ``"{variable}: in space"``, its curves ``"{variable}: in time"``.

    Raises
    ------
    ImputeError
        If matplotlib is missing.

    Examples
    --------
    >>> values = np.full((3, 4, 5), 1.0)
    >>> values[1, :2] = np.nan
    >>> from xdiffimpute.coverage import coverage
    >>> figure = gaps(coverage(xr.Dataset({"a": (("time", "lat", "lon"), values)})))
    >>> [ax.get_label() for ax in figure.axes[:2]]
    ['a: in space', 'a: in time']
    """
    rows = _rows(covered)
    first = rows[0][0]
    y, x = (axis_of(covered, d) for d in dims_of(covered, f"{first}{IN_SPACE}"))
    shape = shape_of(y, x)
    width, height = 1.3 * PANEL / shape**0.5, 1.3 * PANEL * shape**0.5
    timed = covered.get(f"{first}{IN_TIME}")
    curves = timed is not None and timed.size > 1
    wide = 1.6 * PANEL if curves else 0.0
    figure = new_figure(width + wide + 1.4, (height + 0.9) * len(rows) + 0.4, figsize)
    ratios = [width, wide] if curves else [width]
    axes = figure.subplots(len(rows), len(ratios), squeeze=False, width_ratios=ratios)
    for row, names in zip(axes, rows, strict=True):
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        title = ", ".join(names[:MOST_NAMES]) + more
        row[0].set_label(f"{title}: in space")
        row[0].set_title(f"{title}: how often each cell is observed", fontsize=10, color=INK)
        share = 100.0 * covered[f"{names[0]}{IN_SPACE}"].values.astype(np.float64)
        style = {
            "cmap": colour_map("deep"), "vmin": 0.0, "vmax": 100.0, "label": "frames observed (%)"
        }  # fmt: skip
        draw_map(figure, row[0], np.where(share > 0, share, np.nan), y, x, style)
        if curves:
            row[1].set_label(f"{title}: in time")
            row[1].set_title("how much of it is observed at each time", fontsize=10, color=INK)
            _curve(row[1], covered[f"{names[0]}{IN_TIME}"])
    if any((covered[f"{names[0]}{IN_SPACE}"] == 0).any() for names in rows):
        _legend(figure)
    return save(figure, path)


def _rows(covered: xr.Dataset) -> list[list[str]]:
    """Names of variables, those with the same shares together."""
    names = [str(v).removesuffix(IN_SPACE) for v in covered.data_vars if str(v).endswith(IN_SPACE)]
    rows: list[list[str]] = []
    for name in names:
        for row in rows:
            pairs = [
                (covered[f"{name}{end}"], covered[f"{row[0]}{end}"])
                for end in (IN_SPACE, IN_TIME)
                if f"{name}{end}" in covered and f"{row[0]}{end}" in covered
            ]
            if all(np.array_equal(a.values, b.values, equal_nan=True) for a, b in pairs):
                row.append(name)
                break
        else:
            rows.append([name])
    return rows


def _curve(ax: Axes, share: xr.DataArray) -> None:
    dim = str(share.dims[0])
    percent = 100.0 * share.values.astype(np.float64)
    mean = float(np.nanmean(percent))
    when = draw_times(ax, share[dim] if dim in share.coords else None, share.size)
    marker = "o" if share.size <= STEPS else ""
    ax.fill_between(when, 0.0, percent, color=SHADE, alpha=0.25, linewidth=0)
    ax.plot(when, percent, color=SHADE, linewidth=0.9, marker=marker, markersize=2.5)
    ax.axhline(mean, color=FAINT, linewidth=0.8, linestyle="--")
    ax.text(
        0.98, 0.97, f"mean {mean:.0f}%", transform=ax.transAxes, ha="right", va="top",
        fontsize=8, color=INK,
    )  # fmt: skip
    # Room for the mean above all that can be drawn.
    ax.set(ylim=(0.0, 112.0), yticks=range(0, 101, 20))
    ax.margins(x=0.01)
    plain(ax)
    ax.set_ylabel("cells observed (%)", fontsize=8.5, color=INK)


def _legend(figure: Figure) -> None:
    from matplotlib.patches import Patch

    figure.legend(
        handles=[Patch(**HATCHED, label="never observed")], loc="outside lower left",
        frameon=False, fontsize=8.5, labelcolor=INK, handlelength=2.2,
    )  # fmt: skip
