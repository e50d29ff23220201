"""Where and when a cell is, as input channels of the network."""

from __future__ import annotations

import numpy as np

from ._typing import FloatArray, IntArray
from .calendar import Clock
from .fields import FieldSpec

__all__ = ["Coordinates"]


class Coordinates:
    """Coordinate channels: latitude, longitude and season, or the position in the field.

    Parameters
    ----------
    spec : FieldSpec
    clock : Clock
    like : FieldSpec, optional
        The grid whose mean and spread scale them; default: their own.

    Attributes
    ----------
    count : int
        Number of channels, F.
    periodic : bool
        Whether the field wraps around the globe.
    """

    count = 7

    def __init__(self, spec: FieldSpec, clock: Clock, *, like: FieldSpec | None = None) -> None:
        self.periodic = spec.periodic
        space = _positions(spec)
        scaled = space if like is None or like == spec else _positions(like)
        centre = scaled.mean(axis=(1, 2), keepdims=True)
        spread = scaled.std(axis=(1, 2), keepdims=True)
        self.space = (space - centre) / np.where(spread > 1e-6, spread, 1.0)
        year, day = 2 * np.pi * clock.year_phase, 2 * np.pi * clock.day_phase
        self.time = np.stack([np.sin(year), np.cos(year), np.sin(day), np.cos(day)])
        self.time = self.time.astype(np.float32)

    def __call__(self, frames: slice, y: IntArray, x: IntArray) -> FloatArray:
        """Channels of one window, shape (F, T, h, w); ``y`` and ``x`` are cell indices."""
        space = self.space[:, y[:, None], x[None, :]][:, None]
        time = self.time[:, frames, None, None]
        t, (h, w) = time.shape[1], space.shape[-2:]
        return np.concatenate(
            [np.broadcast_to(part, (len(part), t, h, w)) for part in (space, time)]
        )


def _positions(spec: FieldSpec) -> FloatArray:
    """On the sphere, or within the field where latitude and longitude are not known: (3, H, W)."""
    h, w = spec.shape
    if spec.latitude is not None and spec.longitude is not None:
        lat, lon = np.deg2rad(spec.latitude), np.deg2rad(spec.longitude)
        fields = [np.sin(lat), np.cos(lat) * np.sin(lon), np.cos(lat) * np.cos(lon)]
    else:
        y = np.broadcast_to(np.linspace(-1, 1, h)[:, None], (h, w))
        x = np.broadcast_to(np.linspace(-1, 1, w)[None, :], (h, w))
        fields = [y, x, np.zeros((h, w))]
    return np.stack(fields).astype(np.float32)
