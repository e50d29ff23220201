"""Checks that come before any training: what cannot work is refused with a way out."""

from __future__ import annotations

import logging
from typing import Any

import dask
import numpy as np
import xarray as xr

from ._typing import FloatArray
from .exceptions import AxesError, DataError
from .fields import FieldSpec

__all__ = ["SENTINELS", "check_block", "check_dataset", "check_values"]

log = logging.getLogger("xdiffimpute")

HUGE = (1e20, 1e30, 1e34, 1e35, 9.96921e36, 3.4028235e38)
SENTINELS = (
    *(-99.0, -999.0, -999.9, -9999.0, -9999.9, -99999.0, -32768.0, -32767.0),
    *(999.0, 9999.0, 99999.0, 32767.0),
    *HUGE,
    *(-value for value in HUGE),
)
TWICE = (999.0, 9999.0, 99999.0, 32767.0)  # seen once, these may be measured
LEAST_CELLS = 10
BLOCK_BYTES = 16 * 2**20
NEAR = 1e-5
ODD = 20.0


def check_dataset(ds: xr.Dataset, spec: FieldSpec) -> None:
    """Check coordinates; no values are computed.

    Parameters
    ----------
    ds : Dataset
    spec : FieldSpec

    Raises
    ------
    AxesError
        If the time coordinate holds missing times or is not strictly increasing.
    DataError
        If a dimension is empty.
    """
    for dim in (spec.axes.time, spec.axes.y, spec.axes.x):
        if dim is not None and ds.sizes[dim] == 0:
            raise DataError(f"the dimension {dim!r} is empty; select some data first")
    time = spec.axes.time
    if time is None or time not in ds.coords:
        return
    index = ds.indexes.get(time)
    if index is None:
        return
    if index.hasnans:
        raise AxesError(
            f"the time coordinate {time!r} holds missing times; drop them with "
            f"ds.sel({time}=ds[{time!r}].notnull())"
        )
    if not index.is_unique:
        repeated = index[index.duplicated()][0]
        raise AxesError(
            f"the time coordinate {time!r} repeats {repeated}; keep one of each with "
            f"ds.drop_duplicates({time!r})"
        )
    if not index.is_monotonic_increasing:
        raise AxesError(
            f"the time coordinate {time!r} is not in order; sort it with ds.sortby({time!r})"
        )


def check_values(packed: xr.DataArray, spec: FieldSpec, *, for_fit: bool) -> FloatArray:
    """Check values in one pass over the chunks.

    Parameters
    ----------
    packed : DataArray, dims (series, time, channel, y, x)
    spec : FieldSpec
    for_fit : bool
        Whether there must be gaps to learn from, and enough observations.

    Returns
    -------
    float array, shape (C, H, W)
        How often each cell is observed.

    Raises
    ------
    DataError
        For infinities, undecoded fill values, variables without observations, with too few,
        or without gaps.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> ds = xdi.example()
    >>> spec = FieldSpec.from_dataset(ds)
    >>> check_values(spec.pack(ds), spec, for_fit=True).shape
    (1, 12, 16)
    >>> check_values(spec.pack(ds.fillna(-999.0)), spec, for_fit=True)
    Traceback (most recent call last):
    ...
    xdiffimpute.exceptions.DataError: 'sst' seems to hold undecoded fill values: -999 ...
    """
    found = _survey(packed)
    names = [channel.label for channel in spec.channels]
    for c, name in enumerate(names):
        variable = spec.channels[c].variable
        if found["infinite"][c]:
            raise DataError(
                f"{name!r} holds {found['infinite'][c]} infinite values; make them missing with "
                f"ds[{variable!r}] = ds[{variable!r}].where(np.isfinite(ds[{variable!r}]))"
            )
        suspects = _suspects(found, c)
        if suspects:
            said = ", ".join(f"{value:g} ({count} times)" for value, count in suspects)
            raise DataError(
                f"{name!r} seems to hold undecoded fill values: {said}; make them missing with "
                f"ds[{variable!r}] = {_repaired(variable, suspects)}, or set its _FillValue "
                "attribute and decode with xr.decode_cf(ds)"
            )
        if not found["count"][c]:
            raise DataError(
                f"{name!r} has no observed value at all; leave it out with {_without(spec, c)}"
            )
        if for_fit and found["count"][c] < LEAST_CELLS:
            raise DataError(
                f"{name!r} is observed at {found['count'][c]} cells, too few to split into context "
                f"and query (at least {LEAST_CELLS}); leave it out with "
                f"{_without(spec, c)}"
            )
    fields = len(names) - spec.given
    if for_fit and found["count"][:fields].sum() == packed.size // len(names) * fields:
        raise DataError(
            f"nothing is missing in {names[:fields]}, so there is no gap to learn the shape of, "
            "and nothing to fill. To learn from them for gappy data of the same kind, hide cells "
            "first, as those lack them: ds.where(gappy.notnull()).impute.fit()"
        )
    share: FloatArray = found["cells"] / (packed.sizes["series"] * packed.sizes["time"])
    return share


