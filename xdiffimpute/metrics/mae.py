"""Mean absolute error."""

from __future__ import annotations

import xarray as xr

from .base import Dims, Pointwise, with_units

__all__ = ["Mae"]


class Mae(Pointwise):
    """Mean absolute error, in the variable's units.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> truth = xdi.example(complete=True)
    >>> round(float(Mae()(truth - 0.5, truth)["sst"]), 3)
    0.5
    """

    def score(self, error: xr.DataArray, truth: xr.DataArray, dim: Dims) -> xr.DataArray:
        """The mean of the magnitudes."""
        return with_units(abs(error).mean(dim), truth)
