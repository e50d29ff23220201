"""A figure of the paper, run again: truth, what was observed, and each fill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from recipes.paper.bench import Bench
from recipes.paper.cases import Case
from recipes.paper.table import Figure

__all__ = ["draw"]

FRAMES = 4
SAMPLES = 3


def draw(bench: Bench, figure: Figure, path: Path) -> dict[str, float]:
    """Train, fill and save a picture.

    Rows are truth, observations and fills. Columns are frames of one sample, if the gaps are
    single cells; samples, if they are blocks; variables, if there are several.

    Returns
    -------
    dict
        RMSE at the hidden cells over the spread of the truth, by row, mean over variables.
    """
    case, fills = bench.fills(figure.column, figure.rows)
    names = figure.variables or tuple(map(str, case.truth.data_vars))
    errors = {row: float(np.mean([_error(case, fill, n) for n in names]))
              for row, fill in fills.items()}  # fmt: skip
    fields = {"truth": case.truth, "observed": case.test} | fills
    panels = {row: _cuts(ds, names, figure.column.gaps.pattern) for row, ds in fields.items()}
    _save(path, figure.title, panels, errors, _units(case.truth, names))
    return errors


def _error(case: Case, fill: xr.Dataset, name: str) -> float:
    truth = case.truth[name]
    wrong = (fill[name] - truth).where(case.test[name].isnull())
    return float(np.sqrt((wrong**2).mean()) / truth.std())


def _cuts(ds: xr.Dataset, names: tuple[str, ...], pattern: str) -> dict[str, np.ndarray]:
    """Maps (y, x) by heading."""
    if len(names) > 1:
        return {n: ds[n].isel(sample=0, time=ds.sizes["time"] // 2).values for n in names}
    field = ds[names[0]]
    if pattern == "block":
        middle = ds.sizes["time"] // 2
        return {f"sample {k + 1}": field.isel(sample=k, time=middle).values
                for k in range(min(SAMPLES, ds.sizes["sample"]))}  # fmt: skip
    frames = np.unique(np.linspace(0, ds.sizes["time"] - 1, FRAMES).round().astype(int))
    return {f"frame {k + 1}": field.isel(sample=0, time=k).values for k in frames}


def _units(truth: xr.Dataset, names: tuple[str, ...]) -> str:
    if len(names) > 1:
        return ""
    attrs = truth[names[0]].attrs
    return f"{attrs.get('long_name', names[0])} ({attrs.get('units', '1')})"


def _save(
    path: Path, title: str, panels: dict[str, dict[str, np.ndarray]],
    errors: dict[str, float], units: str,
) -> None:  # fmt: skip
    from matplotlib.figure import Figure as Canvas

    headings = list(panels["truth"])
    canvas = Canvas(
        figsize=(1.9 * len(headings) + 1.5, 1.8 * len(panels) + 0.7), layout="compressed"
    )
    axes = canvas.subplots(len(panels), len(headings), squeeze=False)
    common = _limits(np.stack(list(panels["truth"].values()))) if units else None
    image: Any = None
    for row, (label, maps) in zip(axes, panels.items(), strict=True):
        for axis, heading in zip(row, headings, strict=True):
            low, high = common or _limits(panels["truth"][heading])
            signed = low < 0 < high
            image = axis.imshow(
                maps[heading], cmap="RdBu_r" if signed else "viridis", vmin=low, vmax=high,
                origin="lower", interpolation="nearest",
            )  # fmt: skip
            axis.set(facecolor="0.75", xticks=[], yticks=[])
            if label == "truth":
                axis.set_title(heading, fontsize=9)
        error = f"\nRMSE {errors[label]:.2f} of spread" if label in errors else ""
        row[0].set_ylabel(f"{label.replace(', ', ',' + chr(10))}{error}", fontsize=8.5)
    if units:
        bar = canvas.colorbar(image, ax=axes, shrink=0.6, aspect=30)
        bar.set_label(units, fontsize=8.5)
        bar.ax.tick_params(labelsize=8)
    canvas.suptitle(title, fontsize=10.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, dpi=110, facecolor="white")


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Quantiles; symmetric where values have both signs."""
    low, high = (float(v) for v in np.quantile(values, [0.005, 0.995]))
    if low < 0 < high:
        return -max(-low, high), max(-low, high)
    return low, high if high > low else low + 1.0
