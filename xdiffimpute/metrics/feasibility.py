r"""How well a fill obeys the linear rotating shallow-water equations (Eq. 66a).

The residual is that of the C-grid on which the equations are solved: velocities on the faces
of cells, heights at their centres, differences over one cell, so that noise from cell to cell
is seen. A fill has its velocities at the centres; those on the faces follow from them by undoing
the mean of two faces, :math:`\hat u \cos(k \Delta x / 2)`, wave by wave, with a gain of at
most ``GAIN`` for the shortest waves:

.. math::
    r_u &= \partial_t u - f \bar v + g\, \delta_x h \\
    r_v &= \partial_t v + f \bar u + g\, \delta_y h \\
    r_h &= \partial_t h + H (\delta_x u + \delta_y v)

In time the two sides are compared over three frames by Simpson's rule, of fourth order. The
three are brought to one unit, m s-2, as in the energy :math:`H (u^2 + v^2) + g h^2`, and the
loss is :math:`(\overline{r_u^2} + \overline{r_v^2} + (g / H)\, \overline{r_h^2}) / 3`.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from .._typing import FloatArray
from ..exceptions import DataError
from .base import Dims, Metric, with_units

__all__ = ["Feasibility"]

NEEDED = ("u", "v", "h")
PARAMETERS = ("f", "g", "H")
GAIN = 4.0


class Feasibility(Metric):
    """PDE feasibility loss: mean square residual of the shallow-water equations, in m2 s-4.

    The basin is periodic. The truth is not needed, but for its shape. NaN where a cell of the
    fill is missing: no residual can be taken there.

    Examples
    --------
    >>> from xdiffimpute.datasets import DATASETS
    >>> truth = DATASETS.create("shallow_water", samples=1, shape=(12, 12), frames=4).open()
    >>> torn = truth.assign(h=truth["h"].where(truth["x"] > 200e3, 0.0))
    >>> smooth, rough = (Feasibility()(ds, truth)["feasibility"] for ds in (truth, torn))
    >>> bool(smooth < 1e-6 * rough)
    True
    """

    def __call__(
        self,
        filled: xr.Dataset,
        truth: xr.Dataset,
        *,
        where: xr.Dataset | xr.DataArray | None = None,
        dim: Dims = None,
    ) -> xr.Dataset:
        if where is not None:
            raise DataError("the residual couples cells; leave out where=")
        lacking = [n for n in (*NEEDED, *PARAMETERS, "time", "y", "x") if n not in filled.variables]
        if lacking:
            raise DataError(
                f"the shallow-water residual needs {', '.join(NEEDED)}, the coordinates "
                f"{', '.join(PARAMETERS)}, time, y and x; {lacking} are missing; keep them as the "
                "dataset 'shallow_water' has them"
            )
        if filled.sizes["time"] < 3:
            raise DataError(
                f"the residual compares three frames, and there are {filled.sizes['time']}"
            )
        parts = self.residuals(filled)
        parts["h"] = parts["h"] * (filled["g"] / filled["H"]) ** 0.5
        means = [(part**2).mean(dim, skipna=False) for part in parts.values()]
        loss = with_units((means[0] + means[1] + means[2]) / 3)
        return xr.Dataset({"feasibility": loss.assign_attrs(units="m2 s-4")})

    def residuals(self, ds: xr.Dataset) -> dict[str, xr.DataArray]:
        """Residual of each equation at the inner frames, dims as the variables have.

        Of u on the right faces of the cells, of v on the upper ones (m s-2), of h at the
        centres (m s-1).
        """
        spacing = {d: float(ds[d][1] - ds[d][0]) for d in ("y", "x")}
        step = float((ds["time"][1] - ds["time"][0]) / np.timedelta64(1, "s"))
        u, v = (_on_faces(ds[n].astype("float64"), along) for n, along in (("u", "x"), ("v", "y")))
        h = ds["h"].astype("float64")
        f, g, depth = (ds[name] for name in PARAMETERS)

        def beside(field: xr.DataArray, along: str, cells: int) -> xr.DataArray:
            return field.roll({along: -cells}, roll_coords=False)

        def rise(field: xr.DataArray, along: str) -> xr.DataArray:
            return (beside(field, along, 1) - field) / spacing[along]

        def fall(field: xr.DataArray, along: str) -> xr.DataArray:
            return (field - beside(field, along, -1)) / spacing[along]

        def four(field: xr.DataArray, ahead: str, behind: str) -> xr.DataArray:
            pair = field + beside(field, ahead, 1)
            return (pair + beside(pair, behind, -1)) / 4

        def residual(state: xr.DataArray, rate: xr.DataArray) -> xr.DataArray:
            a, b, c = (
                rate.isel(time=slice(n, rate.sizes["time"] - 2 + n)).drop_vars("time")
                for n in range(3)
            )
            first, last = (
                state.isel(time=part).drop_vars("time") for part in (slice(0, -2), slice(2, None))
            )
            return (last - first) / (2 * step) - (a + 4 * b + c) / 6

        return {
            "u": residual(u, f * four(v, "x", "y") - g * rise(h, "x")),
            "v": residual(v, -f * four(u, "y", "x") - g * rise(h, "y")),
            "h": residual(h, -depth * (fall(u, "x") + fall(v, "y"))),
        }


def _on_faces(centred: xr.DataArray, along: str) -> xr.DataArray:
    """Values on the right or upper faces, of which neighbours' means are ``centred``."""
    if centred.chunks is not None:
        centred = centred.chunk({along: -1})
    faces: xr.DataArray = xr.apply_ufunc(
        _undo_mean, centred, input_core_dims=[[along]], output_core_dims=[[along]],
        dask="parallelized", output_dtypes=[float],
    ).transpose(*centred.dims)  # fmt: skip
    return faces


def _undo_mean(centred: FloatArray) -> FloatArray:
    """Along the last axis, shape (..., N) in and out."""
    cells = centred.shape[-1]
    half = np.pi * np.fft.rfftfreq(cells)
    gain = np.exp(1j * half) / np.maximum(np.cos(half), 1 / GAIN)
    if cells % 2 == 0:
        gain[-1] = GAIN  # no mean of faces alternates from cell to cell: it is kept, to be seen
    values: FloatArray = np.fft.irfft(np.fft.rfft(centred) * gain, n=cells)
    return values
