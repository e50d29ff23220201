"""Observations hidden for a trial: a field with known truth, seen through the gaps of a pattern.

Every frame has a generator of its own, so that the gaps depend neither on the chunks nor on how
much of the series is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

import dask.array as da
import numpy as np
import xarray as xr

from ._typing import AnyArray, BoolArray
from .axes import find_axes
from .exceptions import DataError
from .masks import MaskPattern

__all__ = ["hide"]


def hide(
    ds: xr.Dataset,
    pattern: MaskPattern,
    *,
    variables: Sequence[str] | None = None,
    along: str | None = None,
    seed: int = 0,
    time: str | None = None,
    y: str | None = None,
    x: str | None = None,
) -> tuple[xr.Dataset, xr.Dataset]:
    """Hide observations in the shape of a pattern.

    Parameters
    ----------
    ds : Dataset
    pattern : MaskPattern
        What it keeps stays observed. ``joint``: the same gaps in all variables; ``static``: the
        same at all times.
    variables : sequence of str, optional
        Default: all on the grid.
    along : str, optional
        Dimension along which gaps change; default: time. All other dims share their gaps.
    seed : int
    time, y, x : str, optional
        Dims, where they cannot be found.

    Returns
    -------
    gappy : Dataset
        Lazy if the input is.
    hidden : Dataset of bool
        True where a value was hidden, for each variable.

    Raises
    ------
    DataError
        If a variable is missing, none lies on the grid, or none has the dimension ``along``.

    Examples
    --------
    >>> from xdiffimpute.masks import MASKS
    >>> full = xr.Dataset({"a": (("time", "lat", "lon"), np.ones((2, 6, 6)))})
    >>> gappy, hidden = hide(full, MASKS.create("block", grid=(2, 2), kept=3))
    >>> int(gappy["a"].isnull().sum()), int(hidden["a"].sum())
    (18, 18)
    """
    axes = find_axes(ds, time=time, y=y, x=x)
    on_grid = [str(n) for n, v in ds.data_vars.items() if {axes.y, axes.x} <= set(v.dims)]
    names = on_grid if variables is None else list(variables)
    if not names or not set(names) <= set(on_grid):
        raise DataError(
            f"variables={names} are not all on the grid; there are {', '.join(on_grid) or 'none'}"
        )
    if along is not None and not any(along in ds[name].dims for name in names):
        dims = sorted({str(d) for name in names for d in ds[name].dims})
        raise DataError(f"along={along!r} is no dimension of {names}; they have {dims}")
    along = along or axes.time
    static = pattern.static and along == axes.time
    changed, hidden = {}, {}
    for k, name in enumerate(names):
        field = ds[name]
        observed = _observed(field, along if along in field.dims else None, (axes.y, axes.x),
                             pattern, [seed] if pattern.joint else [seed, k], static)  # fmt: skip
        if field.chunks is None:
            observed = observed.compute()
        changed[name] = field.where(observed).transpose(*field.dims)
        hidden[name] = (field.notnull() & ~observed).transpose(*field.dims)
    return ds.assign(changed), xr.Dataset(hidden)


def _observed(
    field: xr.DataArray,
    along: str | None,
    grid: tuple[str, str],
    pattern: MaskPattern,
    seed: list[int],
    static: bool,
) -> xr.DataArray:
    """What stays observed, one mask a frame, lazily."""
    shape = (field.sizes[grid[0]], field.sizes[grid[1]])
    if along is None or static:
        mask = _masks(np.zeros(1, dtype=int), pattern=pattern, shape=shape, seed=seed)[0]
        return xr.DataArray(mask, dims=grid)
    chunks = field.chunksizes.get(along, (field.sizes[along],))
    masks = da.map_blocks(
        _masks, da.arange(field.sizes[along], chunks=(chunks,)), pattern=pattern, shape=shape,
        seed=seed, dtype=bool, new_axis=[1, 2], chunks=(chunks, (shape[0],), (shape[1],)),
        meta=np.empty((0, 0, 0), dtype=bool),
    )  # fmt: skip
    return xr.DataArray(masks, dims=(along, *grid))


def _masks(
    frames: AnyArray, *, pattern: MaskPattern, shape: tuple[int, int], seed: list[int]
) -> BoolArray:
    """Masks of frames by their numbers, shape (N, H, W)."""
    full = np.ones((1, 1, *shape), dtype=bool)
    kept = [pattern(full, np.random.default_rng([*seed, int(k)]))[0, 0] for k in frames]
    return np.stack(kept)
