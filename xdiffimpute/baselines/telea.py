"""Telea's fast marching fill, one frame and one channel at a time.

OpenCV's implementation is not invariant to the scale of float32 fields, so anomalies are
quantised to 16 bits over each frame's own range: an error of at most 8e-6 of that range.

References
----------
Telea, "An image inpainting technique based on the fast marching method",
J. Graphics Tools 9 (2004), doi:10.1080/10867651.2004.10487596.
"""

from __future__ import annotations

import numpy as np

from .._typing import BoolArray, FloatArray
from ..exceptions import ImputeError
from .base import Inpainting

__all__ = ["Telea"]


class Telea(Inpainting):
    """Fast marching fill of OpenCV, at 16 bits.

    Parameters
    ----------
    radius : int
        Cells around each gap cell that are used; tuned if not given.
    land : {"climatology", "free"}
        Hold cells outside the domain at the climatology, or fill them too; tuned if not given.
    **options
        See :class:`~xdiffimpute.baselines.base.Baseline`.

    Raises
    ------
    ImputeError
        If OpenCV is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from xdiffimpute.geometry import Geometry
    >>> frame = np.full((1, 5, 5), 2.0, dtype="float32")
    >>> frame[0, 2, 2] = np.nan
    >>> out = Telea().interpolate(frame, np.ones((5, 5), bool), Geometry.of((5, 5)), slice(0, 1))
    >>> round(float(out[0, 2, 2]), 4)
    2.0
    """

    name = "telea"
    knobs = {"land": ("climatology", "free"), "radius": (5, 2, 10, 20)}

    def inpaint(self, field: FloatArray, gaps: BoolArray, domain: BoolArray) -> FloatArray:
        try:
            import cv2
        except ImportError as error:
            raise ImputeError(
                "telea needs OpenCV, which is not installed; "
                "type: pip install 'xdiffimpute[baselines]'"
            ) from error
        values = np.nan_to_num(field).astype(np.float64)
        known = values[~gaps]
        low, span = known.min(), np.ptp(known)
        if span == 0.0:
            return np.full(field.shape, low)
        levels = np.round((values - low) / span * 65535.0)
        image = np.where(gaps, 0.0, levels).astype(np.uint16)
        filled = cv2.inpaint(
            image, gaps.astype(np.uint8), int(self.settings["radius"]), cv2.INPAINT_TELEA
        )
        return np.where(gaps, filled.astype(np.float64) / 65535.0 * span + low, values)
