"""Datasets by name: ``DATASETS.create("shallow_water")``. One file is one source."""

from __future__ import annotations

from ..registry import Registry
from .base import Source

__all__ = ["DATASETS", "Source"]

DATASETS: Registry[Source] = Registry("dataset", __name__, "Source")
