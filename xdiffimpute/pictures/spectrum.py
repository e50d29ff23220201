"""Variance by wavelength of fills, beside the truth's: is what was filled too smooth?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from .base import FAINT, INK, colours_of, new_figure, plain, pretty, save, with_units

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["spectrum"]

TRUTH = "truth"
DECADES = 1e6  # of density; what is lower is of no consequence, and would press the rest together


def spectrum(
    densities: xr.Dataset,
    *,
    note: str = "",
    figsize: tuple[float, float] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw a panel for each variable.

    Parameters
    ----------
    densities : Dataset
        Of :func:`xdiffimpute.spectra.spectra`: each variable of dims (version, wavenumber); the
        version ``"truth"`` is drawn in black.
    note : str
        Below all panels.
    figsize : (float, float), optional
        Width and height in inches.
    path : path, optional
        Where to save the picture.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImputeError
        If matplotlib is missing.

    Examples
    --------
    >>> found = xr.Dataset(
    ...     {"a": (("version", "wavenumber"), [[4.0, 1.0]], {"field_units": "m"})},
    ...     {"version": ["filled"], "wavenumber": ("wavenumber", [0.01, 0.1], {"units": "1/km"})},
    ... )
    >>> spectrum(found).axes[0].get_xlabel()
    'wavelength (km)'
    """
    names = [str(n) for n in densities.data_vars]
    figure = new_figure(4.0 * len(names) + 0.4, 3.7, figsize)
    versions = [str(v) for v in densities["version"].values]
    colours = colours_of([v for v in versions if v != TRUTH]) | {TRUTH: INK}
    for ax, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        ax.set_label(name)
        for version in versions:
            _line(ax, densities[name].sel(version=version), colours[version], version == TRUTH)
        _dress(ax, densities[name], name)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=len(labels), frameon=False,
        fontsize=8.5, labelcolor=INK,
    )  # fmt: skip
    if note:
        figure.supxlabel(note, fontsize=8, color=FAINT)
    return save(figure, path)


def _line(ax: Axes, density: xr.DataArray, colour: str, known: bool) -> None:
    wavelength = 1.0 / density["wavenumber"].values
    values = np.where(density.values > 0, density.values, np.nan)
    ax.plot(
        wavelength, values, color=colour, linewidth=2.0 if known else 1.3,
        label=str(density["version"].item()), zorder=2 if known else 3,
    )  # fmt: skip


def _dress(ax: Axes, density: xr.DataArray, name: str) -> None:
    """Logarithmic axes, long waves at the left as on a map of wavenumbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    length = str(density["wavenumber"].attrs.get("units", "")).removeprefix("1/")
    ax.set(xscale="log", yscale="log")
    ax.invert_xaxis()
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_title(name, fontsize=10, color=INK)
    ax.set_xlabel(with_units("wavelength", length), fontsize=8.5, color=INK)
    field = pretty(density.attrs.get("field_units"))
    squared = f"({field})²" if " " in field else f"{field}²"
    shown = f"{squared} {length}" if field else length
    top = float(np.nanmax(density.values, initial=0.0))
    if top > 0:
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, top / DECADES), high)
    ax.set_ylabel(with_units("spectral density", shown), fontsize=8.5, color=INK)
    plain(ax)
    ax.grid(color="#e4e4e4", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
