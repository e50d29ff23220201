"""How far the members are apart, or how large the standard error is."""

from __future__ import annotations

import xarray as xr

from ..exceptions import DataError
from .base import Dims, Metric, answered, common, selected, with_units

__all__ = ["Spread"]


class Spread(Metric):
    """Root mean variance of the members, or root mean square of the standard error.

    Where the uncertainty is right, it equals the root mean square error.

    Parameters
    ----------
    members : str
        Dimension of the members, if the filled data have it.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> truth = xdi.example(complete=True)
    >>> members = xr.concat([truth - 1, truth + 1], "realization")
    >>> round(float(Spread()(members, truth)["sst"]) ** 2, 3)
    2.0
    """

    def __init__(self, members: str = "realization") -> None:
        self.members = members

    def __call__(
        self,
        filled: xr.Dataset,
        truth: xr.Dataset,
        *,
        where: xr.Dataset | xr.DataArray | None = None,
        dim: Dims = None,
    ) -> xr.Dataset:
        out = {}
        for name in common(filled, truth):
            error = f"{name}_standard_error"
            if self.members in filled[name].dims:
                variance = filled[name].var(self.members, ddof=1)
            elif error in filled:
                variance = filled[error] ** 2
            else:
                raise DataError(
                    f"spread needs members along {self.members!r} or a variable {error!r}; keep "
                    "what ds.impute.fill() returns"
                )
            counted = selected(variance.rename(name), where)
            score = with_units(counted.mean(dim) ** 0.5, truth[name])
            out[name] = answered(score, counted, truth[name], where, dim)
        return xr.Dataset(out)
