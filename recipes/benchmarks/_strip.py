"""A strip of maps for the top of a page: truth, gaps, fill and standard error of one frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from xdiffimpute.pictures.base import INK, colour_map

GAP = "#7f7f7f"
TITLES = ("truth, never shown", "what was observed", "filled", "standard error of the fill")


def draw_strip(
    path: Path,
    truth: xr.DataArray,
    gappy: xr.DataArray,
    filled: xr.DataArray,
    error: xr.DataArray,
    *,
    label: str,
    units: str,
) -> None:
    """Draw maps of (latitude, longitude) side by side, in the order of ``TITLES``."""
    hidden = gappy.isnull().values
    lat, lon = (np.asarray(truth[n].values, dtype=float) for n in ("latitude", "longitude"))
    most = float(np.quantile(np.abs(truth), 0.998))
    values = {"cmap": colour_map("balance"), "vmin": -most, "vmax": most}
    doubt = {"cmap": colour_map("matter"), "vmin": 0.0}
    doubt["vmax"] = float(np.quantile(error.values[hidden], 0.98))
    aspect = 1 / np.cos(np.radians(lat.mean()))
    height = 2.9 * aspect * np.ptp(lat) / np.ptp(lon) + 0.95
    figure = Figure(figsize=(12.4, height), layout="compressed")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.03)
    axes = figure.subplots(1, 4)
    fields = (truth, gappy, filled, error.where(hidden))
    images = []
    for ax, title, field in zip(axes, TITLES, fields, strict=True):
        style = doubt if field is fields[3] else values
        ax.set_facecolor("#fafafa" if field is fields[3] else GAP)
        image = ax.pcolormesh(lon, lat, field.values, rasterized=True, **style)
        ax.set_title(title, fontsize=14, color=INK, pad=7)
        ax.set(aspect=aspect, xticks=[], yticks=[])
        ax.spines[:].set(color="#8a8a8a", linewidth=0.6)
        images.append(image)
    bars = ((axes[:3], f"{label} ({units})", 0.5), (axes[3:], units, 0.8))
    for group, text, shrink in bars:
        bar = figure.colorbar(
            images[3 if len(group) == 1 else 0], ax=list(group), orientation="horizontal",
            shrink=shrink, aspect=38 * len(group) / 3 + 8, pad=0.03, extend="neither",
        )  # fmt: skip
        bar.outline.set(linewidth=0.4, edgecolor="#8a8a8a")
        bar.ax.tick_params(labelsize=11, width=0.5, length=3, labelcolor=INK)
        bar.set_label(text, fontsize=12, color=INK)
    figure.savefig(path, dpi=150, facecolor="white", bbox_inches="tight", pad_inches=0.08)
