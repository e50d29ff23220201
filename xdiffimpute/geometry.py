"""Where the cells of a grid are, in units of a cell: what distance means to a method.

On a geographic grid neighbours are searched on the sphere, so that the date line and the
poles need no special case; elsewhere on the plane. Methods that work on the array itself
see across the date line through :meth:`Geometry.wrap`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.spatial import cKDTree

from ._typing import AnyArray, BoolArray, FloatArray

__all__ = ["Geometry"]

WRAP_CELLS = 64


@dataclass(frozen=True)
class Geometry:
    """Positions of the cells of a grid and times of its frames.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    periodic : bool
        Do the columns go once around the globe?
    aspect : float
        Width of a cell over its height, at the middle of the grid.
    positions : float array, shape (H, W, 3), optional
        Points on a sphere whose unit is the height of a cell; ``None`` on a plane.
    days : float array, shape (N,)
        Elapsed time of each frame.
    step : float
        Days from one frame of the record to the next, usually.

    Examples
    --------
    >>> plane = Geometry.of((3, 4))
    >>> plane.points.shape
    (3, 4, 2)
    """

    shape: tuple[int, int]
    periodic: bool = False
    aspect: float = 1.0
    positions: FloatArray | None = None
    days: FloatArray = field(default_factory=lambda: np.zeros(1))
    step: float = 1.0

    @classmethod
    def of(
        cls,
        shape: tuple[int, int],
        *,
        periodic: bool = False,
        latitude: FloatArray | None = None,
        longitude: FloatArray | None = None,
        days: FloatArray | None = None,
    ) -> Geometry:
        """Geometry of a grid.

        Parameters
        ----------
        shape : (int, int)
        periodic : bool
        latitude, longitude : float array, shape (H, W), optional
            In degrees; without them, or where one is not finite, the grid is a plane.
        days : float array, shape (N,), optional

        Returns
        -------
        Geometry
        """
        times = np.zeros(1) if days is None else np.asarray(days, dtype=np.float64)
        if latitude is None or longitude is None:
            return cls(shape, periodic, days=times, step=_usual_step(times))
        phi, lam = np.radians(latitude), np.radians(longitude)
        xyz = np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)
        if not np.isfinite(xyz).all():
            return cls(shape, periodic, days=times, step=_usual_step(times))
        height, width = _median_step(xyz, 0), _median_step(xyz, 1)
        unit = height or width or 1.0
        aspect = width / height if width and height else 1.0
        return cls(
            shape, periodic, float(np.clip(aspect, 0.1, 10.0)), xyz / unit, times,
            _usual_step(times),
        )  # fmt: skip

    @property
    def points(self) -> FloatArray:
        """Coordinates for searching neighbours, shape (H, W, 3) or (H, W, 2)."""
        return self.plane if self.positions is None else self.positions

    @property
    def plane(self) -> FloatArray:
        """Row and column times the aspect, shape (H, W, 2)."""
        rows, columns = np.indices(self.shape, dtype=np.float64)
        return np.stack([rows, columns * self.aspect], axis=-1)

    @property
    def border(self) -> int:
        """Columns that :meth:`wrap` repeats on each side."""
        return min(self.shape[1] // 2, WRAP_CELLS) if self.periodic else 0

    def wrap(self, frame: AnyArray) -> AnyArray:
        """Repeat the columns of (..., H, W) across the date line, if the grid is periodic."""
        n = self.border
        if n == 0:
            return frame
        return np.concatenate([frame[..., -n:], frame, frame[..., :n]], axis=-1)

    def unwrap(self, frame: AnyArray) -> AnyArray:
        """Undo :meth:`wrap`."""
        n = self.border
        return frame[..., n : frame.shape[-1] - n] if n else frame

    def at(self, days: FloatArray) -> Geometry:
        """The same grid at other times of the record."""
        return replace(self, days=days)

    def crop(self, rows: slice, columns: slice) -> Geometry:
        """A part of the grid."""
        h, w = len(range(*rows.indices(self.shape[0]))), len(range(*columns.indices(self.shape[1])))
        positions = None if self.positions is None else self.positions[rows, columns]
        whole = w == self.shape[1]
        return replace(self, shape=(h, w), positions=positions, periodic=self.periodic and whole)

    def neighbours(
        self, known: BoolArray, wanted: BoolArray, count: int
    ) -> tuple[FloatArray, AnyArray]:
        """Nearest known cells of each wanted cell.

        Parameters
        ----------
        known, wanted : bool array, shape (H, W)
            At least one cell is known.
        count : int

        Returns
        -------
        distance : float array, shape (M, k)
            In cells, k the smaller of ``count`` and the number of known cells.
        index : int array, shape (M, k)
            Into ``field[known]``.
        """
        points = self.points
        k = min(count, int(known.sum()))
        distance, index = cKDTree(points[known]).query(points[wanted], k=list(range(1, k + 1)))
        return distance, index


def _median_step(xyz: FloatArray, axis: int) -> float:
    """Median distance of neighbours along one axis at the middle of the other."""
    if xyz.shape[axis] < 2:
        return 0.0
    middle = np.take(xyz, [xyz.shape[1 - axis] // 2], axis=1 - axis)
    return float(np.median(np.linalg.norm(np.diff(middle, axis=axis), axis=-1)))


def _usual_step(days: FloatArray) -> float:
    """Median distance of successive frames, 1 if there is none."""
    steps = np.abs(np.diff(days))
    steps = steps[steps > 0]
    return float(np.median(steps)) if steps.size else 1.0
