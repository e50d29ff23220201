"""Backbones by name: ``BACKBONES.create("unet", ...)``. One file is one network."""

from __future__ import annotations

from ..registry import Registry
from .base import Backbone

__all__ = ["BACKBONES", "Backbone"]

BACKBONES: Registry[Backbone] = Registry("backbone", __name__, "Backbone")
