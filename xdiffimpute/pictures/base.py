"""What pictures share: ink, colour maps, axes with units, and how a figure is made and saved."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .._typing import FloatArray
from ..axes import find_axes
from ..exceptions import AxesError, ImputeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "EMPTY",
    "FAINT",
    "HATCHED",
    "INK",
    "PANEL",
    "Axis",
    "aspect_of",
    "axis_of",
    "colour_map",
    "colours_of",
    "dims_of",
    "draw_map",
    "draw_times",
    "legible",
    "new_figure",
    "plain",
    "pretty",
    "save",
    "shape_of",
    "with_units",
]

INK, FAINT, EMPTY = "#222222", "#8a8a8a", "#b4b4b4"
HATCHED: dict[str, Any] = {
    "facecolor": "#ececec",
    "edgecolor": "#c4c4c4",
    "hatch": "////",
    "linewidth": 0.0,
}
PANEL = 2.3  # inches, of a square panel
# The method that is judged comes first and stands out. Okabe and Ito's colours, which readers
# with any kind of colour vision can tell apart.
OURS = "#0072b2"
OTHERS = ("#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666")
# cmocean's maps, and matplotlib's nearest where it is not installed.
MAPS = {
    "balance": "RdBu_r", "curl": "PiYG", "thermal": "viridis", "matter": "RdPu",
    "dense": "BuPu", "deep": "YlGnBu",
}  # fmt: skip
UNITS = {
    "degrees_east": "°E", "degrees_north": "°N", "degree_east": "°E", "degree_north": "°N",
    "degc": "°C", "degree_celsius": "°C", "degrees_celsius": "°C", "celsius": "°C", "1": "",
}  # fmt: skip


@dataclass(frozen=True)
class Axis:
    """Where the cells of a dim begin and end, in which units.

    Parameters
    ----------
    edges : float array, shape (n + 1,)
    name : str
    units : str
        As they are printed; empty for numbers of cells.
    """

    edges: FloatArray
    name: str
    units: str

    @property
    def label(self) -> str:
        """Such as ``"latitude (°N)"``."""
        return with_units(self.name, self.units)


def new_figure(width: float, height: float, figsize: tuple[float, float] | None = None) -> Figure:
    """A figure that pyplot does not know of, and that a notebook shows all the same.

    Parameters
    ----------
    width, height : float
        In inches, where the user asks for nothing else.
    figsize : (float, float), optional
        What the user asks for.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImputeError
        If matplotlib is missing, or the size is not two positive numbers.

    Examples
    --------
    >>> new_figure(4.0, 3.0).get_size_inches().tolist()
    [4.0, 3.0]
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImputeError(
            "pictures need matplotlib; install it with: pip install 'xdiffimpute[plot]'"
        ) from error
    size = (width, height) if figsize is None else figsize
    if np.shape(size) != (2,) or not all(0 < side < 200 for side in size):
        raise ImputeError(
            f"figsize={figsize!r} is not a size; give width and height in inches, such as "
            "figsize=(8, 5)"
        )
    figure = Figure(figsize=(float(size[0]), float(size[1])), layout="compressed")
    # IPython asks for this name. Without it, a notebook in which pyplot was never used shows
    # "<Figure size ...>" in place of the picture.
    figure._repr_png_ = partial(_png, figure)  # type: ignore[attr-defined]
    return figure


def _png(figure: Figure) -> bytes:
    """The figure as a notebook shows it."""
    content = io.BytesIO()
    figure.savefig(
        content, format="png", dpi=110, facecolor="white", bbox_inches="tight", pad_inches=0.08
    )
    return content.getvalue()


def save(figure: Figure, path: str | os.PathLike[str] | None) -> Figure:
    """Save at 200 dots an inch where there is a path; the figure comes back.

    Raises
    ------
    ImputeError
        If matplotlib does not know the ending, or the file cannot be written.
    """
    if path is None:
        return figure
    try:
        figure.savefig(path, dpi=200, facecolor="white", bbox_inches="tight", pad_inches=0.12)
    except (ValueError, OSError) as error:
        raise ImputeError(
            f"cannot save a picture as {os.fspath(path)!r} ({error}); give a file in a folder that "
            "exists, ending in .png, .pdf or .svg"
        ) from error
    return figure


def plain(ax: Axes) -> None:
    """Thin, faint frame and small figures."""
    ax.spines[:].set(color=FAINT, linewidth=0.6)
    ax.tick_params(labelsize=8, width=0.6, length=2.5, color=FAINT, labelcolor=INK)


def colours_of(methods: Sequence[str]) -> dict[str, str]:
    """A colour for each method, the first one's always the same."""
    palette = (OURS, *OTHERS)
    return {name: palette[k % len(palette)] for k, name in enumerate(methods)}


def dims_of(ds: xr.Dataset, name: str) -> tuple[str, str]:
    """The vertical and the horizontal dim of a variable's map."""
    first, second = map(str, ds[name].dims)
    try:
        axes = find_axes(ds)
    except AxesError:
        return first, second
    return (axes.y, axes.x) if {axes.y, axes.x} == {first, second} else (first, second)


