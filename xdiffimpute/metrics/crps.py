r"""Continuous ranked probability score, of members or of a normal distribution.

.. math:: \mathrm{CRPS} = \int (F(z) - 1\{z \ge x\})^2 \, dz

For M members: :math:`\frac1M \sum |x_m - x| - \frac{1}{2M^2} \sum |x_m - x_n|`. For the filled
value and its standard error as a normal distribution: the closed form of Gneiting et al. (2005),
doi:10.1175/MWR2904.1.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.special import ndtr

from .._typing import FloatArray
from ..exceptions import DataError
from .base import Dims, Metric, answered, common, selected, with_units

__all__ = ["Crps"]


class Crps(Metric):
    """CRPS, in the variable's units: of the members, or of the value and its standard error.

    Parameters
    ----------
    members : str
        Dimension of the members, if the filled data have it.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> truth = xdi.example(complete=True)
    >>> members = xr.concat([truth - 1, truth + 1], "realization")
    >>> round(float(Crps()(members, truth)["sst"]), 3)
    0.5
    >>> sure = truth.assign(sst_standard_error=xr.zeros_like(truth["sst"]))
    >>> float(Crps()(sure, truth)["sst"])
    0.0
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
            score = self._score(filled, truth[name], name).rename(name)
            mean = with_units(selected(score, where).mean(dim), truth[name])
            out[name] = answered(mean, score, truth[name], where, dim)
        return xr.Dataset(out)

    def _score(self, filled: xr.Dataset, truth: xr.DataArray, name: str) -> xr.DataArray:
        value, error = filled[name], f"{name}_standard_error"
        if self.members in value.dims:
            count = value.sizes[self.members]
            skill = abs(value - truth).mean(self.members)
            whole = value if value.chunks is None else value.chunk({self.members: -1})
            ordered = xr.apply_ufunc(
                np.sort, whole, kwargs={"axis": -1}, dask="parallelized",
                input_core_dims=[[self.members]], output_core_dims=[[self.members]],
                output_dtypes=[value.dtype],
            )  # fmt: skip
            rank = xr.DataArray(2 * np.arange(count) - count + 1, dims=self.members)
            spread = (ordered * rank).sum(self.members, skipna=False) / count**2
            return xr.DataArray(skill - spread)
        if error in filled:
            found: xr.DataArray = xr.apply_ufunc(
                _normal, truth, value, filled[error], dask="parallelized", output_dtypes=[float]
            )
            return found
        raise DataError(
            f"CRPS needs members along {self.members!r} or a variable {error!r}; the filled data "
            f"have {sorted(map(str, filled.variables))}; keep what ds.impute.fill() returns"
        )


def _normal(truth: FloatArray, mean: FloatArray, error: FloatArray) -> FloatArray:
    """CRPS of normal distributions; of a point where the error is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (truth - mean) / error
        density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        spread = error * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    return np.asarray(np.where(error > 0, spread, np.abs(truth - mean)))
