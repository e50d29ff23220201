"""What can be said of a dataset without training: its exposure, and the skill of a baseline."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, cast

import numpy as np
import xarray as xr

from ._typing import BoolArray
from .baselines import Baseline
from .exposure import exposure
from .fields import FieldSpec
from .imputer import Imputer
from .partition import Partition
from .quantities import dequantify
from .residuals import Residuals
from .scoring import compare
from .splitting import find_partition
from .survey import observed_share, sample_masks
from .tiling import default_window
from .validation import check_dataset, check_values
from .withholding import Withheld, withhold

__all__ = ["Examinable", "examine", "exposure_map", "set_aside"]


def exposure_map(
    ds: xr.Dataset,
    partition: str | Partition,
    *,
    window: int | None,
    seed: int,
    options: Mapping[str, Any],
) -> xr.Dataset:
    """Query exposure of every cell (Principle 1), one map for each variable.

    Parameters
    ----------
    ds : Dataset
    partition : str or Partition
    window : int, optional
    seed : int
    options : mapping
        Arguments of :meth:`FieldSpec.from_dataset`.

    Returns
    -------
    Dataset
        In [0, 1], without units, on the horizontal dims (and those treated as channels).

    Warns
    -----
    UserWarning
        If the exposure is zero somewhere, with the number of cells.
    """
    plain, _ = dequantify(ds)
    spec = FieldSpec.from_dataset(plain, **options)
    check_dataset(plain, spec)
    packed = spec.pack(plain)
    width = min(packed.sizes["time"], window or default_window(packed.sizes["time"]))
    masks, share = sample_masks(packed, width), observed_share(packed)
    chosen, _ = find_partition(partition, masks, share > 0)
    rng = np.random.default_rng(seed)
    found = exposure(chosen, masks, share > 0, rng, width, share=share)
    if found.message is not None:
        warnings.warn(found.message, UserWarning, stacklevel=3)
    maps = spec.unpack(
        xr.DataArray(
            found.probability[None, None].astype(np.float32),
            dims=("series", "time", "channel", "y", "x"),
        ),
        like=_one_frame(plain, spec),
    )
    out = xr.Dataset({name: _one_map(field, spec) for name, field in maps.items()})
    for name in out.data_vars:
        out[name].attrs = {
            "long_name": f"query probability of {name} given the context",
            "units": "1",
        }
        for source, target in (
            (plain[name].attrs, out[name].attrs),
            (plain[name].encoding, out[name].encoding),
        ):
            if "grid_mapping" in source:
                target["grid_mapping"] = source["grid_mapping"]
    return out.assign_attrs(partition=chosen.name)


def _one_frame(ds: xr.Dataset, spec: FieldSpec) -> xr.Dataset:
    """The first frame of the first series, keeping the dims."""
    dims = [d for d in (spec.axes.time, *spec.series_dims) if d is not None]
    return ds.isel({d: slice(0, 1) for d in dims if d in ds.dims})


def _one_map(field: xr.DataArray, spec: FieldSpec) -> xr.DataArray:
    dims = [d for d in (spec.axes.time, *spec.series_dims) if d is not None and d in field.dims]
    return field.isel(dict.fromkeys(dims, 0), drop=True)


class Examinable(Protocol):
    """What can say for itself what it gets wrong: a fitted network."""

    def examine(self, ds: xr.Dataset) -> Residuals:
        """Errors at withheld observations."""
        ...


def examine(imputer: Imputer, ds: xr.Dataset) -> Residuals:
    """Errors at observations withheld in the shape of the data's gaps.

    Parameters
    ----------
    imputer : DiffusionImputer or Baseline
        A baseline is refitted without the withheld cells; which are drawn, its seed tells.
    ds : Dataset

    Returns
    -------
    Residuals
        For :func:`xdiffimpute.scoring.skill_table`.
    """
    if not isinstance(imputer, Baseline):
        return cast(Examinable, imputer).examine(ds)
    plain, _ = dequantify(ds)
    spec, withheld, domain = set_aside(
        plain, imputer.layout, window=default_window, seed=imputer.seed
    )
    return compare(imputer, plain, spec, withheld, domain)


def set_aside(
    ds: xr.Dataset, layout: Mapping[str, Any], *, window: Callable[[int], int], seed: int
) -> tuple[FieldSpec, Withheld, BoolArray]:
    """Observations withheld in the shape of the data's own gaps, without a fit.

    Parameters
    ----------
    ds : Dataset
        Without pint quantities.
    layout : mapping
        Arguments of :meth:`FieldSpec.from_dataset`. Nothing of the covariates is withheld.
    window : callable
        From the number of frames to the longest run of withheld ones.
    seed : int

    Returns
    -------
    spec : FieldSpec
    withheld : Withheld
    domain : bool array, shape (C, H, W)
        Cells observed at least once.
    """
    spec = FieldSpec.from_dataset(ds, **layout)
    check_dataset(ds, spec)
    packed = spec.pack(ds)
    share = check_values(packed, spec, for_fit=True)
    longest = window(packed.sizes["time"])
    fields = slice(0, len(spec.channels) - spec.given)
    masks = sample_masks(packed.isel(channel=fields), min(longest, packed.sizes["time"]))
    found, _ = find_partition("auto", masks, share[fields] > 0)
    partition = replace(found, given=spec.given)
    withheld = withhold(packed, spec.clock(ds), partition, window=longest, seed=seed)
    return spec, withheld, share > 0
