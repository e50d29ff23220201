r"""Biharmonic fill: the smoothest field through the observations of a frame.

In the gaps :math:`\Delta^2 a = 0`, solved on the grid by
:func:`skimage.restoration.inpaint_biharmonic`. Cells outside the domain (land) are either
held at the climatology, which ties the field down where a gap lies on a coast, or solved with
the gaps. Fields larger than 256 cells are solved in overlapping pieces that are blended.

References
----------
Damelin and Hoang, "On surface completion and image inpainting by biharmonic functions:
numerical aspects", Int. J. Math. Math. Sci. (2018), doi:10.1155/2018/3950312.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import generate_binary_structure, label

from .._typing import BoolArray, FloatArray
from ..exceptions import ImputeError
from ..tiling import ramp, starts
from .base import Inpainting

__all__ = ["Biharmonic"]

PIECE = 256
OVERLAP = 64
FEW_REGIONS = 64


class Biharmonic(Inpainting):
    """Solution of the biharmonic equation in the gaps of each frame.

    Parameters
    ----------
    land : {"climatology", "free"}
        Hold cells outside the domain at the climatology, or solve them too; tuned if not given.
    **options
        See :class:`~xdiffimpute.baselines.base.Baseline`.

    Raises
    ------
    ImputeError
        If scikit-image is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from xdiffimpute.geometry import Geometry
    >>> plane = np.add.outer(np.arange(7.0), np.arange(7.0)).astype("float32")
    >>> plane[3, 3] = np.nan
    >>> out = Biharmonic().interpolate(
    ...     plane[None], np.ones((7, 7), bool), Geometry.of((7, 7)), slice(0, 1)
    ... )
    >>> round(float(out[0, 3, 3]), 5)
    6.0
    """

    name = "biharmonic"
    knobs = {"land": ("climatology", "free")}

    def inpaint(self, field: FloatArray, gaps: BoolArray, domain: BoolArray) -> FloatArray:
        return _solve(field, gaps, domain)


def _solve(field: FloatArray, gaps: BoolArray, domain: BoolArray) -> FloatArray:
    """Fill ``gaps`` of one field, piece by piece if it is large; NaN in pieces without data."""
    h, w = field.shape
    values = np.nan_to_num(field).astype(np.float64)
    if max(h, w) <= PIECE:
        return _inpaint(values, gaps)
    total, weight = np.zeros((h, w)), np.zeros((h, w))
    for y in starts(h, PIECE, PIECE - OVERLAP):
        for x in starts(w, PIECE, PIECE - OVERLAP):
            at = (slice(y, min(h, y + PIECE)), slice(x, min(w, x + PIECE)))
            if not np.isfinite(field[at]).any():
                continue
            rows, columns = values[at].shape
            share = np.outer(
                ramp(rows, OVERLAP if rows < h else 0), ramp(columns, OVERLAP if columns < w else 0)
            )
            wanted = (gaps[at] & domain[at]).any()
            total[at] += share * (_inpaint(values[at], gaps[at]) if wanted else values[at])
            weight[at] += share
    with np.errstate(invalid="ignore"):
        return np.where(gaps, total / weight, values)


def _inpaint(values: FloatArray, gaps: BoolArray) -> FloatArray:
    try:
        from skimage.restoration import inpaint_biharmonic
    except ImportError as error:
        raise ImputeError(
            "biharmonic needs scikit-image, which is not installed; "
            "type: pip install 'xdiffimpute[baselines]'"
        ) from error
    if gaps.all() or not gaps.any():
        return values
    # Separate gaps are separate systems: cheaper when there are few, costlier when thousands.
    _, regions = label(gaps, structure=generate_binary_structure(2, 2))
    few = 1 < regions <= FEW_REGIONS
    return np.asarray(inpaint_biharmonic(values, gaps, split_into_regions=few))
