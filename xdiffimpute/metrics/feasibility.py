r"""How well a fill obeys the linear rotating shallow-water equations (Eq. 66a).

The simulator's C-grid equations, averaged to the centres of the cells where its fields are
given, hold there without a difference in space:

.. math::
    \partial_t u &= f S_x v - g\, \delta_x h \\
    \partial_t v &= -f S_y u - g\, \delta_y h \\
    S_x S_y\, \partial_t h &= -H (S_y \delta_x u + S_x \delta_y v)

with :math:`S = (1, 2, 1)/4` and central differences :math:`\delta`. In time the two sides are
compared over three frames by Simpson's rule, of fourth order.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..exceptions import DataError
from .base import Dims, Metric, with_units

__all__ = ["Feasibility"]

NEEDED = ("u", "v", "h")
PARAMETERS = ("f", "g", "H")


class Feasibility(Metric):
    """PDE feasibility loss: mean square residual of the shallow-water equations, in SI units.

    The mean over the three equations, of (m s-2) squared for the velocities and (m s-1) squared
    for the height; of the order of 1e-8 for the datasets here, as in the paper's Table 10. The
    basin is periodic. The truth is not needed, but for its shape.
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
        lacking = [n for n in (*NEEDED, *PARAMETERS, "time", "x") if n not in filled.variables]
        if lacking:
            raise DataError(
                f"the shallow-water residual needs {', '.join(NEEDED)}, the coordinates "
                f"{', '.join(PARAMETERS)}, time and x; {lacking} are missing; keep them as the "
                "dataset 'shallow_water' has them"
            )
        if filled.sizes["time"] < 3:
            raise DataError(
                f"the residual compares three frames, and there are {filled.sizes['time']}"
            )
        parts = self.residuals(filled)
        means = [(part**2).mean(dim) for part in parts.values()]
        return xr.Dataset({"feasibility": with_units((means[0] + means[1] + means[2]) / 3)})

    def residuals(self, ds: xr.Dataset) -> dict[str, xr.DataArray]:
        """Residual of each equation at the inner frames, dims as the variables have."""
        spacing = float(ds["x"][1] - ds["x"][0])
        step = float((ds["time"][1] - ds["time"][0]) / np.timedelta64(1, "s"))
        u, v, h = (ds[name].astype("float64") for name in NEEDED)
        f, g, depth = (ds[name] for name in PARAMETERS)

        def slope(field: xr.DataArray, along: str) -> xr.DataArray:
            ahead, behind = (field.roll({along: n}, roll_coords=False) for n in (-1, 1))
            return (ahead - behind) / (2 * spacing)

        def smooth(field: xr.DataArray, along: str) -> xr.DataArray:
            ahead, behind = (field.roll({along: n}, roll_coords=False) for n in (-1, 1))
            return (ahead + 2 * field + behind) / 4

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
            "u": residual(u, f * smooth(v, "x") - g * slope(h, "x")),
            "v": residual(v, -f * smooth(u, "y") - g * slope(h, "y")),
            "h": residual(
                smooth(smooth(h, "x"), "y"),
                -depth * (smooth(slope(u, "x"), "y") + smooth(slope(v, "y"), "x")),
            ),
        }
