"""What becomes of the error when the filled first frame is carried on by the dynamics."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..datasets.advection import propagate
from ..exceptions import DataError
from .base import Dims, Metric, with_units

__all__ = ["Propagation"]


class Propagation(Metric):
    """Forward-propagation error of advection: MSE of the first frame, propagated, over all frames.

    The filled first frame is carried on by the finite-difference solver of the dataset
    ``advection`` with the wind of each sample, and compared with the true sequence.

    References
    ----------
    Appendix H.1 and Table 10 of "Incomplete Data, Complete Dynamics: A Diffusion Approach".

    Examples
    --------
    >>> from xdiffimpute.datasets import DATASETS
    >>> truth = DATASETS.create("advection", samples=1, shape=(12, 12), frames=4).open()
    >>> bool(Propagation()(truth, truth)["propagation"] < 1e-12)
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
            raise DataError("the error spreads to all cells; leave out where=")
        lacking = [n for n in ("c", "u", "v", "time", "x") if n not in truth.variables]
        if lacking:
            raise DataError(
                f"propagation needs the tracer c with coordinates u, v, time and x; {lacking} are "
                "missing; keep them as the dataset 'advection' has them"
            )
        spacing = float(truth["x"][1] - truth["x"][0])
        step = float((truth["time"][1] - truth["time"][0]) / np.timedelta64(1, "s"))
        frames = truth.sizes["time"]

        def carry(start: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
            states = propagate(
                start, u[..., None, None], v[..., None, None],
                spacing=spacing, interval=step, frames=frames,
            )  # fmt: skip
            return np.stack(list(states), axis=-3)

        start = filled["c"].isel(time=0, drop=True)
        if start.chunks is not None:
            start = start.chunk(y=-1, x=-1)
        carried = xr.apply_ufunc(
            carry, start, truth["u"], truth["v"], dask="parallelized",
            input_core_dims=[["y", "x"], [], []], output_core_dims=[["time", "y", "x"]],
            output_dtypes=[float], dask_gufunc_kwargs={"output_sizes": {"time": frames}},
        )  # fmt: skip
        error = carried - truth["c"].drop_vars("time")
        return xr.Dataset({"propagation": with_units((error**2).mean(dim, skipna=False))})
