"""Root mean square error."""

from __future__ import annotations

import xarray as xr

from .base import Dims, Pointwise, with_units

__all__ = ["Rmse"]


class Rmse(Pointwise):
    """Root mean square error, in the variable's units.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> truth = xdi.example(complete=True)
    >>> round(float(Rmse()(truth + 0.5, truth)["sst"]), 3)
    0.5
    """

    def score(self, error: xr.DataArray, truth: xr.DataArray, dim: Dims) -> xr.DataArray:
        """The root of the mean of the squares."""
        return with_units((error**2).mean(dim) ** 0.5, truth)
