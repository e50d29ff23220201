"""Scores of a filled dataset by name: ``METRICS.create("rmse")(filled, truth)``."""

from __future__ import annotations

from ..registry import Registry
from .base import Metric

__all__ = ["METRICS", "Metric"]

METRICS: Registry[Metric] = Registry("metric", __name__, "Metric")
