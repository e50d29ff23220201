"""Linear waves on a rotating sheet of water: three variables tied together by dynamics."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from .._typing import FloatArray
from ..exceptions import ImputeError
from .base import Source, check_at_least, check_shape, metres_along

__all__ = ["ShallowWater", "integrate", "to_centres"]

SPACING = 50e3  # m
INTERVAL = 900  # s, from frame to frame
START = np.datetime64("2000-01-01T00:00:00", "ns")
# Ranges of the random parameters. Gravity waves of 20 to 46 m s-1 cross 32 cells in 39 to 88
# frames, and the Rossby radius is 2.7 to 18 cells.
CORIOLIS = (0.5e-4, 1.5e-4)  # s-1
GRAVITY = (9.0, 10.5)  # m s-2
DEPTH = (45.0, 200.0)  # m
AMPLITUDE = (0.2, 1.0)  # m, standard deviation of h at the start
SMOOTHING = (1.5, 4.0)  # cells, standard deviation of the kernel that smooths the start
LIMIT = 1.0
STEPS = 3  # to a frame: at most 0.28 cells a step, where RK4 is stable up to 1
BATCH = 32  # samples integrated together: few enough to stay in the processor's cache
ATTRIBUTES = {
    "u": {
        "standard_name": "sea_water_x_velocity",
        "long_name": "velocity along x",
        "units": "m s-1",
    },
    "v": {
        "standard_name": "sea_water_y_velocity",
        "long_name": "velocity along y",
        "units": "m s-1",
    },
    "h": {
        "standard_name": "sea_surface_height_above_mean_sea_level",
        "long_name": "height of the surface above rest",
        "units": "m",
    },
}
PARAMETERS = {
    "f": {"long_name": "Coriolis parameter", "units": "s-1"},
    "g": {"long_name": "acceleration of gravity", "units": "m s-2"},
    "H": {"long_name": "depth of the water at rest", "units": "m"},
}


@dataclass(frozen=True)
class ShallowWater(Source):
    """Linearised rotating shallow water in a doubly periodic basin.

    Each sample has its own Coriolis parameter f, gravity g, depth H and smooth random start.
    Solved on an Arakawa C-grid with second-order differences and fourth-order Runge-Kutta
    steps, then interpolated to the centres of the cells. Cells are 50 km wide, frames are 15
    minutes apart.

    Parameters
    ----------
    samples : int
        Independent simulations.
    shape : tuple of int
        Rows and columns, each 4 or more.
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
    Eq. 66a of "Incomplete Data, Complete Dynamics: A Diffusion Approach". A. Arakawa and V. R.
    Lamb, "Computational design of the basic dynamical processes of the UCLA general
    circulation model", Methods in Computational Physics 17, 1977 (the C-grid).

    Examples
    --------
    >>> ds = ShallowWater(samples=2, shape=(8, 8), frames=3).open()
    >>> list(ds.data_vars), dict(ds.sizes)
    (['u', 'v', 'h'], {'sample': 2, 'time': 3, 'y': 8, 'x': 8})
    """

    samples: int = 64
    shape: tuple[int, int] = (32, 32)
    frames: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(1, samples=self.samples, frames=self.frames)
        check_at_least(0, seed=self.seed)
        check_shape(self.shape, least=4)

    def open(self) -> xr.Dataset:
        """Run the simulations.

        Returns
        -------
        Dataset
            ``u`` and ``v`` in m s-1 and ``h`` in m, float32, dims (sample, time, y, x);
            coordinates x and y in m, time, and the parameters f, g and H of each sample.
        """
        rows, columns = self.shape
        values = {
            name: np.empty((self.samples, self.frames, rows, columns), dtype=np.float32)
            for name in ATTRIBUTES
        }
        parameters = np.empty((3, self.samples))
        for first in range(0, self.samples, BATCH):
            batch = slice(first, min(first + BATCH, self.samples))
            starts, drawn = zip(
                *(self._start(n) for n in range(batch.start, batch.stop)), strict=True
            )
            parameters[:, batch] = np.transpose(drawn)
            f, g, depth = parameters[:, batch, None, None]
            states = integrate(
                np.stack(starts, axis=1), f, g, depth,
                spacing=SPACING, interval=INTERVAL, frames=self.frames,
            )  # fmt: skip
            for frame, state in enumerate(states):
                for name, centred in zip(values, to_centres(state), strict=True):
                    values[name][batch, frame] = centred
        return self._describe(values, parameters)

    def _start(self, sample: int) -> tuple[FloatArray, FloatArray]:
        """The first state, shape (3, rows, columns), and f, g and H of a sample."""
        rng = np.random.default_rng([self.seed, sample])
        parameters = np.array([rng.uniform(*span) for span in (CORIOLIS, GRAVITY, DEPTH)])
        amplitude, width = rng.uniform(*AMPLITUDE), rng.uniform(*SMOOTHING)
        ky, kx = (2 * np.pi * np.fft.fftfreq(n) for n in self.shape)
        kernel = np.exp(-(ky[:, None] ** 2 + kx**2) * width**2 / 2)
        kernel[0, 0] = 0  # no mean: neither a current nor a rise of the whole basin
        noise = np.fft.fft2(rng.standard_normal((3, *self.shape)))
        smooth = np.fft.ifft2(kernel * noise).real
        smooth *= amplitude / smooth.std(axis=(1, 2), keepdims=True)
        _, g, depth = parameters
        smooth[:2] *= math.sqrt(g / depth) / math.sqrt(2)  # as much kinetic as potential energy
        return smooth, parameters

    def _describe(self, values: dict[str, FloatArray], parameters: FloatArray) -> xr.Dataset:
        rows, columns = self.shape
        time = START + np.arange(self.frames) * np.timedelta64(INTERVAL, "s")
        numbers = np.arange(self.samples)
        dims = ("sample", "time", "y", "x")
        ds = xr.Dataset(
            {name: (dims, data, dict(ATTRIBUTES[name])) for name, data in values.items()},
            coords={
                "sample": ("sample", numbers, {"long_name": "number of the simulation"}),
                "time": ("time", time, {"axis": "T", "standard_name": "time", "long_name": "time"}),
                "y": metres_along("y", rows, SPACING),
                "x": metres_along("x", columns, SPACING),
            },
            attrs={
                "Conventions": "CF-1.8",
                "title": "Linearised rotating shallow water, doubly periodic",
                "source": "xdiffimpute shallow_water",
                "seed": self.seed,
            },
        )
        described = zip(PARAMETERS.items(), parameters, strict=True)
        return ds.assign_coords(
            {name: ("sample", drawn, dict(about)) for (name, about), drawn in described}
        )


def integrate(
    state: FloatArray,
    f: FloatArray | float,
    g: FloatArray | float,
    depth: FloatArray | float,
    *,
    spacing: float,
    interval: float,
    frames: int,
    steps: int = STEPS,
) -> Iterator[FloatArray]:
    """Solve the equations from a given start.

    Parameters
    ----------
    state : float array, shape (3, ..., rows, columns)
        u on the right faces of the cells and v on the upper faces (m s-1), h at the centres
        (m). Rows go up with y.
    f, g, depth : float or float array, shape (..., 1, 1)
        Coriolis parameter (s-1), gravity (m s-2) and depth (m).
    spacing : float
        Width of a cell (m).
    interval : float
        Time between frames (s).
    frames : int
        States to give, the first of which is the start.
    steps : int
        Runge-Kutta steps from frame to frame. Stable while the fastest wave, of speed
        ``sqrt(g * depth)``, moves less than a cell in a step.

    Yields
    ------
    float array, shape (3, ..., rows, columns)

    Raises
    ------
    ImputeError
        If a wave moves more than a cell in a step, where the scheme is not stable.

    Examples
    --------
    >>> calm = np.zeros((3, 8, 8))
    >>> *_, last = integrate(calm, 1e-4, 9.81, 50.0, spacing=5e4, interval=600.0, frames=3)
    >>> bool((last == calm).all())
    True
    """
    step = interval / steps
    courant = float(np.sqrt(np.max(np.asarray(g) * np.asarray(depth)))) * step / spacing
    if courant > LIMIT:
        raise ImputeError(
            f"steps={steps} lets the fastest wave move {courant:.2f} cells in a step, and the "
            f"scheme is stable up to {LIMIT:g}; pass steps={math.ceil(courant * steps / LIMIT)} "
            "or more"
        )

    def tendency(now: FloatArray) -> FloatArray:
        return _tendency(now, f, np.asarray(g) / spacing, np.asarray(depth) / spacing)

    yield state
    for _ in range(frames - 1):
        for _ in range(steps):
            first = tendency(state)
            second = tendency(state + step / 2 * first)
            third = tendency(state + step / 2 * second)
            fourth = tendency(state + step * third)
            state = state + step / 6 * (first + 2 * (second + third) + fourth)
        yield state


def to_centres(state: FloatArray) -> FloatArray:
    """Velocities on faces to the centres of cells; shape (3, ..., rows, columns) in and out.

    Examples
    --------
    >>> state = np.zeros((3, 1, 4))
    >>> state[0] = [0.0, 2.0, 0.0, 2.0]
    >>> to_centres(state)[0].tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """
    u, v, h = state
    return np.stack([(u + _left(u)) / 2, (v + _below(v)) / 2, h])


def _tendency(
    state: FloatArray,
    f: FloatArray | float,
    gravity: FloatArray,
    depth: FloatArray,
) -> FloatArray:
    """Rates of change, with gravity and depth divided by the spacing of the grid."""
    u, v, h = state
    rate = np.empty_like(state)
    beside = v + _right(v)
    rate[0] = f / 4 * (beside + _below(beside)) - gravity * (_right(h) - h)
    beside = u + _left(u)
    rate[1] = -f / 4 * (beside + _above(beside)) - gravity * (_above(h) - h)
    rate[2] = -depth * (u - _left(u) + v - _below(v))
    return rate


def _right(field: FloatArray) -> FloatArray:
    return np.roll(field, -1, axis=-1)


def _left(field: FloatArray) -> FloatArray:
    return np.roll(field, 1, axis=-1)


def _above(field: FloatArray) -> FloatArray:
    return np.roll(field, -1, axis=-2)


def _below(field: FloatArray) -> FloatArray:
    return np.roll(field, 1, axis=-2)
