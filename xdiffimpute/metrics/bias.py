"""Mean error."""

from __future__ import annotations

import xarray as xr

from .base import Dims, Pointwise, with_units

__all__ = ["Bias"]


class Bias(Pointwise):
    """Mean of filled minus true, in the variable's units.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> truth = xdi.example(complete=True)
    >>> round(float(Bias()(truth - 0.5, truth)["sst"]), 3)
    -0.5
    """

    def score(self, error: xr.DataArray, truth: xr.DataArray, dim: Dims) -> xr.DataArray:
        """The mean."""
        return with_units(error.mean(dim), truth)
