"""Physics that a fill is guided by, by name: ``GUIDANCES.create("shallow_water")``.

One file is one set of equations.
"""

from __future__ import annotations

from ..registry import Registry
from .base import Guidance, Penalty

__all__ = ["GUIDANCES", "Guidance", "Penalty"]

GUIDANCES: Registry[Guidance] = Registry("guidance", __name__, "Guidance")
