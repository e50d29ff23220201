"""Mean absolute error."""

from __future__ import annotations

import xarray as xr

from .base import Dims, Pointwise, with_units

__all__ = ["Mae"]


class Mae(Pointwise):
    """Mean absolute error, in the variable's units."""

    def score(self, error: xr.DataArray, truth: xr.DataArray, dim: Dims) -> xr.DataArray:
        """The mean of the magnitudes."""
        return with_units(abs(error).mean(dim), truth)
