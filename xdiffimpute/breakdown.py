"""Skill by the distance to the nearest observation, and by the size of the gap.

Cells are sorted into classes whose limits grow by a constant factor, since an error grows
fast at first and slowly far from any observation. Classes without cells are left out.
"""

from __future__ import annotations

import itertools

import numpy as np
import xarray as xr

from ._typing import AnyArray, FloatArray
from .exceptions import UnknownNameError
from .residuals import METRICS, Residuals

__all__ = ["BY", "breakdown"]

BY = ("distance", "gap_size")
# Upper limits, included: a neighbour at a side is at most 1 cell away, one at a corner 1.42.
DISTANCES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
SIZES = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0)
MEANING = {
    "distance": "to the nearest observation of the frame",
    "gap_size": "missing cells of the frame that touch at a side",
}
ROUNDING = 1e-3  # distances on a sphere are not quite whole numbers of cells


def breakdown(found: Residuals, by: str) -> xr.Dataset:
    """Sort the errors into classes.

    Parameters
    ----------
    found : Residuals
    by : {"distance", "gap_size"}

    Returns
    -------
    Dataset
        For each variable, dims (imputer, metric, ``by``): RMSE, mean absolute error and bias in
        its units, and the number of cells. Coordinates along ``by``: the class as text, such as
        ``"2 to 4"`` in cells, and the mean of its cells as a number, ``{by}_mean``.

    Raises
    ------
    UnknownNameError
        If ``by`` is another word.
    """
    if by not in BY:
        raise UnknownNameError(
            f"by={by!r} is not a way to sort errors; there are {', '.join(map(repr, BY))}: "
            "ds.impute.score(imputer, by='distance')"
        )
    places = found.distance if by == "distance" else found.size
    limits = DISTANCES if by == "distance" else SIZES
    classes = {name: _classes(values, limits) for name, values in places.items()}
    used = sorted({int(k) for values in classes.values() for k in np.unique(values)})
    labels = [_labels(limits, whole=by == "gap_size")[k] for k in used]
    tables: dict[str, FloatArray] = {}
    for name, sorted_into in classes.items():
        parts = [found.table(name, sorted_into == k) for k in used]
        shape = (len(found.methods), len(METRICS), 0)
        tables[name] = np.stack(parts, axis=-1) if parts else np.empty(shape)
    everything = np.concatenate([np.empty(0), *places.values()])
    sorted_all = np.concatenate([np.empty(0), *classes.values()])
    means = [float(everything[sorted_all == k].mean()) for k in used]
    units = {v.name: v.units for v in found.spec.filled}
    attrs = {"units": "cells", "comment": MEANING[by]}
    return xr.Dataset(
        {
            name: (("imputer", "metric", by), table, {"units": units[name]} if units[name] else {})
            for name, table in tables.items()
        },
        coords={
            "imputer": list(found.methods), "metric": list(METRICS),
            by: (by, np.array(labels, dtype=str), attrs), f"{by}_mean": (by, means, attrs),
        },
        attrs={"comment": "errors at observations withheld in the shape of the data's own gaps"},
    )  # fmt: skip


def _classes(values: FloatArray, limits: tuple[float, ...]) -> AnyArray:
    """Number of the class of each cell; the last one is of frames without any observation."""
    found = np.searchsorted(np.array(limits) + ROUNDING, values)
    return np.where(np.isinf(values), len(limits) + 1, found)


def _labels(limits: tuple[float, ...], *, whole: bool) -> list[str]:
    """Text of each class: of whole numbers the first and the last, of others the limits."""
    middle = [
        f"{low + 1:g} to {high:g}" if whole else f"{low:g} to {high:g}"
        for low, high in itertools.pairwise(limits)
    ]
    first = f"{limits[0]:g}" if whole else f"up to {limits[0]:g}"
    return [first, *middle, f"over {limits[-1]:g}", "none in the frame"]
