r"""How far the energy spectrum of a fill is from the truth's.

.. math:: E(k) = \sum_{k - 1/2 \le |\mathbf k| < k + 1/2} |\hat x(\mathbf k)|^2 ,\qquad
          \epsilon = \sqrt{\overline{(\log_{10} E_{filled} - \log_{10} E_{true})^2}}

with the mean over the wavenumbers from 1 to half the shorter side. A fill that is too smooth
lacks energy at high wavenumbers, whatever its error cell by cell.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from .._typing import FloatArray
from ..exceptions import DataError
from .base import Dims, Metric, common, with_units

__all__ = ["SpectrumError", "spectrum"]

TINY = 1e-30


def spectrum(fields: FloatArray) -> FloatArray:
    """Energy in rings of wavenumbers.

    Parameters
    ----------
    fields : float array, shape (..., H, W)
        Complete; seen as periodic.

    Returns
    -------
    float array, shape (..., K)
        K = min(H, W) // 2 rings, from wavenumber 1.

    Examples
    --------
    >>> wave = np.sin(2 * np.pi * np.arange(8) / 8) * np.ones((8, 1))
    >>> spectrum(wave).round(3).tolist()
    [0.5, 0.0, 0.0, 0.0]
    """
    h, w = fields.shape[-2:]
    power = np.abs(np.fft.fft2(fields, norm="forward")) ** 2
    ky, kx = np.fft.fftfreq(h, 1 / h), np.fft.fftfreq(w, 1 / w)
    ring = np.rint(np.hypot(ky[:, None], kx)).astype(int)
    rings = [power[..., ring == k].sum(axis=-1) for k in range(1, min(h, w) // 2 + 1)]
    return np.stack(rings, axis=-1)


class SpectrumError(Metric):
    """Root mean square difference of the energy spectra, in powers of ten.

    Parameters
    ----------
    y, x : str
        Dimensions of the grid.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> truth = xdi.example(complete=True)
    >>> round(float(SpectrumError("lat", "lon")(10 * truth, truth)["sst"]), 3)
    2.0
    """

    def __init__(self, y: str = "y", x: str = "x") -> None:
        self.y, self.x = y, x

    def __call__(
        self,
        filled: xr.Dataset,
        truth: xr.Dataset,
        *,
        where: xr.Dataset | xr.DataArray | None = None,
        dim: Dims = None,
    ) -> xr.Dataset:
        if where is not None:
            raise DataError(
                "a spectrum is of whole fields and cannot be taken of some cells; leave out where="
            )
        return xr.Dataset(
            {name: self._error(filled[name], truth[name], dim) for name in common(filled, truth)}
        )

    def _error(self, filled: xr.DataArray, truth: xr.DataArray, dim: Dims) -> xr.DataArray:
        lacking = [name for name in (self.y, self.x) if name not in truth.dims]
        if lacking:
            raise DataError(
                f"{truth.name!r} has dims {list(truth.dims)} and not {lacking}; name the grid's: "
                "METRICS.create('spectrum_error', y='lat', x='lon')"
            )
        energy, target = (self._energy(field) + TINY for field in (filled, truth))
        gap: xr.DataArray = np.log10(energy / target)  # type: ignore[assignment]
        over = None if dim is None else {*([dim] if isinstance(dim, str) else dim), "wavenumber"}
        return with_units((gap**2).mean(over, skipna=False) ** 0.5)

    def _energy(self, field: xr.DataArray) -> xr.DataArray:
        if field.chunks is not None:
            field = field.chunk({self.y: -1, self.x: -1})
        found: xr.DataArray = xr.apply_ufunc(
            spectrum, field, input_core_dims=[[self.y, self.x]], dask="parallelized",
            output_core_dims=[["wavenumber"]], output_dtypes=[float],
            dask_gufunc_kwargs={
                "output_sizes": {"wavenumber": min(field.sizes[self.y], field.sizes[self.x]) // 2}
            },
        )  # fmt: skip
        return found
