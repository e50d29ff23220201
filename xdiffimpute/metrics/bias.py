"""Mean error."""

from __future__ import annotations

import xarray as xr

from .base import Dims, Metric, common, selected, with_units

__all__ = ["Bias"]


class Bias(Metric):
    """Mean of filled minus true, in the variable's units."""

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
                name: with_units(selected(filled[name] - truth[name], where).mean(dim), truth[name])
                for name in common(filled, truth)
            }
        )
