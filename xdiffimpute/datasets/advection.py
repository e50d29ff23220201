"""A tracer carried along by a steady, uniform wind: the simplest dynamics there are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from .._typing import FloatArray
from ..exceptions import ImputeError
from .base import Source, check_at_least, check_shape, metres_along

__all__ = ["Advection", "propagate"]

SPACING = 50e3  # m
INTERVAL = 900  # s, from frame to frame
START = np.datetime64("2000-01-01T00:00:00", "ns")
SPEED = (5.0, 40.0)  # m s-1: 0.09 to 0.72 cells from frame to frame
SMOOTHING = (2.0, 5.0)  # cells, standard deviation of the kernel that smooths the start
COURANT = 0.5  # cells a step in the simulations; stable up to 1
LIMIT = 1.0
BATCH = 64


@dataclass(frozen=True)
class Advection(Source):
    """Advection in a doubly periodic box.

    Each sample has its own wind and smooth random start, and is solved with upwind
    differences of fifth order and Runge-Kutta steps of third. Cells are 50 km wide, frames are
    15 minutes apart.

    Parameters
    ----------
    samples : int
        Independent simulations.
    shape : tuple of int
        Rows and columns, each 6 or more.
    frames : int
        Frames per simulation, the first one being the start.
    seed : int
        Sample n depends on the seed and n alone, not on how many samples there are.

    Raises
    ------
    ImputeError
        If a size is not one of the valid values.

    References
    ----------
    Eq. 66b of "Incomplete Data, Complete Dynamics: A Diffusion Approach", with a wind in any
    direction. C.-W. Shu and S. Osher, J. Comput. Phys. 77, 1988,
    doi:10.1016/0021-9991(88)90177-5 (the Runge-Kutta steps).

    Examples
    --------
    >>> ds = Advection(samples=2, shape=(8, 8), frames=3).open()
    >>> list(ds.data_vars), dict(ds.sizes)
    (['c'], {'sample': 2, 'time': 3, 'y': 8, 'x': 8})
    """

    samples: int = 64
    shape: tuple[int, int] = (32, 32)
    frames: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(1, samples=self.samples, frames=self.frames)
        check_at_least(0, seed=self.seed)
        check_shape(self.shape, least=6)

    def open(self) -> xr.Dataset:
        """Run the simulations.

        Returns
        -------
        Dataset
            ``c``, dimensionless, float32, dims (sample, time, y, x); coordinates x and y in m,
            time, and the wind (u, v) of each sample in m s-1.
        """
        values = np.empty((self.samples, self.frames, *self.shape), dtype=np.float32)
        wind = np.empty((2, self.samples))
        for first in range(0, self.samples, BATCH):
            batch = slice(first, min(first + BATCH, self.samples))
            starts, drawn = zip(
                *(self._start(n) for n in range(batch.start, batch.stop)), strict=True
            )
            wind[:, batch] = np.transpose(drawn)
            states = propagate(
                np.stack(starts), *wind[:, batch, None, None],
                spacing=SPACING, interval=INTERVAL, frames=self.frames,
            )  # fmt: skip
            for frame, state in enumerate(states):
                values[batch, frame] = state
        return self._describe(values, wind)

    def _start(self, sample: int) -> tuple[FloatArray, FloatArray]:
        """The first state, shape (rows, columns), and the wind (u, v) of a sample."""
        rng = np.random.default_rng([self.seed, sample])
        speed, angle = rng.uniform(*SPEED), rng.uniform(0.0, 2 * math.pi)
        width = rng.uniform(*SMOOTHING)
        ky, kx = (2 * np.pi * np.fft.fftfreq(n) for n in self.shape)
        kernel = np.exp(-(ky[:, None] ** 2 + kx**2) * width**2 / 2)
        kernel[0, 0] = 0.0
        smooth = np.fft.ifft2(kernel * np.fft.fft2(rng.standard_normal(self.shape))).real
        wind = speed * np.array([math.cos(angle), math.sin(angle)])
        return smooth / smooth.std(), wind

    def _describe(self, values: FloatArray, wind: FloatArray) -> xr.Dataset:
        rows, columns = self.shape
        time = START + np.arange(self.frames) * np.timedelta64(INTERVAL, "s")
        tracer = {"long_name": "concentration of the tracer, as an anomaly", "units": "1"}
        described = {
            "sample": (
                "sample",
                np.arange(self.samples),
                {"long_name": "number of the simulation"},
            ),
            "time": ("time", time, {"axis": "T", "standard_name": "time", "long_name": "time"}),
            "y": metres_along("y", rows, SPACING),
            "x": metres_along("x", columns, SPACING),
        }
        for name, along, drawn in zip("uv", "xy", wind, strict=True):
            about = {"long_name": f"wind along {along}", "units": "m s-1"}
            described[name] = ("sample", drawn, about)
        return xr.Dataset(
            {"c": (("sample", "time", "y", "x"), values, tracer)},
            coords=described,
            attrs={
                "Conventions": "CF-1.8",
                "title": "Advection by a uniform wind, doubly periodic",
                "source": "xdiffimpute advection",
                "seed": self.seed,
            },
        )


def propagate(
    state: FloatArray,
    u: FloatArray | float,
    v: FloatArray | float,
    *,
    spacing: float,
    interval: float,
    frames: int,
    steps: int | None = None,
) -> Iterator[FloatArray]:
    """Carry a field along.

    Parameters
    ----------
    state : float array, shape (..., rows, columns)
        At the centres of the cells; rows go up with y.
    u, v : float or float array, shape (..., 1, 1)
        Wind along x and y (m s-1).
    spacing : float
        Width of a cell (m).
    interval : float
        Time between frames (s).
    frames : int
        States to give, the first of which is the start.
    steps : int, optional
        From frame to frame; default: as many as keep the sum of the Courant numbers along x
        and y at 0.5 or less.

    Yields
    ------
    float array, shape (..., rows, columns)

    Raises
    ------
    ImputeError
        If the wind moves more than a cell in a step, where the scheme is not stable.

    Examples
    --------
    >>> wave = np.sin(2 * np.pi * np.arange(24) / 24) * np.ones((6, 1))
    >>> *_, last = propagate(wave, 1.0, 0.0, spacing=1.0, interval=6.0, frames=5)
    >>> bool(np.abs(last - wave).max() < 1e-3)  # once around the periodic box
    True
    """
    fastest = float(np.max(np.abs(u) + np.abs(v))) * interval / spacing
    if steps is None:
        steps = max(1, math.ceil(fastest / COURANT))
    if fastest / steps > LIMIT:
        raise ImputeError(
            f"steps={steps} lets the wind move {fastest / steps:.2f} cells in a step, and the "
            f"scheme is stable up to {LIMIT:g}; pass steps={math.ceil(fastest / COURANT)} or more, "
            "or leave it out"
        )
    cells = interval / steps / spacing
    courant = np.asarray(u) * cells, np.asarray(v) * cells

    def change(now: FloatArray) -> FloatArray:
        return -courant[0] * _slope(now, courant[0], -1) - courant[1] * _slope(now, courant[1], -2)

    yield state
    for _ in range(frames - 1):
        for _ in range(steps):
            first = state + change(state)
            second = 0.75 * state + 0.25 * (first + change(first))
            state = state / 3.0 + 2.0 / 3.0 * (second + change(second))
        yield state


def _slope(field: FloatArray, wind: FloatArray, axis: int) -> FloatArray:
    """Difference a cell along an axis, of fifth order, from the side the wind comes from."""
    weights = np.array([-2.0, 15.0, -60.0, 20.0, 30.0, -3.0]) / 60.0
    offsets = (-3, -2, -1, 0, 1, 2)
    behind = sum(w * np.roll(field, -k, axis) for w, k in zip(weights, offsets, strict=True))
    if np.all(wind >= 0):
        return np.asarray(behind)
    ahead = -sum(w * np.roll(field, k, axis) for w, k in zip(weights, offsets, strict=True))
    return np.asarray(np.where(wind >= 0, behind, ahead))
