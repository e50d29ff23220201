"""Maps of truth, gaps, fill, error and standard error, side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ._typing import FloatArray
from .exceptions import ImputeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["comparison"]

MISSING = "#d9d9d9"
INK = "#222222"


def comparison(
    gappy: xr.Dataset,
    filled: xr.Dataset,
    *,
    truth: xr.Dataset | None = None,
    variables: Sequence[str] | None = None,
    title: str = "",
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw one frame: a row for each variable.

    Parameters
    ----------
    gappy, filled : Dataset
        Of two dimensions; select a frame first, such as ``ds.isel(time=0)``.
    truth : Dataset, optional
        Adds the columns truth and error.
    variables : sequence of str, optional
        Default: those with a flag in ``filled``.
    title : str
    path : path, optional
        Where to save a PNG of 150 dots an inch.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImputeError
        If matplotlib is missing or a variable has not two dimensions.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImputeError(
            "pictures need matplotlib; install it with: pip install 'xdiffimpute[plot]'"
        ) from error
    names = list(variables or [str(v) for v in gappy.data_vars if f"{v}_imputation_flag" in filled])
    for name in names:
        if gappy[name].ndim != 2:
            raise ImputeError(
                f"{name!r} has the dims {gappy[name].dims}; select one frame first, for example "
                "with .isel(time=0)"
            )
    columns = ["truth"] * (truth is not None) + ["observed", "filled"]
    columns += ["error"] * (truth is not None) + ["standard error"]
    if not all(f"{n}_standard_error" in filled for n in names):
        columns.remove("standard error")
    h, w = gappy[names[0]].shape
    height = min(max(h / w, 0.4), 1.6)
    figure = Figure(figsize=(2.75 * len(columns) + 0.6, (2.2 * height + 0.75) * len(names) + 0.6))
    figure.set_layout_engine("constrained", w_pad=0.04, h_pad=0.06)
    axes = figure.subplots(len(names), len(columns), squeeze=False, sharex=True, sharey=True)
    for row, name in zip(axes, names, strict=True):
        _draw_row(figure, list(row), columns, gappy, filled, truth, name)
    for ax, column in zip(axes[0], columns, strict=True):
        ax.set_title(column, fontsize=11, color=INK, pad=6)
    if title:
        figure.suptitle(title, fontsize=12, color=INK)
    if path is not None:
        figure.savefig(path, dpi=150, facecolor="white")
    return figure


def _draw_row(
    figure: Figure,
    row: list[Axes],
    columns: list[str],
    gappy: xr.Dataset,
    filled: xr.Dataset,
    truth: xr.Dataset | None,
    name: str,
) -> None:
    fields: dict[str, FloatArray] = {
        "observed": np.asarray(gappy[name].values),
        "filled": np.asarray(filled[name].values),
    }
    hidden = ~np.isfinite(fields["observed"])
    if truth is not None:
        fields["truth"] = np.asarray(truth[name].values)
        fields["error"] = np.where(hidden, fields["filled"] - fields["truth"], np.nan)
    if "standard error" in columns:
        spread = np.asarray(filled[f"{name}_standard_error"].values)
        fields["standard error"] = np.where(hidden, spread, np.nan)
    shown = [fields[k] for k in ("truth", "observed", "filled") if k in fields]
    values = np.concatenate([f[np.isfinite(f)] for f in shown])
    low, high = (float(q) for q in np.quantile(values, [0.002, 0.998]))
    around_zero = low < 0 < high and min(-low, high) > 0.3 * max(-low, high)
    main: dict[str, Any] = {
        "cmap": _map("balance" if around_zero else "thermal"),
        "vmin": low,
        "vmax": high,
    }
    if around_zero:
        main["vmax"] = max(-low, high)
        main["vmin"] = -main["vmax"]
    styles: dict[str, dict[str, Any]] = dict.fromkeys(("truth", "observed", "filled"), main)
    if truth is not None and np.isfinite(fields["error"]).any():
        most = float(np.nanquantile(np.abs(fields["error"]), 0.995)) or 1.0
        styles["error"] = {"cmap": _map("balance"), "vmin": -most, "vmax": most}
    if "standard error" in fields and np.isfinite(fields["standard error"]).any():
        most = float(np.nanquantile(fields["standard error"], 0.995)) or 1.0
        styles["standard error"] = {"cmap": _map("amp"), "vmin": 0.0, "vmax": most}
    images = {}
    y, x = (
        gappy[d].values if d in gappy.coords else np.arange(gappy.sizes[d])
        for d in gappy[name].dims
    )
    for ax, column in zip(row, columns, strict=True):
        ax.set_facecolor(MISSING)
        images[column] = ax.pcolormesh(
            x, y, fields[column], rasterized=True, **styles.get(column, main)
        )
        if column in ("filled", "error", "standard error") and hidden.any() and not hidden.all():
            ax.contour(x, y, hidden.astype(float), levels=[0.5], colors=INK, linewidths=0.6)
        ax.set_xticks([])
        ax.set_yticks([])
        for side in ax.spines.values():
            side.set(color="#888888", linewidth=0.6)
    units = gappy[name].attrs.get("units", "")
    label = gappy[name].attrs.get("long_name", name)
    row[0].set_ylabel(f"{label}", fontsize=10, color=INK)
    last = columns.index("filled")
    _bar(figure, images["filled"], row[: last + 1], units)
    for column in columns[last + 1 :]:
        _bar(figure, images[column], [row[columns.index(column)]], units)


def _bar(figure: Figure, image: Any, axes: list[Axes], units: str) -> None:
    bar = figure.colorbar(
        image, ax=axes, orientation="horizontal", shrink=0.9, aspect=18 * len(axes), pad=0.03,
    )  # fmt: skip
    bar.outline.set_linewidth(0.4)
    bar.ax.tick_params(labelsize=8, width=0.5, length=2.5, color=INK)
    bar.set_label(units, fontsize=8, color=INK)


def _map(name: str) -> Any:
    """A colour map of cmocean, or matplotlib's nearest."""
    try:
        import cmocean

        return getattr(cmocean.cm, name)
    except ImportError:
        return {"balance": "RdBu_r", "thermal": "viridis", "amp": "Reds"}[name]
