"""Mean error."""

from __future__ import annotations

import xarray as xr

from .base import Dims, Pointwise, with_units

__all__ = ["Bias"]


class Bias(Pointwise):
    """Mean of filled minus true, in the variable's units."""

    def score(self, error: xr.DataArray, truth: xr.DataArray, dim: Dims) -> xr.DataArray:
        """The mean."""
        return with_units(error.mean(dim), truth)
