"""Root mean square error."""

from __future__ import annotations

import xarray as xr

from .base import Dims, Metric, common, selected, with_units

__all__ = ["Rmse"]


class Rmse(Metric):
    """Root mean square error, in the variable's units."""

    def __call__(
        self,
        filled: xr.Dataset,
        truth: xr.Dataset,
        *,
        where: xr.Dataset | xr.DataArray | None = None,
        dim: Dims = None,
    ) -> xr.Dataset:
        return xr.Dataset(
            {
                name: with_units(
                    (selected(filled[name] - truth[name], where) ** 2).mean(dim) ** 0.5, truth[name]
                )
                for name in common(filled, truth)
            }
        )
