"""Units: pint quantities in and out, and conversion between the units of two datasets."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from .exceptions import CompatibilityError

__all__ = ["conversion", "dequantify", "requantify"]


def _is_quantity(da: xr.DataArray) -> bool:
    return hasattr(da.variable._data, "_REGISTRY")


def dequantify(ds: xr.Dataset) -> tuple[xr.Dataset, dict[str, Any]]:
    """Strip pint quantities; units go to the attributes.

    Returns
    -------
    ds : Dataset
        The very input if it holds no quantities.
    units : dict of str to pint.Unit
        For :func:`requantify`.
    """
    quantities: dict[str, Any] = {
        str(n): v.variable._data for n, v in ds.data_vars.items() if _is_quantity(v)
    }
    units = {name: quantity.units for name, quantity in quantities.items()}
    if not units:
        return ds, units
    plain = {}
    for name, unit in units.items():
        variable = ds[name].variable
        attrs = {**variable.attrs, "units": variable.attrs.get("units", f"{unit:~C}")}
        data = quantities[name].magnitude
        plain[name] = xr.Variable(variable.dims, data, attrs, variable.encoding)
    return ds.assign(plain), units


def requantify(ds: xr.Dataset, units: dict[str, Any]) -> xr.Dataset:
    """Make quantities again of what :func:`dequantify` stripped, and of standard errors."""
    if not units:
        return ds
    found = {}
    for name, unit in units.items():
        for target in (name, f"{name}_standard_error"):
            if target in ds:
                variable = ds[target].variable
                attrs = {k: v for k, v in variable.attrs.items() if k != "units"}
                delta = target != name and not unit._REGISTRY.Unit(unit)._is_multiplicative
                this = unit._REGISTRY.Unit(f"delta_{unit}") if delta else unit
                data = unit._REGISTRY.Quantity(variable.data, this)
                found[target] = xr.Variable(variable.dims, data, attrs, variable.encoding)
    return ds.assign(found)


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
        If there is no such conversion.

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
        ends = registry.Quantity(np.array([0.0, 1.0]), registry.Unit(source)).to(target).magnitude
    except Exception as error:
        raise CompatibilityError(
            f"variable {name!r} is in {source!r}, the imputer was fitted in {target!r}, and there "
            f"is no conversion ({error}); convert the data, or correct ds[{name!r}].attrs['units']"
        ) from error
    return float(ends[1] - ends[0]), float(ends[0])
