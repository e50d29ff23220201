"""Units: pint quantities in and out, and conversion between the units of two datasets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .exceptions import CompatibilityError

__all__ = ["Quantified", "conversion", "dequantify", "requantify"]

CELSIUS = re.compile(r"\bdegrees?_celsius\b", re.IGNORECASE)  # udunits' names, unknown to pint


@dataclass(frozen=True)
class Quantified:
    """What :func:`dequantify` stripped: units of the variables, and the coordinates."""

    units: dict[str, Any]
    coords: Any


def _is_quantity(array: xr.DataArray) -> bool:
    return hasattr(array.variable._data, "_REGISTRY")


def dequantify(ds: xr.Dataset) -> tuple[xr.Dataset, Quantified | None]:
    """Strip pint quantities; units go to the attributes.

    Returns
    -------
    ds : Dataset
        The very input if it holds no quantities.
    stripped : Quantified or None
        For :func:`requantify`.
    """
    if not any(_is_quantity(array) for array in (*ds.data_vars.values(), *ds.coords.values())):
        return ds, None
    import pint_xarray  # noqa: F401 - registers .pint; quantities come from it

    quantities: dict[str, Any] = {
        str(n): v.variable._data for n, v in ds.data_vars.items() if _is_quantity(v)
    }
    plain: xr.Dataset = ds.pint.dequantify()
    for name in ds.variables:
        plain[name].encoding = dict(ds[name].encoding)
    return plain, Quantified({n: q.units for n, q in quantities.items()}, ds.coords)


def requantify(ds: xr.Dataset, stripped: Quantified | None) -> xr.Dataset:
    """Make quantities again of what :func:`dequantify` stripped, and of standard errors."""
    if stripped is None:
        return ds
    found = {}
    for name, unit in stripped.units.items():
        for target in (name, f"{name}_standard_error"):
            if target not in ds:
                continue
            variable = ds[target].variable
            registry = unit._REGISTRY
            offset = target != name and not registry.Quantity(1, unit)._is_multiplicative
            this = registry.Unit(f"delta_{unit}") if offset else unit
            attrs = {k: v for k, v in variable.attrs.items() if k != "units"}
            data = registry.Quantity(variable.data, this)
            found[target] = xr.Variable(variable.dims, data, attrs, variable.encoding)
    return ds.assign(found).assign_coords(stripped.coords)


def conversion(name: str, source: str | None, target: str | None) -> tuple[float, float]:
    """Factor and offset from one unit to another: target = factor * source + offset.

    Parameters
    ----------
    name : str
        Of the variable, for the message.
    source, target : str or None

    Returns
    -------
    (float, float)

    Raises
    ------
    CompatibilityError
        If there is no such conversion. Numbers as units, such as ``"1e-3"``, are refused too:
        salinities of 35 go by "1", "psu" and "1e-3", and a factor of 1000 would be wrong.

    Examples
    --------
    >>> factor, offset = conversion("t", "degC", "K")
    >>> round(factor, 6), round(offset, 2)
    (1.0, 273.15)
    """
    if source == target or source is None or target is None:
        return 1.0, 0.0
    from cf_xarray.units import units as registry

    try:
        given, wanted = (registry.Unit(CELSIUS.sub("degC", unit)) for unit in (source, target))
        ends = registry.Quantity(np.array([0.0, 1.0, 2.0]), given).to(wanted).magnitude
        if not np.isclose(ends[2] - ends[1], ends[1] - ends[0]):
            raise ValueError("the two are not a factor and an offset apart")
    except Exception as error:
        raise CompatibilityError(
            f"variable {name!r} is in {source!r}, the imputer was fitted in {target!r}, and there "
            f"is no conversion ({error}); convert the data, or correct ds[{name!r}].attrs['units']"
        ) from error
    return float(ends[1] - ends[0]), float(ends[0])
