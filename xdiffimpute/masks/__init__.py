"""Mask patterns by name: ``MASKS.create("pixel")``. One file is one pattern."""

from __future__ import annotations

from ..registry import Registry
from .base import MaskPattern

__all__ = ["MASKS", "MaskPattern"]

MASKS: Registry[MaskPattern] = Registry("mask pattern", __name__, "MaskPattern")
