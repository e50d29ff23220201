"""How much is observed: of each cell over all frames, and of each frame over all cells.

A share in time is one of the cells that are observed at least once, so that land does not
pass for a gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dask
import xarray as xr

from .fields import FieldSpec
from .quantities import dequantify

__all__ = ["IN_SPACE", "IN_TIME", "coverage"]

IN_SPACE, IN_TIME = "_in_space", "_in_time"


def coverage(ds: xr.Dataset, options: Mapping[str, Any] | None = None) -> xr.Dataset:
    """Shares of values that are observed, in one pass over the data.

    Parameters
    ----------
    ds : Dataset
    options : mapping, optional
        Arguments of :meth:`FieldSpec.from_dataset`.

    Returns
    -------
    Dataset
        In memory. For each variable ``{name}_in_space`` on (y, x) and, where there is a time,
        ``{name}_in_time`` on it; both in [0, 1], without units. Further dims are averaged over.

    Raises
    ------
    ImputeError
        If the axes cannot be found, or there is nothing to fill.

    Examples
    --------
    >>> import numpy as np
    >>> values = [[[1.0, np.nan, np.nan]], [[1.0, 1.0, np.nan]]]
    >>> found = coverage(xr.Dataset({"a": (("time", "lat", "lon"), values)}))
    >>> found["a_in_space"].values.tolist(), found["a_in_time"].values.tolist()
    ([[1.0, 0.5, 0.0]], [0.5, 1.0])
    """
    plain, _ = dequantify(ds)
    spec = FieldSpec.from_dataset(plain, **dict(options or {}))
    axes, lazy = spec.axes, {}
    for name in (v.name for v in spec.filled):
        observed = plain[name].notnull()
        others = [d for d in observed.dims if d not in (axes.y, axes.x)]
        lazy[f"{name}{IN_SPACE}"] = observed.mean(others).transpose(axes.y, axes.x)
        if axes.time is not None and axes.time in observed.dims:
            over = [d for d in others if d not in spec.channel_dims]
            inside = observed.any(over)
            rest = [d for d in observed.dims if d != axes.time]
            lazy[f"{name}{IN_TIME}"] = observed.where(inside).mean(rest)
    found: xr.Dataset = dask.compute(xr.Dataset(lazy).drop_attrs(deep=False))[0]
    for variable, array in found.data_vars.items():
        name = str(variable).removesuffix(IN_SPACE).removesuffix(IN_TIME)
        array.attrs = {"long_name": f"share of {name} that is observed", "units": "1"}
    return found
