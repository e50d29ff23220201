r"""Variance by wavelength: what a fill that is too smooth lacks.

From frames :math:`x` of which the mean is taken out, tapered by a Hann window :math:`w` where
the grid does not wrap, so that its edges do not pass for fronts:

.. math:: E(k) = \frac{1}{\Delta k} \sum_{|\mathbf k| \approx k}
          \frac{|\hat{(w x)}(\mathbf k)|^2}{\overline{w^2}} , \qquad
          \sum_k E(k)\, \Delta k \approx \mathrm{var}\, x .

Wavenumbers are physical, so a grid whose cells are not square has round rings all the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from ._typing import BoolArray, FloatArray
from .exceptions import DataError
from .fields import FieldSpec
from .geometry import Geometry

__all__ = ["cell_size", "density", "spectra"]

EARTH = 6371.0  # km
LEAST_SIDE = 8


def spectra(
    versions: Mapping[str, xr.Dataset], spec: FieldSpec
) -> tuple[xr.Dataset, dict[str, float]]:
    """Mean spectral density of each variable in several versions of the same frames.

    Parameters
    ----------
    versions : mapping of str to Dataset
        By what they are called, such as ``"truth"``; in the units and on the grid of ``spec``.
    spec : FieldSpec

    Returns
    -------
    density : Dataset, dims (version, wavenumber)
        In units of the variable squared, times a length.
    share : dict of str to float
        Of the cells of a variable that all versions have in all frames. The others, such as
        land, are set to the mean in every version.

    Raises
    ------
    DataError
        If the grid has a side of less than 8 cells, or no cell is finite everywhere.
    """
    h, w = spec.shape
    if min(h, w) < LEAST_SIDE:
        raise DataError(
            f"a grid of {h} x {w} cells is too small for a spectrum; take {LEAST_SIDE} cells a "
            "side or more"
        )
    dy, dx, length = cell_size(spec, next(iter(versions.values())))
    last, found, share = (spec.axes.y, spec.axes.x), {}, {}
    for name, units in ((v.name, v.units) for v in spec.filled):
        stacks = [
            np.asarray(ds[name].transpose(..., *last).values, dtype=np.float64).reshape(-1, h, w)
            for ds in versions.values()
        ]
        inside: BoolArray = np.all([np.isfinite(stack).all(axis=0) for stack in stacks], axis=0)
        if not inside.any():
            raise DataError(
                f"no cell of {name!r} has a value in every frame of {', '.join(versions)}; a "
                "spectrum is of filled fields: pass what fill() returned, or an imputer"
            )
        lines = [density(stack, inside, (dy, dx), periodic=spec.periodic) for stack in stacks]
        attrs = {"field_units": units} if units else {}
        attrs["units"] = f"({units})2 {length}" if units else length
        found[name] = (("version", "wavenumber"), np.stack([line[1] for line in lines]), attrs)
        share[name] = float(inside.mean())
    where = ("wavenumber", lines[0][0], {"units": f"1/{length}"})
    return xr.Dataset(found, {"version": list(versions), "wavenumber": where}), share


def cell_size(spec: FieldSpec, ds: xr.Dataset) -> tuple[float, float, str]:
    """Height and width of a cell at the middle of the grid, and the unit of both."""
    geometry = Geometry.of(
        spec.shape, periodic=spec.periodic, latitude=spec.latitude, longitude=spec.longitude
    )
    if geometry.positions is not None:
        height = EARTH / float(np.linalg.norm(geometry.positions[0, 0]))
        return height, height * geometry.aspect, "km"
    units = {str(ds[d].attrs.get("units", "")) for d in (spec.axes.y, spec.axes.x) if d in ds}
    if spec.spacing is None or len(units) != 1:
        return 1.0, 1.0, "cells"
    (length,) = units
    dy, dx = (abs(step) for step in spec.spacing)
    if length in ("m", "metre", "meter", "metres", "meters"):
        return dy / 1e3, dx / 1e3, "km"
    return dy, dx, length or "units of the coordinates"


def density(
    fields: FloatArray, inside: BoolArray, steps: tuple[float, float], *, periodic: bool
) -> tuple[FloatArray, FloatArray]:
    """Isotropic spectral density, mean over frames.

    Parameters
    ----------
    fields : float array, shape (N, H, W)
    inside : bool array, shape (H, W)
        Cells to count; the others are set to each frame's mean.
    steps : (float, float)
        Height and width of a cell.
    periodic : bool
        Whether x wraps around.

    Returns
    -------
    wavenumber : float array, shape (K,)
        Cycles per unit of length: multiples of the coarser resolution of the two axes.
    density : float array, shape (K,)

    Examples
    --------
    >>> wave = np.cos(2 * np.pi * np.arange(64) / 8) + np.zeros((1, 64, 1))
    >>> k, found = density(wave, np.ones((64, 64), dtype=bool), (1.0, 1.0), periodic=True)
    >>> float(k[found.argmax()])
    0.125
    """
    h, w = inside.shape
    mean = fields[:, inside].mean(axis=1)[:, None, None]
    window = np.hanning(h + 2)[1:-1, None] * (
        np.ones((1, w)) if periodic else np.hanning(w + 2)[None, 1:-1]
    )
    anomaly = np.where(inside, fields - mean, 0.0) * window
    power = (np.abs(np.fft.fft2(anomaly, norm="forward")) ** 2).mean(axis=0) / (window**2).mean()
    ky, kx = np.fft.fftfreq(h, steps[0]), np.fft.fftfreq(w, steps[1])
    step = max(1 / (h * steps[0]), 1 / (w * steps[1]))
    ring = np.rint(np.hypot(ky[:, None], kx) / step).astype(int)
    last = int(0.5 / max(steps) / step)
    total = np.bincount(ring.ravel(), weights=power.ravel(), minlength=last + 1)
    return step * np.arange(1, last + 1), total[1 : last + 1] / step
