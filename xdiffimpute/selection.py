"""Which variables of a dataset are fields to fill, and how their further dims are treated.

What only describes other variables (bounds, cell measures, ancillary variables, latitudes that
were read as variables) is never learned unless it is asked for by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from .arguments import as_list
from .axes import Axes, find_axes
from .exceptions import AxesError, DataError
from .suggestion import did_you_mean

__all__ = [
    "choose_covariates",
    "choose_variables",
    "companions",
    "considered",
    "refuse_other_dims",
    "refuse_two_grids",
    "treat_extra",
]


def considered(ds: xr.Dataset, variables: Sequence[str] | None) -> xr.Dataset:
    """The part of a dataset whose axes are looked for."""
    if variables is None:
        return ds
    names = as_list(variables)
    absent = [n for n in names if n not in ds.data_vars]
    if absent or not names:
        raise DataError(
            f"variables={names}: {absent} are not in the data, which hold "
            f"{list(map(str, ds.data_vars))}; choose one or more of them."
            f"{did_you_mean(absent, ds.data_vars)}"
        )
    return ds[names]


def companions(ds: xr.Dataset) -> set[str]:
    """Variables that describe others: bounds, cell measures, ancillary variables, coordinates."""
    found: set[str] = set()
    for variable in ds.variables.values():
        for key in ("bounds", "climatology", "ancillary_variables", "cell_measures"):
            words = variable.attrs.get(key, variable.encoding.get(key, ""))
            found |= {word for word in str(words).split() if not word.endswith(":")}
    places = ("latitude", "longitude", "grid_latitude", "grid_longitude")
    return found | {
        str(n)
        for n, v in ds.data_vars.items()
        if v.attrs.get("standard_name") in places
        or v.attrs.get("units") in ("degrees_north", "degrees_east")
    }


def choose_variables(
    ds: xr.Dataset, axes: Axes, variables: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Names to fill, and names left alone."""
    if variables is not None:
        names = as_list(variables)
    else:
        described = companions(ds)
        names = [str(n) for n in ds.data_vars if n not in described]
    fields = [
        n
        for n in names
        if np.issubdtype(ds[n].dtype, np.floating) and {axes.y, axes.x} <= set(ds[n].dims)
    ]
    has_time = axes.time is not None and any(axes.time in ds[n].dims for n in fields)
    fine = [n for n in fields if not has_time or axes.time in ds[n].dims]
    left = [str(n) for n in ds.data_vars if n not in fine]
    if not fine or (variables is not None and len(fine) < len(names)):
        kinds = {n: f"{ds[n].dtype} {tuple(map(str, ds[n].dims))}" for n in names if n not in fine}
        raise DataError(
            f"nothing can be filled in {kinds}: a variable must be floating-point and have the "
            f"dims {axes.y!r} and {axes.x!r}{f' and {axes.time!r}' if has_time else ''}; convert "
            "with ds.astype('float32'), or choose others with variables=[...]"
        )
    return fine, left


def choose_covariates(
    ds: xr.Dataset, covariates: Sequence[str], variables: Sequence[str] | None
) -> list[str]:
    """Names of what is given beside the variables to fill."""
    names = as_list(covariates)
    known = list(map(str, ds.data_vars))
    absent = [n for n in names if n not in ds.data_vars]
    if absent:
        raise DataError(
            f"covariates={names}: {absent} are not in the data, which hold {known}."
            f"{did_you_mean(absent, known)}"
        )
    filled = as_list(variables)
    both = [n for n in names if n in filled]
    if both or len(set(names)) < len(names):
        raise DataError(
            f"covariates={names} with variables={filled}: a covariate is given and not filled, so "
            "name each variable once, in one of the two"
        )
    return names


def refuse_other_dims(ds: xr.Dataset, covariates: Sequence[str], dims: set[str]) -> None:
    """A covariate is a number at each cell of the fields, along some or all of their dims."""
    for name in covariates:
        other = [str(d) for d in ds[name].dims if d not in dims]
        if other or not np.issubdtype(ds[name].dtype, np.floating):
            raise DataError(
                f"the covariate {name!r} is {ds[name].dtype} on {tuple(map(str, ds[name].dims))}: "
                f"it must be floating-point and on dims of {sorted(dims)}; convert it with "
                f"ds[{name!r}].astype('float32'), select with ds.isel(...), or leave it out"
            )


def refuse_two_grids(ds: xr.Dataset, names: list[str], others: list[str], axes: Axes) -> None:
    """Fields on other horizontal dims than the chosen ones mean that the user must choose."""
    described = companions(ds)
    for other in (name for name in others if name not in described):
        if not np.issubdtype(ds[other].dtype, np.floating) or ds[other].ndim < 2:
            continue
        try:
            theirs = find_axes(ds[[other]])
        except AxesError:
            continue
        if (theirs.y, theirs.x) != (axes.y, axes.x):
            raise AxesError(
                f"{names[0]!r} is on the grid ({axes.y}, {axes.x}) and {other!r} on "
                f"({theirs.y}, {theirs.x}); learn one grid at a time, with "
                f"variables=[{names[0]!r}], or regrid"
            )


def treat_extra(
    ds: xr.Dataset, names: list[str], axes: Axes, extra_dims: str | Mapping[str, str]
) -> dict[str, str]:
    """Each further dim with its treatment, "series" or "channels"."""
    usual = {axes.time, axes.y, axes.x}
    extra = list(dict.fromkeys(str(d) for n in names for d in ds[n].dims if d not in usual))
    if isinstance(extra_dims, str):
        treatment = dict.fromkeys(extra, extra_dims)
    else:
        unknown = [d for d in extra_dims if d not in extra]
        if unknown:
            raise AxesError(f"extra_dims names {unknown}, the further dims are {extra}")
        treatment = {d: extra_dims.get(d, "series") for d in extra}
    wrong = {d: how for d, how in treatment.items() if how not in ("series", "channels")}
    if wrong or (isinstance(extra_dims, str) and extra_dims not in ("series", "channels")):
        raise AxesError(
            f"extra_dims={extra_dims!r}: each further dim is treated as 'series' or 'channels'"
        )
    return treatment
