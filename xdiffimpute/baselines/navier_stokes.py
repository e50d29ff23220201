"""Bertalmio's fill by fluid dynamics, one frame and one channel at a time, in float32.

Lines of equal value are continued into the gap as streamlines of a flow would be.

References
----------
Bertalmio, Bertozzi and Sapiro, "Navier-Stokes, fluid dynamics, and image and video
inpainting", Proc. CVPR (2001), doi:10.1109/CVPR.2001.990497.
"""

from __future__ import annotations

import numpy as np

from .._typing import BoolArray, FloatArray
from ..exceptions import ImputeError
from .base import Inpainting

__all__ = ["NavierStokes"]


class NavierStokes(Inpainting):
    """Navier-Stokes fill of OpenCV, in float32.

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
    >>> domain, grid = np.ones((5, 5), bool), Geometry.of((5, 5))
    >>> out = NavierStokes().interpolate(frame, domain, grid, slice(0, 1))
    >>> round(float(out[0, 2, 2]), 4)
    2.0
    """

    name = "navier_stokes"
    knobs = {"land": ("climatology", "free"), "radius": (5, 2, 10, 20)}

    def inpaint(self, field: FloatArray, gaps: BoolArray, domain: BoolArray) -> FloatArray:
        try:
            import cv2
        except ImportError as error:
            raise ImputeError(
                "navier_stokes needs OpenCV, which is not installed; "
                "type: pip install 'xdiffimpute[baselines]'"
            ) from error
        image = np.ascontiguousarray(np.nan_to_num(field), dtype=np.float32)
        return np.asarray(
            cv2.inpaint(image, gaps.astype(np.uint8), int(self.settings["radius"]), cv2.INPAINT_NS)
        )
