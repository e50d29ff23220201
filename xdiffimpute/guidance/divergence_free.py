r"""Flow without sources, :math:`\partial_x u + \partial_y v = 0`, by central differences.

On the sphere, with latitude :math:`\varphi`, the divergence is
:math:`(\partial_\lambda u + \partial_\varphi (v \cos \varphi)) / (a \cos \varphi)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..exceptions import DataError
from ..fields import FieldSpec
from .base import Guidance, Penalty, channels_of, even_spacing, spacing_in_metres

__all__ = ["DivergenceFree"]

EARTH_RADIUS = 6.371e6  # m
NEAR_POLE = 0.01  # least cosine of latitude


class DivergenceFree(Guidance):
    """Horizontal flow without sources or sinks.

    Parameters
    ----------
    u, v : str
        Velocities along x and y.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> from xdiffimpute.guidance import GUIDANCES
    >>> y, x = np.mgrid[0:8, 0:8]
    >>> dims, coords = ("y", "x"), {"y": np.arange(8.0), "x": np.arange(8.0)}
    >>> whirl = xr.Dataset({"u": (dims, -1.0 * y), "v": (dims, 1.0 * x)}, coords)
    >>> spec = FieldSpec.from_dataset(whirl)
    >>> penalty = GUIDANCES.create("divergence_free").read(whirl, spec)
    >>> fields = torch.from_numpy(spec.pack(whirl).values[0].swapaxes(0, 1))
    >>> float(penalty(fields, 0))
    0.0
    """

    def __init__(self, u: str = "u", v: str = "v") -> None:
        self.u, self.v = u, v

    def read(self, ds: xr.Dataset, spec: FieldSpec) -> Penalty:
        places = channels_of(spec, (self.u, self.v), "divergence_free")
        if min(spec.shape) < 3:
            raise DataError(
                f"guidance='divergence_free' takes central differences, and the grid has "
                f"{spec.shape} cells; it needs three each way"
            )
        if spec.latitude is not None and spec.longitude is not None:
            latitude, longitude = np.deg2rad(spec.latitude), np.deg2rad(spec.longitude)
            cosine = np.maximum(np.cos(latitude), NEAR_POLE)
            east = np.gradient(np.unwrap(longitude, axis=1), axis=1) * EARTH_RADIUS * cosine
            north = np.gradient(latitude, axis=0) * EARTH_RADIUS
        else:
            cosine = np.ones(spec.shape)
            known = [ds[dim].attrs.get("units") for dim in (spec.axes.y, spec.axes.x)]
            same = known[0] == known[1]  # what counts is how long a cell is to how wide
            steps = (
                even_spacing(spec, "divergence_free") if same
                else spacing_in_metres(ds, spec, "divergence_free")
            )  # fmt: skip
            north, east = (np.full(spec.shape, step) for step in steps)
        scale = float(np.median(np.abs(east)))  # so that the residual is a difference of velocities
        parts = (scale / (2 * east), scale / (2 * north * cosine), cosine)
        across, along, stretch = (torch.from_numpy(part.astype(np.float32)) for part in parts)
        return _Divergence(places[0], places[1], across, along, stretch, spec.periodic)


@dataclass(frozen=True)
class _Divergence(Penalty):
    """Mean square of the divergence times the width of a cell."""

    u: int
    v: int
    east: Tensor
    north: Tensor
    cosine: Tensor
    periodic: bool

    def __call__(self, fields: Tensor, series: int) -> Tensor:
        east, north, cosine = (part.to(fields) for part in (self.east, self.north, self.cosine))
        u, v = fields[self.u], fields[self.v] * cosine
        across = (torch.roll(u, -1, -1) - torch.roll(u, 1, -1)) * east
        along = (v[..., 2:, :] - v[..., :-2, :]) * north[1:-1]
        divergence = across[..., 1:-1, :] + along
        if not self.periodic:
            divergence = divergence[..., 1:-1]
        return divergence.square().mean()
