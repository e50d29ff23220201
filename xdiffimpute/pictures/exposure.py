"""Maps of the query exposure: where the data can teach, and where they cannot (Principle 1)."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Hashable
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..exceptions import ImputeError
from .base import (
    HATCHED,
    INK,
    PANEL,
    axis_of,
    colour_map,
    dims_of,
    draw_map,
    new_figure,
    save,
    shape_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["exposure"]

MOST = 12
COLUMNS = 3


def exposure(
    probability: xr.Dataset,
    *,
    figsize: tuple[float, float] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw a map for each variable, and for each level of one that has levels.

    Parameters
    ----------
    probability : Dataset
        Of ``ds.impute.exposure()``: in [0, 1].
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
        If matplotlib is missing, or there are more than 12 maps.

    Examples
    --------
    >>> found = xr.Dataset({"a": (("lat", "lon"), [[0.2, 0.0], [0.4, 0.1]])})
    >>> exposure(found).axes[0].get_title()
    'a'
    """
    maps = _maps(probability)
    if len(maps) > MOST:
        raise ImputeError(
            f"{len(maps)} maps are too many for one picture, of at most {MOST}; select some with "
            "variables=[...], or ds.isel(level=[...])"
        )
    first = next(iter(maps.values()))
    y, x = (axis_of(probability, d) for d in dims_of(first.to_dataset(name="p"), "p"))
    shape = shape_of(y, x)
    columns = min(COLUMNS, len(maps))
    rows = math.ceil(len(maps) / columns)
    width, height = 1.3 * PANEL / shape**0.5, 1.3 * PANEL * shape**0.5
    figure = new_figure((width + 0.5) * columns + 0.4, (height + 1.0) * rows + 0.7, figsize)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    most = max(float(field.max()) for field in maps.values()) or 1.0
    style = {
        "cmap": colour_map("dense"), "vmin": 0.0, "vmax": most,
        "label": "probability of being queried, given the context",
    }  # fmt: skip
    for ax, (title, field) in zip(axes, maps.items(), strict=False):
        values = field.transpose(*dims_of(field.to_dataset(name="p"), "p")).values
        draw_map(figure, ax, np.where(values > 0, values, np.nan), y, x, style)
        ax.set_title(title, fontsize=10, color=INK)
    for ax in axes[len(maps) :]:
        ax.set_axis_off()
    hatched = any(bool((~(field > 0)).any()) for field in maps.values())
    _explain(figure, str(probability.attrs.get("partition", "")), hatched)
    return save(figure, path)


def _maps(probability: xr.Dataset) -> dict[str, xr.DataArray]:
    """Two-dimensional fields by title."""
    maps: dict[str, xr.DataArray] = {}
    for name, field in probability.data_vars.items():
        further: list[Hashable] = list(field.dims[:-2])
        for position in itertools.product(*(range(field.sizes[d]) for d in further)):
            at = dict(zip(further, position, strict=True))
            part = field.isel(at)
            where = ", ".join(
                f"{d} {part[d].item() if d in part.coords else k}" for d, k in at.items()
            )
            maps[f"{name}, {where}" if where else str(name)] = part.drop_vars(
                further, errors="ignore"
            )
    return maps


def _explain(figure: Figure, partition: str, hatched: bool) -> None:
    from matplotlib.patches import Patch

    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(h_pad=0.08)  # type: ignore[call-arg]
    what = f"Query exposure under the partition {partition!r}" if partition else "Query exposure"
    figure.suptitle(what, fontsize=11, color=INK)
    if not hatched:
        return
    label = "zero: nothing can be learned here"
    figure.legend(
        handles=[Patch(**HATCHED, label=label)], loc="outside lower left", frameon=False,
        fontsize=8.5, labelcolor=INK, handlelength=2.2,
    )  # fmt: skip
