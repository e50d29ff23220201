r"""The linear rotating shallow-water equations (Eq. 66a), in a basin that wraps around.

The residual is that of :mod:`xdiffimpute.metrics.feasibility`: velocities on the faces of cells,
heights at their centres, and Simpson's rule over three frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..exceptions import DataError
from ..fields import FieldSpec
from .base import Guidance, Penalty, beside, channels_of, even_step, spacing_in_metres

__all__ = ["ShallowWater"]

GAIN = 4.0
PARAMETERS = ("f", "g", "H")
Y, X = -2, -1


class ShallowWater(Guidance):
    """Linear rotating shallow water: velocities u and v, height h.

    The Coriolis parameter f, gravity g and depth H are read from the data, as coordinates or
    variables, for each series or for all.

    Examples
    --------
    >>> from xdiffimpute.datasets import DATASETS
    >>> ds = DATASETS.create("shallow_water", samples=1, shape=(12, 12), frames=4).open()
    >>> spec = FieldSpec.from_dataset(ds)
    >>> penalty = ShallowWater().read(ds, spec)
    >>> fields = torch.from_numpy(spec.pack(ds).values[0].swapaxes(0, 1).copy())
    >>> torn = fields.clone()
    >>> torn[2, :, :, :4] = 0.0
    >>> bool(penalty(fields, 0) < 1e-3 * penalty(torn, 0))
    True
    """

    def read(self, ds: xr.Dataset, spec: FieldSpec) -> Penalty:
        places = channels_of(spec, ("u", "v", "h"), "shallow_water")
        lacking = [name for name in PARAMETERS if name not in ds.variables]
        if lacking:
            raise DataError(
                f"guidance='shallow_water' needs the parameters {', '.join(PARAMETERS)}, and "
                f"{lacking} is missing; keep them as the dataset 'shallow_water' has them"
            )
        for name in PARAMETERS:
            other = [str(d) for d in ds[name].dims if d not in spec.series_dims]
            if other:
                raise DataError(
                    f"guidance='shallow_water' takes one {name} for all cells and frames, and it "
                    f"varies along {other}; take its mean: "
                    f"ds.assign({name}=ds[{name!r}].mean({other}))"
                )
        spacing = spacing_in_metres(ds, spec, "shallow_water")
        step = even_step(ds, spec, "shallow_water", _Waves.frames)
        like = ds[spec.variables[0].name].isel(
            {spec.axes.time: 0, spec.axes.y: 0, spec.axes.x: 0}, drop=True
        )
        values = [
            np.asarray(ds[name].broadcast_like(like).transpose(*spec.series_dims).values).ravel()
            for name in PARAMETERS
        ]
        return _Waves(tuple(places), np.stack(values).astype(np.float64), spacing, step)


@dataclass(frozen=True)
class _Waves(Penalty):
    """Mean square residual of the three equations, brought to one unit.

    Steps of y and x (m) are negative where a coordinate descends.
    """

    places: tuple[int, ...]
    parameters: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    spacing: tuple[float, float]
    step: float

    frames: ClassVar[int] = 3

    def __call__(self, fields: Tensor, series: int) -> Tensor:
        f, g, depth = (float(value) for value in self.parameters[:, series])
        dy, dx = self.spacing
        u, v, h = (fields[k].double() for k in self.places)
        u, v = _on_faces(u, X), _on_faces(v, Y)

        def four(field: Tensor, ahead: int, behind: int) -> Tensor:
            pair = field + beside(field, ahead, 1)
            return (pair + beside(pair, behind, -1)) / 4

        rates = (
            f * four(v, X, Y) - g * (beside(h, X, 1) - h) / dx,
            -f * four(u, Y, X) - g * (beside(h, Y, 1) - h) / dy,
            -depth * ((u - beside(u, X, -1)) / dx + (v - beside(v, Y, -1)) / dy),
        )
        total = fields.new_zeros((), dtype=torch.float64)
        for state, rate, weight in zip((u, v, h), rates, (1.0, 1.0, g / depth), strict=True):
            mean = (rate[:-2] + 4 * rate[1:-1] + rate[2:]) / 6
            residual = (state[2:] - state[:-2]) / (2 * self.step) - mean
            total = total + weight * residual.square().mean() / 3
        return total


def _on_faces(centred: Tensor, axis: int) -> Tensor:
    """Values on the faces towards the next cells, of which neighbours' means are ``centred``."""
    cells = centred.shape[axis]
    half = torch.pi * torch.fft.rfftfreq(cells, device=centred.device, dtype=centred.dtype)
    gain = torch.exp(1j * half) / torch.cos(half).clamp(min=1 / GAIN)
    if cells % 2 == 0:
        gain[-1] = GAIN
    waves = torch.fft.rfft(centred.movedim(axis, -1)) * gain
    faces: Tensor = torch.fft.irfft(waves, n=cells)
    return faces.movedim(-1, axis)
