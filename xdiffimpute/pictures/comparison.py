"""Maps of truth, gaps, fill, error and standard error, side by side.

Values share one scale in a row, so that truth, observations and fill compare by eye; error and
standard error share another, so that the one can be judged as an estimate of the other.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .._typing import BoolArray, FloatArray
from ..arguments import as_list
from ..exceptions import ImputeError
from ..globe import add_coast, in_degrees, projected
from .base import (
    EMPTY,
    HATCHED,
    INK,
    PANEL,
    Axis,
    aspect_of,
    axis_of,
    colour_map,
    dims_of,
    legible,
    new_figure,
    plain,
    pretty,
    save,
    shape_of,
    with_units,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["comparison"]

KEPT = "#f7f7f7"
VALUES = ("truth", "observed", "filled")
HEADINGS = {"error": "error (filled − truth)"}
STRIP = 0.25  # height over width of maps that are better put one below the other
STRIP_WIDTH = 7.0  # inches
SPECKLED = 3.0  # edges of gaps longer than this many rows and columns would only hide the map


@dataclass(frozen=True)
class _Field:
    """One variable: its maps by column, with their scales, and its gaps."""

    name: str
    title: str
    units: str
    maps: dict[str, FloatArray]
    gaps: BoolArray

    @property
    def outlined(self) -> bool:
        """Gaps are few and large enough for their edges to be drawn."""
        sides = sum(np.count_nonzero(np.diff(self.gaps, axis=axis)) for axis in (0, 1))
        return bool(0 < sides < SPECKLED * sum(self.gaps.shape))

    def style(self, column: str) -> dict[str, Any]:
        """Colour map and limits of a column."""
        if column in VALUES:
            low, high = _range([self.maps[c] for c in VALUES if c in self.maps], 0.002)
            if low < 0 < high and min(-low, high) > 0.3 * max(-low, high):
                most = max(-low, high)
                return {"cmap": colour_map("balance"), "vmin": -most, "vmax": most}
            return {"cmap": colour_map("thermal"), "vmin": low, "vmax": high}
        _, most = _range([np.abs(v) for c, v in self.maps.items() if c not in VALUES], 0.005)
        if column == "error":
            return {"cmap": colour_map("curl"), "vmin": -most, "vmax": most}
        return {"cmap": colour_map("matter"), "vmin": 0.0, "vmax": most}

    def caption(self, column: str) -> str:
        """What a colour bar shows, in which units; of errors, how large they are."""
        if column in VALUES:
            return with_units(self.title, self.units)
        found = self.maps[column][np.isfinite(self.maps[column])]
        what = "RMSE" if column == "error" else "root mean square"
        size = f"{what} {np.sqrt(np.mean(found**2)):.3g} {self.units}" if found.size else ""
        return size.strip() or self.units


def comparison(
    gappy: xr.Dataset,
    filled: xr.Dataset,
    *,
    truth: xr.Dataset | None = None,
    variables: Sequence[str] | None = None,
    title: str = "",
    headings: Mapping[str, str] | None = None,
    projection: Any = None,
    figsize: tuple[float, float] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw one frame: a row for each variable; of wide, low maps a column, one below the other.

    Parameters
    ----------
    gappy, filled : Dataset
        Of two dimensions; select a frame first, such as ``ds.isel(time=0)``.
    truth : Dataset, optional
        Adds the columns truth and error.
    variables : sequence of str, optional
        Default: those with a flag in ``filled``.
    title : str
        Above all panels.
    headings : mapping of str to str, optional
        What to write above a column in place of ``"truth"``, ``"observed"``, ``"filled"``,
        ``"error"`` or ``"standard error"``.
    projection : str or cartopy.crs.Projection, optional
        Draw the maps on the globe with cartopy, with coastlines where their data are there:
        such as ``"Orthographic"``, which is then centred on the data. Default: plain axes.
    figsize : (float, float), optional
        Width and height in inches; default: by the number and the shape of the panels.
    path : path, optional
        Where to save the picture, at 200 dots an inch; its ending decides the format.

    Returns
    -------
    matplotlib.figure.Figure
        Its panels come first among its axes, and are labelled
        ``"{variable}: {column}"``; the colour bars follow.

    Raises
    ------
    ImputeError
        If matplotlib is missing, or a variable is absent or has not two dimensions; or there is
        a projection, and no cartopy or no latitudes and longitudes.

    Examples
    --------
    >>> import xdiffimpute  # registers .impute
    >>> from xdiffimpute.datasets import DATASETS
    >>> truth = DATASETS.create("shallow_water", samples=1, shape=(12, 12), frames=1).open()
    >>> gappy = truth.assign(h=truth["h"].where(truth["x"] > 200e3))
    >>> filled = gappy.impute.fill("nearest", variables=["h"])
    >>> truth, gappy, filled = (ds.isel(sample=0, time=0) for ds in (truth, gappy, filled))
    >>> figure = comparison(gappy, filled, truth=truth)
    >>> [ax.get_title() for ax in figure.axes[:4]]
    ['truth', 'observed', 'filled', 'error (filled − truth)']
    """
    flagged = [v for v in gappy.data_vars if f"{v}_imputation_flag" in filled]
    names = [str(v) for v in as_list(variables) or flagged]
    _check(names, [ds for ds in (gappy, filled, truth) if ds is not None])
    judged = all(f"{n}_standard_error" in filled for n in names)
    fields = [_field(n, gappy, filled, truth, judged) for n in names]
    y, x = (axis_of(gappy, dim) for dim in dims_of(gappy, names[0]))
    aspect, shape = aspect_of(y, x), shape_of(y, x)
    columns = list(fields[0].maps)
    globe = None if projection is None else _globe(projection, y, x)
    strip = float(aspect * np.ptp(y.edges) / np.ptp(x.edges)) if aspect else 1.0
    stacked = globe is None and strip < STRIP
    if stacked:
        size = (STRIP_WIDTH * len(fields) + 1.2, (STRIP_WIDTH * strip + 0.32) * len(columns) + 0.9)
        grid = (len(columns), len(fields))
    else:
        width, height = PANEL / shape**0.5, PANEL * shape**0.5
        size = (width * len(columns) + 1.0, (height + 0.85) * len(fields) + 1.0)
        grid = (len(fields), len(columns))
    figure = new_figure(*size, figsize)
    axes = figure.subplots(
        *grid, squeeze=False, sharex=globe is None, sharey=globe is None,
        subplot_kw={} if globe is None else {"projection": globe},
    )  # fmt: skip
    for row, field in zip(axes.T if stacked else axes, fields, strict=True):
        _draw(figure, list(row), field, x.edges, y.edges, stacked, on_globe=globe is not None)
    told = [(HEADINGS | dict(headings or {})).get(c, c) for c in columns]
    if globe is not None:
        _head(axes, told)
        add_coast(axes.flat)
    else:
        for ax in axes.flat:
            ax.set_aspect(aspect or "auto")
        if stacked:
            _label_strips(figure, axes, fields, told, y, x)
        else:
            _head(axes, told)
            _label(axes, y, x)
    _legend(figure, fields)
    if title:
        figure.suptitle(title, fontsize=12, color=INK)
    return save(figure, path)


