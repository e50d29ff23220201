"""Samplers by name: ``SAMPLERS.create("single_pass")``. One file is one sampler."""

from __future__ import annotations

from ..registry import Registry
from .base import Sampler

__all__ = ["SAMPLERS", "Sampler"]

SAMPLERS: Registry[Sampler] = Registry("sampler", __name__, "Sampler")
