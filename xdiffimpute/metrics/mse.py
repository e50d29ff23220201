"""Mean square error."""

from __future__ import annotations

import xarray as xr

from .base import Dims, Pointwise, with_units

__all__ = ["Mse"]


class Mse(Pointwise):
    """Mean square error, in squared units: over all cells, or with ``where`` the hidden ones.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> truth = xdi.example(complete=True)
    >>> round(float(Mse()(truth + 0.5, truth)["sst"]), 3)
    0.25
    """

    def score(self, error: xr.DataArray, truth: xr.DataArray, dim: Dims) -> xr.DataArray:
        """The mean of the squares, without units."""
        return with_units((error**2).mean(dim))
