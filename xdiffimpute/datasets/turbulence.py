"""Two-dimensional turbulence, stirred at large scales: vortices and filaments."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import fft

from .._typing import AnyArray, FloatArray
from ..exceptions import ImputeError
from .base import Source, check_at_least, check_shape

__all__ = ["Turbulence", "integrate"]

LENGTH = 2 * math.pi  # side of the box, without unit, as all of this
VISCOSITY = 1e-3
DRAG = 0.05
INTERVAL = 0.1  # from frame to frame: a vortex of vorticity 4 turns by 0.2
SPIN_UP = 2.0
PEAK = (3.0, 6.0)  # wavenumber where the start has most energy
VORTICITY = 4.0  # standard deviation of the start
FORCING = (2.0, 4.0)  # wavenumbers that are stirred
POWER = 1.5  # standard deviation of the forcing's vorticity tendency
COURANT = 0.5
LIMIT = 1.5
BATCH = 32


@dataclass(frozen=True)
class Turbulence(Source):
    r"""Forced isotropic turbulence in a doubly periodic box, in vorticity.

    .. math::
        \partial_t \omega + \mathbf u \cdot \nabla \omega
        = \nu \Delta \omega - \mu\, \omega + f, \qquad \Delta \psi = \omega,\;
        \mathbf u = (-\partial_y \psi, \partial_x \psi)

    Pseudo-spectral: products on the grid with the upper third of the wavenumbers removed,
    fourth-order Runge-Kutta steps for them and for the forcing, and an exact integrating
    factor for viscosity and drag. Each sample has its own start, with energy about a wavenumber
    of 3 to 6, and its own steady forcing.

    Parameters
    ----------
    samples : int
        Independent simulations.
    shape : tuple of int
        Rows and columns, equal and 16 or more.
    frames : int
        Frames per simulation, after a spin-up.
    viscosity : float
        :math:`\nu`, in units of the box (a side of 2 pi) and of its time.
    seed : int
        Sample n depends on the seed and n alone, but for the error of time steps that the
        fastest current of its batch sets.

    Raises
    ------
    ImputeError
        If a size is not one of the valid values, or the viscosity is not positive.

    References
    ----------
    Eq. 67 of "Incomplete Data, Complete Dynamics: A Diffusion Approach". S. A. Orszag,
    J. Atmos. Sci. 28, 1971, doi:10.1175/1520-0469(1971)028<1074:OTEOAI>2.0.CO;2 (dealiasing).

    Examples
    --------
    >>> ds = Turbulence(samples=1, shape=(16, 16), frames=2).open()
    >>> list(ds.data_vars), dict(ds.sizes)
    (['vorticity'], {'sample': 1, 'time': 2, 'y': 16, 'x': 16})
    """

    samples: int = 32
    shape: tuple[int, int] = (64, 64)
    frames: int = 100
    viscosity: float = VISCOSITY
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(1, samples=self.samples, frames=self.frames)
        check_at_least(0, seed=self.seed)
        rows, columns = check_shape(self.shape, least=16)
        if rows != columns:
            raise ImputeError(
                f"shape={self.shape!r} is not square, as isotropic turbulence wants it; pass for "
                f"example shape=({rows}, {rows})."
            )
        if not 0.0 < self.viscosity < math.inf:
            raise ImputeError(
                f"viscosity={self.viscosity!r} is not positive; pass for example viscosity=1e-3."
            )

    def open(self) -> xr.Dataset:
        """Run the simulations.

        Returns
        -------
        Dataset
            ``vorticity``, float32, dims (sample, time, y, x), all without units.
        """
        values = np.empty((self.samples, self.frames, *self.shape), dtype=np.float32)
        for first in range(0, self.samples, BATCH):
            batch = slice(first, min(first + BATCH, self.samples))
            starts, forcing = (
                np.stack(part)
                for part in zip(
                    *(self._start(n) for n in range(batch.start, batch.stop)), strict=True
                )
            )
            *_, spun_up = integrate(
                starts, forcing, viscosity=self.viscosity, interval=SPIN_UP, frames=2
            )
            states = integrate(
                spun_up, forcing, viscosity=self.viscosity, interval=INTERVAL, frames=self.frames
            )
            for frame, state in enumerate(states):
                values[batch, frame] = state
        return self._describe(values)

    def _start(self, sample: int) -> tuple[FloatArray, FloatArray]:
        """The first vorticity and the forcing of a sample, each (rows, columns)."""
        rng = np.random.default_rng([self.seed, sample])
        size = np.hypot(*_wavenumbers(self.shape[0]))
        peak = rng.uniform(*PEAK)
        start = _filtered(rng, (size / peak) ** 3 * np.exp(-1.5 * (size / peak) ** 2))
        ring = (size >= FORCING[0]) & (size <= FORCING[1])
        return VORTICITY * start, POWER * _filtered(rng, ring.astype(float))

    def _describe(self, values: FloatArray) -> xr.Dataset:
        count = self.shape[0]
        return xr.Dataset(
            {
                "vorticity": (
                    ("sample", "time", "y", "x"),
                    values,
                    {"long_name": "vorticity", "units": "1"},
                )
            },
            coords={
                "sample": (
                    "sample",
                    np.arange(self.samples),
                    {"long_name": "number of the simulation"},
                ),
                "time": (
                    "time",
                    np.arange(self.frames) * INTERVAL,
                    {"axis": "T", "long_name": "time since the spin-up", "units": "1"},
                ),
                "y": _axis("y", count),
                "x": _axis("x", count),
                "viscosity": ((), self.viscosity, {"long_name": "viscosity", "units": "1"}),
            },
            attrs={
                "Conventions": "CF-1.8",
                "title": "Forced two-dimensional turbulence, doubly periodic",
                "source": "xdiffimpute turbulence",
                "seed": self.seed,
            },
        )


def integrate(
    vorticity: FloatArray,
    forcing: FloatArray | float,
    *,
    viscosity: float,
    interval: float,
    frames: int,
    drag: float = DRAG,
    steps: int | None = None,
) -> Iterator[FloatArray]:
    """Solve the equations from a given start, on a box of side 2 pi.

    Parameters
    ----------
    vorticity : float array, shape (..., n, n)
    forcing : float or float array, shape (..., n, n)
        Tendency of vorticity that is steady in time.
    viscosity, drag : float
    interval : float
        Time between frames.
    frames : int
        States to give, the first of which is the start.
    steps : int, optional
        From frame to frame; default: found anew for each frame from the fastest current.

    Yields
    ------
    float array, shape (..., n, n)

    Raises
    ------
    ImputeError
        If ``steps`` lets the current cross more than 1.5 cells in a step.

    Examples
    --------
    >>> calm = np.zeros((8, 8))
    >>> *_, last = integrate(calm, 0.0, viscosity=1e-3, interval=0.1, frames=2, steps=4)
    >>> bool((last == calm).all())
    True
    """
    n = vorticity.shape[-1]
    ky, kx = _wavenumbers(n)
    square = kx**2 + ky**2
    kept = (np.abs(kx) < n / 3) & (np.abs(ky) < n / 3)
    to_u, to_v = (1j * k / np.where(square > 0, square, 1.0) for k in (ky, -kx))
    stirred = kept * fft.rfft2(np.broadcast_to(forcing, vorticity.shape))

    def current(state: AnyArray) -> tuple[FloatArray, FloatArray]:
        return fft.irfft2(to_u * state, s=(n, n)), fft.irfft2(to_v * state, s=(n, n))

    def tendency(state: AnyArray) -> AnyArray:
        u, v = current(state)
        slopes = fft.irfft2(1j * kx * state, s=(n, n)), fft.irfft2(1j * ky * state, s=(n, n))
        return np.asarray(stirred - kept * fft.rfft2(u * slopes[0] + v * slopes[1]))

    state = kept * fft.rfft2(vorticity)
    yield fft.irfft2(state, s=(n, n))
    for _ in range(frames - 1):
        u, v = current(state)
        fastest = float((np.abs(u) + np.abs(v)).max()) * interval * n / LENGTH
        count = steps if steps is not None else max(1, math.ceil(fastest / COURANT))
        if fastest / count > LIMIT:
            raise ImputeError(
                f"steps={count} lets the current cross {fastest / count:.1f} cells in a step, and "
                f"the scheme is stable up to {LIMIT:g}; pass "
                f"steps={math.ceil(fastest / COURANT)} or more, or leave it out"
            )
        step = interval / count
        half = np.exp(-(viscosity * square + drag) * step / 2)
        for _ in range(count):
            first = tendency(state)
            second = tendency(half * (state + step / 2 * first))
            third = tendency(half * state + step / 2 * second)
            fourth = tendency(half * (half * state + step * third))
            state = (
                half * (half * (state + step / 6 * first) + step / 3 * (second + third))
                + step / 6 * fourth
            )
        yield fft.irfft2(state, s=(n, n))


def _wavenumbers(n: int) -> tuple[FloatArray, FloatArray]:
    """Along y, shape (n, 1), and x, shape (1, n // 2 + 1)."""
    return np.fft.fftfreq(n, 1 / n)[:, None], np.fft.rfftfreq(n, 1 / n)[None, :]


def _filtered(rng: np.random.Generator, kernel: FloatArray) -> FloatArray:
    """Random field of unit spread with the amplitudes of a kernel (n, n // 2 + 1)."""
    n = kernel.shape[0]
    field = fft.irfft2(kernel * fft.rfft2(rng.standard_normal((n, n))), s=(n, n))
    return np.asarray(field / field.std())


def _axis(name: str, count: int) -> tuple[str, FloatArray, dict[str, str]]:
    attributes = {"axis": name.upper(), "long_name": f"distance along {name}", "units": "1"}
    return name, (np.arange(count) + 0.5) * LENGTH / count, attributes
