"""Piecewise linear interpolation on the Delaunay triangles of a frame's observations.

Only observed cells next to an unobserved one can be corners of a triangle that holds a gap
cell: around all others the triangles are those of the lattice. So only these are
triangulated, which gives the same result and costs by the length of the edges of the gaps.
Outside the convex hull of the observations the nearest one is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_erosion
from scipy.spatial import Delaunay, QhullError

from .._typing import AnyArray, BoolArray, FloatArray
from .base import Baseline, Geometry

__all__ = ["Linear"]


class Linear(Baseline):
    """Linear interpolation in space, nearest observation outside the hull.

    Parameters
    ----------
    **options
        See :class:`~xdiffimpute.baselines.base.Baseline`.

    Examples
    --------
    >>> import numpy as np
    >>> plane = np.add.outer(np.arange(3.0), np.arange(3.0)).astype("float32")
    >>> plane[1, 1] = np.nan
    >>> out = Linear().interpolate(
    ...     plane[None], np.ones((3, 3), bool), Geometry.of((3, 3)), slice(0, 1)
    ... )
    >>> float(out[0, 1, 1])
    2.0
    """

    name = "linear"

    def interpolate(
        self, frames: FloatArray, domain: BoolArray, geometry: Geometry, core: slice
    ) -> FloatArray:
        out = frames[core].copy()
        inside = geometry.wrap(domain)
        before: BoolArray | None = None
        mesh: _Mesh | None = None
        for frame in out:
            wide = geometry.wrap(frame).copy()
            known = np.isfinite(wide)
            if before is None or not np.array_equal(known, before):
                before, mesh = known, _Mesh.of(known, inside, geometry.aspect)
            if mesh is not None:
                wide[mesh.wanted] = (wide[mesh.corners] * mesh.weights).sum(axis=1)
                frame[:] = geometry.unwrap(wide)
        return out


@dataclass(frozen=True)
class _Mesh:
    """Which observed cells each gap cell is made of, and with what weights.

    ``wanted`` and ``corners`` index a frame: (M,) cells and (M, 3) corners.
    """

    wanted: tuple[AnyArray, AnyArray]
    corners: tuple[AnyArray, AnyArray]
    weights: FloatArray

    @classmethod
    def of(cls, known: BoolArray, domain: BoolArray, aspect: float) -> _Mesh | None:
        """``None`` if nothing is wanted or the observations lie on one line."""
        gaps = np.argwhere(~known & domain)
        inner = binary_erosion(known, structure=np.ones((3, 3)), border_value=True)
        edge = np.argwhere(known & ~inner)
        if len(gaps) == 0 or len(edge) < 3:
            return None
        scale = np.array([1.0, aspect])
        try:
            mesh = Delaunay(edge * scale)
        except QhullError:
            return None
        at = gaps * scale
        simplex = mesh.find_simplex(at)
        found = simplex >= 0
        gaps, at, simplex = gaps[found], at[found], simplex[found]
        transform = mesh.transform[simplex]
        flat = np.isfinite(transform).all(axis=(1, 2))
        gaps, at, simplex, transform = gaps[flat], at[flat], simplex[flat], transform[flat]
        pair = np.einsum("mij,mj->mi", transform[:, :2], at - transform[:, 2])
        weights = np.concatenate([pair, 1.0 - pair.sum(axis=1, keepdims=True)], axis=1)
        corners = edge[mesh.simplices[simplex]]
        return cls((gaps[:, 0], gaps[:, 1]), (corners[..., 0], corners[..., 1]), weights)