def _check(names: list[str], sources: list[xr.Dataset]) -> None:
    if not names:
        raise ImputeError(
            "no variable has an imputation flag; pass what fill() returned, or name the "
            "variables, such as variables=['sst']"
        )
    for name, ds in ((name, ds) for name in names for ds in sources):
        if name not in ds:
            raise ImputeError(
                f"{name!r} is missing from a Dataset that has {', '.join(map(str, ds.data_vars))}; "
                "name variables that all of them have"
            )
        if ds[name].ndim != 2:
            raise ImputeError(
                f"{name!r} has the dims {ds[name].dims}; select one frame first, for example "
                "with .isel(time=0)"
            )


def _field(
    name: str, gappy: xr.Dataset, filled: xr.Dataset, truth: xr.Dataset | None, judged: bool
) -> _Field:
    dims = dims_of(gappy, name)

    def values(ds: xr.Dataset, variable: str = name) -> FloatArray:
        return np.asarray(ds[variable].transpose(*dims).values, dtype=np.float64)

    seen, done = values(gappy), values(filled)
    gaps: BoolArray = ~np.isfinite(seen)
    maps = {} if truth is None else {"truth": values(truth)}
    maps |= {"observed": seen, "filled": done}
    if truth is not None:
        maps["error"] = np.where(gaps, done - maps["truth"], np.nan)
    if judged:
        maps["standard error"] = np.where(gaps, values(filled, f"{name}_standard_error"), np.nan)
    attrs = gappy[name].attrs
    return _Field(name, str(attrs.get("long_name", name)), pretty(attrs.get("units")), maps, gaps)