def tell_of_covariates(share: FloatArray, spec: FieldSpec) -> None:
    """Warn of covariates that are missing where there are fields to fill.

    Parameters
    ----------
    share : float array, shape (C, H, W)
        How often each cell is observed.
    spec : FieldSpec
    """
    fields = len(share) - spec.given
    seen = (share[:fields] > 0).any(axis=0)
    for channel, known in zip(spec.channels[fields:], share[fields:], strict=True):
        missing = float((1.0 - known[seen]).mean()) if seen.any() else 0.0
        if missing > 0.0:
            log.warning(
                "the covariate %r is missing at %.2g%% of the places where the fields are "
                "observed at times; there it says nothing", channel.label, 100 * missing,
            )  # fmt: skip


def check_block(values: FloatArray, standardised: FloatArray) -> None:
    """Check a block of data that are filled lazily, when its turn comes.

    Parameters
    ----------
    values, standardised : float array, shape (n, C, H, W)
        In the units of the data, and as anomalies over their spread in the fit.

    Raises
    ------
    DataError
        For infinities, and for numbers that often mark missing values and lie 20 spreads off.
    """
    if np.isinf(values).any():
        raise DataError(
            "the data hold infinite values; make them missing with ds.where(np.isfinite(ds))"
        )
    odd = np.unique(values[np.abs(standardised) > ODD])
    found = [s for s in SENTINELS if np.isclose(odd, s, rtol=NEAR, atol=0.0).any()]
    if found:
        raise DataError(
            f"the data seem to hold undecoded fill values: {', '.join(f'{v:g}' for v in found)}; "
            f"make them missing with ds.where(ds != {found[0]:g}), or set the _FillValue attribute "
            "and decode with xr.decode_cf(ds)"
        )


def _repaired(variable: str, suspects: list[tuple[float, int]]) -> str:
    """What to type: huge and rounded values are cut off by a limit, others by equality."""
    value = suspects[0][0]
    field = f"ds[{variable!r}]"
    if abs(value) >= 1e19:
        return f"{field}.where(abs({field}) < {0.99 * abs(value):.3g})"
    return f"{field}.where({field} != {value:g})"


def _without(spec: FieldSpec, c: int) -> str:
    """What to type to leave a channel out."""
    channel = spec.channels[c]
    if channel.position:
        dim, k = channel.position[0]
        return f"ds.drop_isel({dim}={k})"
    if channel.variable in spec.covariates:
        return f"covariates={[n for n in spec.covariates if n != channel.variable]}"
    others = [v.name for v in spec.filled if v.name != channel.variable]
    return f"variables={others}" if others else "other data: it is the only variable"


def _survey(packed: xr.DataArray) -> dict[str, Any]:
    """Counts, extremes and moments of each channel; sentinels are counted where they are ends."""
    dims = ("series", "time", "y", "x")
    if packed.chunks is None:  # block by block: what is made of them is several times as large
        packed = packed.chunk(time=max(1, BLOCK_BYTES * packed.sizes["time"] // packed.nbytes))
    finite = packed.where(np.isfinite(packed))
    jobs = {
        "cells": finite.count(("series", "time")).transpose("channel", "y", "x"),
        "infinite": xr.apply_ufunc(np.isinf, packed, dask="allowed").sum(dims),
        "low": finite.min(dims),
        "high": finite.max(dims),
        "mean": finite.mean(dims, dtype=np.float64),
        "square": (finite.astype(np.float64) ** 2).mean(dims),
    }
    (values,) = dask.compute(jobs)
    out: dict[str, Any] = {name: np.atleast_1d(np.asarray(value)) for name, value in values.items()}
    out["count"] = out["cells"].sum(axis=(1, 2))
    ends = np.concatenate([out["low"], out["high"]]).astype(np.float64)
    likely = [s for s in SENTINELS if np.isclose(ends, s, rtol=NEAR, atol=0.0).any()]
    (counts,) = dask.compute({s: (abs(packed / s - 1.0) <= NEAR).sum(dims) for s in likely})
    out["sentinels"] = {s: np.atleast_1d(np.asarray(v)) for s, v in counts.items()}
    return out


def _suspects(found: dict[str, Any], c: int) -> list[tuple[float, int]]:
    """Sentinels that stand at an end of the values, far from all others."""
    suspects = []
    ends = np.array([found["low"][c], found["high"][c]], dtype=np.float64)
    for value, counts in found["sentinels"].items():
        count = int(counts[c])
        at_end = np.isclose(ends, value, rtol=NEAR, atol=0.0).any()
        if not at_end or count < (2 if value in TWICE else 1):
            continue
        if abs(value) >= 1e19 or _apart(found, c, value, count, int(found["count"][c])):
            suspects.append((value, count))
    return suspects


def _apart(found: dict[str, Any], c: int, value: float, count: int, total: int) -> bool:
    """Whether the rest of the values, by their mean and spread, lie far from a value."""
    if count == total:
        return True
    rest = total - count
    mean = (found["mean"][c] * total - count * value) / rest
    square = (found["square"][c] * total - count * value**2) / rest
    spread = np.sqrt(max(square - mean**2, 0.0))
    return bool(abs(value - mean) > 8.0 * spread)
