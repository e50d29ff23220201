"""Baselines by name: ``BASELINES.create("telea")``. One file is one method; none imports torch."""

from __future__ import annotations

from ..registry import Registry
from .base import Baseline

__all__ = ["BASELINES", "Baseline"]

BASELINES: Registry[Baseline] = Registry("baseline", __name__, "Baseline")