def _draw(
    figure: Figure, row: list[Axes], field: _Field, x: FloatArray, y: FloatArray, stacked: bool,
    *, on_globe: bool,
) -> None:  # fmt: skip
    """The panels of a variable, with their colour bars: below them, or at the right of strips."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import ListedColormap
    from matplotlib.ticker import MaxNLocator

    outline = list(_outline(field.gaps, x, y)) if field.outlined else []
    width = min(0.8, 20.0 * PANEL / max(field.gaps.shape))
    kept = np.where(field.gaps, np.nan, 0.0)
    placed = {"transform": in_degrees()} if on_globe else {}
    images, panels = {}, dict(zip(field.maps, row, strict=True))
    for column, ax in panels.items():
        ax.set_label(f"{field.name}: {column}")
        ax.patch.set(**(HATCHED if column == "observed" else {"facecolor": EMPTY}))
        if column not in VALUES:
            ax.pcolormesh(x, y, kept, rasterized=True, cmap=ListedColormap([KEPT]), **placed)
        images[column] = ax.pcolormesh(
            x, y, field.maps[column], rasterized=True, **field.style(column), **placed
        )
        if column != "truth":
            lines = LineCollection(outline, colors=INK, linewidths=width, capstyle="projecting")
            if on_globe:
                lines.set_transform(placed["transform"]._as_mpl_transform(ax))
            ax.add_collection(lines, autolim=False)
        plain(ax)
    groups = [[c for c in panels if c in VALUES], *([c] for c in panels if c not in VALUES)]
    for group in groups:
        wide = len(group) > 1
        form: dict[str, Any] = {
            "orientation": "horizontal", "shrink": 0.62 if wide else 0.94,
            "aspect": 34 if wide else 17, "ticks": MaxNLocator(7 if wide else 4),
        }  # fmt: skip
        if stacked:
            form = {"shrink": 0.8 if wide else 1.0, "aspect": 16 if wide else 5}
            form["ticks"] = MaxNLocator(5 if wide else 2)
        bar = figure.colorbar(images[group[-1]], ax=[panels[c] for c in group], pad=0.02, **form)
        plain(bar.ax)
        if wide or not stacked:
            bar.set_label(field.caption(group[-1]), fontsize=8.5, color=INK)


def _globe(projection: Any, y: Axis, x: Axis) -> Any:
    """The projection, for data in degrees."""
    if (y.units, x.units) != ("°N", "°E"):
        raise ImputeError(
            f"projection= needs latitudes and longitudes in degrees, and the axes are {y.label} "
            f"and {x.label}; leave projection= out"
        )
    return projected(projection, x.edges, y.edges)


def _head(axes: Any, headings: list[str]) -> None:
    """What the columns show."""
    for ax, heading in zip(axes[0], headings, strict=True):
        ax.set_title(heading, fontsize=10, color=INK, pad=6)


def _label(axes: Any, y: Axis, x: Axis) -> None:
    """Ticks, and names of the axes at the left and at the bottom."""
    for ax in axes.flat:
        legible(ax, x, y)
    for ax in axes[-1]:
        ax.set_xlabel(x.label, fontsize=8.5, color=INK)
    for ax in axes[:, 0]:
        ax.set_ylabel(y.label, fontsize=8.5, color=INK)


def _label_strips(
    figure: Figure, axes: Any, fields: list[_Field], headings: list[str], y: Axis, x: Axis
) -> None:
    """A heading above each strip, with what the low colour bars have no room for."""
    for row, column, heading in zip(axes, fields[0].maps, headings, strict=True):
        for ax, field in zip(row, fields, strict=True):
            told = heading if column in VALUES else f"{heading}: {field.caption(column)}"
            ax.set_title(told, fontsize=9.5, color=INK, loc="left", pad=3)
            legible(ax, x, y)
    for ax in axes[-1]:
        ax.set_xlabel(x.label, fontsize=8.5, color=INK)
    figure.supylabel(y.label, fontsize=8.5, color=INK)


def _legend(figure: Figure, fields: list[_Field]) -> None:
    """What the greys and the lines mean."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(**HATCHED, label="not observed")]
    if any(f.outlined for f in fields):
        handles.append(Line2D([], [], color=INK, linewidth=0.8, label="edge of the gaps"))
    if not set(fields[0].maps) <= set(VALUES):
        handles.append(Patch(facecolor=KEPT, edgecolor="#c4c4c4", label="observed, kept"))
    if any(np.isnan(m[f.gaps]).any() for f in fields for c, m in f.maps.items() if c != "observed"):
        handles.append(Patch(facecolor=EMPTY, label="no value"))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(handles), frameon=False,
        fontsize=8.5, labelcolor=INK, handlelength=2.2, columnspacing=2.5,
    )  # fmt: skip


def _outline(gaps: BoolArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Sides between a gap and an observed cell, from corner to corner: shape (n, 2, 2)."""
    j, i = np.nonzero(gaps[1:] != gaps[:-1])
    level = np.stack([x[i], y[j + 1], x[i + 1], y[j + 1]], axis=-1)
    j, i = np.nonzero(gaps[:, 1:] != gaps[:, :-1])
    upright = np.stack([x[i + 1], y[j], x[i + 1], y[j + 1]], axis=-1)
    return np.concatenate([level, upright]).reshape(-1, 2, 2)


def _range(maps: list[FloatArray], tail: float) -> tuple[float, float]:
    """Quantiles of all finite values, or some range where there is none."""
    values = np.concatenate([m[np.isfinite(m)] for m in maps])
    low, high = np.quantile(values, [tail, 1 - tail]) if values.size else (0.0, 1.0)
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)