def axis_of(ds: xr.Dataset, dim: str) -> Axis:
    """From a coordinate; numbers of cells where there is none. Metres become kilometres."""
    coordinate = ds.coords.get(dim)
    if coordinate is None or coordinate.dtype.kind not in "iuf" or coordinate.size == 1:
        return Axis(np.arange(ds.sizes[dim] + 1) - 0.5, dim, "")
    units = pretty(coordinate.attrs.get("units"))
    plainly = {"°N": "latitude", "°E": "longitude"}.get(units, dim)
    name = str(coordinate.attrs.get("standard_name", plainly))
    centres = coordinate.values.astype(np.float64)
    if units == "m" and np.ptp(centres) > 1e4:
        centres, units = centres / 1e3, "km"
    middle = (centres[:-1] + centres[1:]) / 2
    ends = 2 * centres[[0, -1]] - middle[[0, -1]]
    edges = np.concatenate([ends[:1], middle, ends[1:]])
    return Axis(edges, dim if name.startswith("projection") else name, units)


def aspect_of(y: Axis, x: Axis) -> float | None:
    """Length of a unit of y over that of a unit of x on paper; None if they do not compare."""
    if (y.units, x.units) == ("°N", "°E"):
        return float(1 / np.cos(np.radians(min(abs(y.edges.mean()), 75.0))))
    return 1.0 if y.units == x.units else None


def legible(ax: Axes, x: Axis | None, y: Axis | None) -> None:
    """Few ticks at round numbers; degrees at thirds of a right angle where they span far."""
    from matplotlib.ticker import MaxNLocator

    for axis, shown in ((ax.xaxis, x), (ax.yaxis, y)):
        if shown is None:
            continue
        degrees = "°" in shown.units and np.ptp(shown.edges) > 30
        steps = [1, 1.5, 3, 4.5, 6, 9, 10] if degrees else [1, 2, 3, 5, 6, 10]
        axis.set_major_locator(MaxNLocator(4, steps=steps))


def with_units(name: str, units: str) -> str:
    """Such as ``"sea surface temperature (°C)"``; the name alone where there are none."""
    return f"{name} ({units})" if units else name


def pretty(units: object) -> str:
    """Units as they are printed: m s-1 and m s**-1 become m s⁻¹.

    Examples
    --------
    >>> pretty("kg m-2 s-1"), pretty("degC"), pretty(None)
    ('kg m⁻² s⁻¹', '°C', '')
    """
    text = "" if units is None else str(units)
    text = UNITS.get(text.lower().replace(" ", "_"), text)
    raised = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    return re.sub(r"(?<=[A-Za-z])(?:\*\*|\^)?(-?\d)\b", lambda m: m[1].translate(raised), text)


def colour_map(name: str) -> Any:
    """A colour map of cmocean, or matplotlib's nearest."""
    try:
        # Its import uses an argument that matplotlib 3.11 warns about and 3.13 will refuse.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import cmocean
    except (ImportError, TypeError):
        return MAPS[name]
    return getattr(cmocean.cm, name)


def draw_map(
    figure: Figure, ax: Axes, values: FloatArray, y: Axis, x: Axis, style: Mapping[str, Any]
) -> Any:
    """A map with a colour bar below it, whose label is ``style["label"]``; the bar comes back.

    What is NaN is hatched.
    """
    from matplotlib.ticker import MaxNLocator

    settings = dict(style)
    label = settings.pop("label", "")
    ax.patch.set(**HATCHED)
    image = ax.pcolormesh(x.edges, y.edges, values, rasterized=True, **settings)
    ax.set_aspect(aspect_of(y, x) or "auto")
    legible(ax, x, y)
    plain(ax)
    ax.set_xlabel(x.label, fontsize=8.5, color=INK)
    ax.set_ylabel(y.label, fontsize=8.5, color=INK)
    bar = figure.colorbar(
        image, ax=ax, orientation="horizontal", pad=0.02, shrink=0.9, aspect=25,
        ticks=MaxNLocator(5),
    )  # fmt: skip
    plain(bar.ax)
    bar.set_label(label, fontsize=8.5, color=INK)
    return bar


def shape_of(y: Axis, x: Axis) -> float:
    """Height over width of a map on paper, kept from extremes."""
    aspect = aspect_of(y, x)
    shape = aspect * float(np.ptp(y.edges) / np.ptp(x.edges)) if aspect else 0.8
    return min(max(shape, 0.4), 2.0)


def draw_times(ax: Axes, coordinate: xr.DataArray | None, size: int) -> FloatArray:
    """Label the x axis by time, in any calendar; where its frames stand on it comes back.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    coordinate : DataArray, optional
        Without one, frames are numbered.
    size : int
        Number of frames.
    """
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

    if coordinate is None:
        ax.set_xlabel("frame", fontsize=8.5, color=INK)
        return np.arange(size, dtype=np.float64)
    if np.issubdtype(coordinate.dtype, np.datetime64):
        locator = AutoDateLocator(minticks=3, maxticks=7)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        ax.xaxis.get_offset_text().set(fontsize=8, color=INK)
        return np.asarray(date2num(coordinate.values), dtype=np.float64)
    if coordinate.dtype.kind in "iuf":
        units = pretty(coordinate.attrs.get("units"))
        ax.set_xlabel(with_units(str(coordinate.name), units), fontsize=8.5, color=INK)
        return coordinate.values.astype(np.float64)
    if hasattr(coordinate, "dt"):
        ax.set_xlabel(f"year ({coordinate.dt.calendar} calendar)", fontsize=8.5, color=INK)
        days = 360.0 if coordinate.dt.calendar == "360_day" else 365.25
        year, day = coordinate.dt.year.values, coordinate.dt.dayofyear.values
        return np.asarray(year + (day - 1) / days, dtype=np.float64)
    ax.set_xlabel("frame", fontsize=8.5, color=INK)
    return np.arange(size, dtype=np.float64)
