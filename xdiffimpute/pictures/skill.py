"""Errors at withheld observations: of each method, by distance, and by size of the gap."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..markup import number
from .base import INK, colours_of, new_figure, plain, pretty, save, with_units

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["skill"]

WHAT = {
    "distance": "distance to the nearest observation (cells)",
    "gap_size": "size of the gap (cells)",
}
FEW = 30  # fewer cells than this say little: the point is drawn hollow


def skill(
    whole: xr.Dataset,
    *parts: xr.Dataset,
    figsize: tuple[float, float] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw a row for each variable.

    Parameters
    ----------
    whole : Dataset
        Of ``ds.impute.score(imputer)``: dims (imputer, metric).
    *parts : Dataset
        Of ``ds.impute.score(imputer, by="distance")`` and the like, a column each.
    figsize : (float, float), optional
        Width and height in inches.
    path : path, optional
        Where to save the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Its axes are labelled ``"{variable}: all"``, ``"{variable}: distance"`` and so on.

    Raises
    ------
    ImputeError
        If matplotlib is missing.

    Examples
    --------
    >>> table = [[1.0, 0.8, 0.0, 99], [2.0, 1.6, 0.1, 99]]
    >>> coords = {"imputer": ["ours", "linear"], "metric": ["rmse", "mae", "bias", "cells"]}
    >>> whole = xr.Dataset({"a": (("imputer", "metric"), table, {"units": "K"})}, coords)
    >>> skill(whole).axes[0].get_xlabel()
    'RMSE (K)'
    """
    names = [str(n) for n in whole.data_vars]
    methods = [str(m) for m in whole["imputer"].values]
    ratios = [3.0, *(3.6 for _ in parts)]
    size = (sum(ratios) + 0.6, 2.7 * len(names) + 0.7)
    figure = new_figure(*size, figsize)
    axes = figure.subplots(len(names), len(ratios), squeeze=False, width_ratios=ratios)
    for row, name in zip(axes, names, strict=True):
        units = pretty(whole[name].attrs.get("units"))
        row[0].set_label(f"{name}: all")
        _bars(row[0], whole[name], units)
        for ax, part in zip(row[1:], parts, strict=True):
            by = next(str(d) for d in part[name].dims if d not in ("imputer", "metric"))
            ax.set_label(f"{name}: {by}")
            _curves(ax, part[name], by, units)
    if parts:
        _legend(figure, methods)
    return save(figure, path)


def _bars(ax: Axes, table: xr.DataArray, units: str) -> None:
    methods = [str(m) for m in table["imputer"].values]
    rmse = table.sel(metric="rmse").values.astype(np.float64)
    count = table.sel(metric="cells").values.astype(np.float64)
    shown = np.nan_to_num(rmse)
    places = np.arange(len(methods))[::-1]
    ax.barh(places, shown, color=list(colours_of(methods).values()), height=0.62)
    for place, value in zip(places, rmse, strict=True):
        text = number(value) if np.isfinite(value) else "no cells"
        ax.annotate(
            text, (np.nan_to_num(value), place), (3, 0), textcoords="offset points",
            va="center", fontsize=8, color=INK,
        )  # fmt: skip
    ax.set(xlim=(0.0, 1.2 * float(shown.max(initial=0.0)) or 1.0))
    ax.set_yticks(places, methods)
    cells = "" if np.isnan(count[0]) else f", {count[0]:,.0f} cells"
    ax.set_title(f"{table.name}{cells}", fontsize=10, color=INK)
    ax.set_xlabel(with_units("RMSE", units), fontsize=8.5, color=INK)
    plain(ax)
    ax.spines[["top", "right"]].set_visible(False)


def _curves(ax: Axes, table: xr.DataArray, by: str, units: str) -> None:
    """A line a method; below each class how many cells it holds."""
    count = table.sel(metric="cells").max("imputer").values.astype(np.float64)
    used = np.nan_to_num(count) > 0
    places = np.arange(int(used.sum()))
    many = count[used] >= FEW
    for name, colour in colours_of([str(m) for m in table["imputer"].values]).items():
        rmse = table.sel(imputer=name, metric="rmse").values[used]
        ax.plot(places, rmse, color=colour, linewidth=1.4, zorder=2)
        ax.scatter(
            places, rmse, 20, color=np.where(many, colour, "white"), edgecolors=colour, zorder=3
        )
    labels = [
        f"{_compact(label)}\n{_short(n)}"
        for label, n in zip(table[by].values[used], count[used], strict=True)
    ]
    ax.set_xticks(places, labels)
    ax.set_ylim(0.0, 1.1 * float(np.nanmax(table.sel(metric="rmse").values, initial=0.0)) or 1.0)
    ax.set_xlim(-0.4, max(len(places), 1) - 0.6)
    ax.set_title(f"{table.name} by {by.replace('_', ' ')}", fontsize=10, color=INK)
    ax.set_xlabel(f"{WHAT.get(by, by)}; below: cells counted", fontsize=8.5, color=INK)
    ax.set_ylabel(with_units("RMSE", units), fontsize=8.5, color=INK)
    plain(ax)
    ax.tick_params(axis="x", labelsize=7)
    ax.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)


def _compact(label: object) -> str:
    """Classes stand close to each other: ``"4097 to 16384"`` becomes ``"4.1k–16k"``."""
    words = str(label).replace("up to ", "≤").replace("over ", ">").replace("none in the ", "no ")
    ends = words.split(" to ")
    marks = [w[: len(w) - len(w.lstrip("≤>"))] for w in ends]
    numbers = [w.lstrip("≤>") for w in ends]
    return "–".join(
        m + (_short(float(n)) if n.isdigit() else n.replace(" ", "\u00a0"))
        for m, n in zip(marks, numbers, strict=True)
    )


def _short(count: float) -> str:
    """Such as 950, 1.2k, 35k or 2M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if count >= size:
            return (
                f"{count / size:.2g}{letter}"
                if count < 100 * size
                else f"{count / size:.0f}{letter}"
            )
    return f"{count:.0f}"


def _legend(figure: Figure, methods: list[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=c, marker="o", markersize=4, label=n)
               for n, c in colours_of(methods).items()]  # fmt: skip
    hollow = Line2D(
        [], [], color=INK, marker="o", markersize=4, markerfacecolor="white", linewidth=0,
        label=f"fewer than {FEW} cells",
    )  # fmt: skip
    figure.legend(
        handles=[*handles, hollow], loc="outside lower center", ncols=len(handles) + 1,
        frameon=False, fontsize=8.5, labelcolor=INK,
    )  # fmt: skip
