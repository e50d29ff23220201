"""Whether data are of the kind that an imputer was fitted on."""

from __future__ import annotations

import logging

import numpy as np
import xarray as xr

from .channels import levels_of, same_levels
from .exceptions import CompatibilityError
from .fields import FieldSpec
from .grid import read_grid

__all__ = ["refuse_incompatible", "tell_of_units"]

log = logging.getLogger("xdiffimpute")


def refuse_incompatible(spec: FieldSpec, ds: xr.Dataset) -> None:
    """Refuse data that an imputer with this layout cannot be applied to; nothing is computed.

    Parameters
    ----------
    spec : FieldSpec
        Of the data that it was fitted on.
    ds : Dataset

    Raises
    ------
    CompatibilityError
        For a missing variable, other dims or levels, units without conversion, or another spacing.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> ds = xdi.example()
    >>> refuse_incompatible(FieldSpec.from_dataset(ds), ds.isel(time=slice(10)))
    """
    names = [v.name for v in spec.variables]
    missing = [n for n in names if n not in ds.data_vars]
    if missing:
        given = [n for n in missing if n in spec.covariates]
        cure = "rename them with ds.rename(...)"
        if given:
            cure = f"add the covariates {given} that it was fitted with"
            cure += " and rename the others with ds.rename(...)" if given != missing else ""
        raise CompatibilityError(
            f"the imputer was fitted on {names}, and {missing} are not among the variables "
            f"{list(map(str, ds.data_vars))}; {cure}, or fit on these data"
        )
    for name in names:
        _refuse_dims(spec, ds, name)
    _refuse_levels(spec, ds)
    for variable in spec.variables:
        spec.to_units(ds, variable.name)
    _refuse_spacing(spec, ds)


def tell_of_units(spec: FieldSpec, ds: xr.Dataset) -> None:
    """Warn of variables that say nothing of their units, where those of the fit did."""
    for variable in spec.variables:
        if variable.units and not ds[variable.name].attrs.get("units"):
            log.warning(
                "%s has no units here and is taken to be in %s, as in the fit; if that is so, "
                "say ds[%r].attrs['units'] = %r",
                variable.name, variable.units, variable.name, variable.units,
            )  # fmt: skip


def _refuse_dims(spec: FieldSpec, ds: xr.Dataset, name: str) -> None:
    """Refuse other dims than those of the fit, another number of channels, and integers."""
    axes = spec.axes
    extra = {d: k for c in spec.channels if c.variable == name for d, k in c.position}
    wanted = {*spec.series_dims, *spec.time_dims, axes.y, axes.x, *extra}
    have = set(map(str, ds[name].dims))
    if name in spec.covariates:
        wanted &= have | {axes.y, axes.x, *extra}
    if wanted - have == {axes.time}:
        raise CompatibilityError(
            f"the imputer was fitted on frames along {axes.time!r}, which {name!r} lacks "
            f"here; keep it when selecting, with ds.isel({axes.time}=[0]), or add it with "
            f"ds.expand_dims({axes.time!r})"
        )
    if wanted != have:
        raise CompatibilityError(
            f"the imputer was fitted on {name!r} with the dims {sorted(wanted)}, here it has "
            f"{sorted(have)}; rename them with ds.rename(...), select with ds.isel(...), or "
            "fit on these data"
        )
    for d, last in extra.items():
        if ds.sizes[d] != last + 1:
            raise CompatibilityError(
                f"the imputer was fitted on {last + 1} positions of {d!r} as channels, these "
                f"data have {ds.sizes[d]}; select the same with ds.isel({d}=...)"
            )
    if not np.issubdtype(ds[name].dtype, np.floating):
        raise CompatibilityError(
            f"{name!r} holds {ds[name].dtype}, which cannot be missing; convert it with "
            f"ds[{name!r}].astype('float32')"
        )


def _refuse_levels(spec: FieldSpec, ds: xr.Dataset) -> None:
    """Refuse other coordinate values along the dims that are channels."""
    for d, values in levels_of(ds, spec.channel_dims):
        wanted = dict(spec.levels).get(d, values)
        if not same_levels(values, wanted):
            raise CompatibilityError(
                f"the imputer was fitted on {d!r} = {', '.join(wanted)} as channels, these "
                f"data have {', '.join(values)}; bring them in order with ds.sel({d}=[...])"
            )


def _refuse_spacing(spec: FieldSpec, ds: xr.Dataset) -> None:
    """Refuse a grid of other steps, or one that runs the other way."""
    y, x = spec.axes.y, spec.axes.x
    other = read_grid(ds, y, x)
    if spec.grid.same_spacing(other):
        return
    flipped = [(y, x)[k] for k in spec.grid.flipped_to(other)]
    if flipped:
        raise CompatibilityError(
            f"{' and '.join(map(repr, flipped))} runs the other way than in the fit; turn "
            f"it with ds.isel({', '.join(f'{d}=slice(None, None, -1)' for d in flipped)})"
        )
    raise CompatibilityError(
        f"the imputer was fitted at a grid spacing of {spec.grid.told_spacing} (y, x), these "
        f"data have {other.told_spacing}; regrid them, or fit on these data"
    )
