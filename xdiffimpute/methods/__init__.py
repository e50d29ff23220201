"""Ways of learning from incomplete data, by name: ``ds.impute.fit(method="paper")``."""

from __future__ import annotations

from ..registry import Registry
from .base import Method

__all__ = ["METHODS", "Method"]

METHODS: Registry[Method] = Registry("method", __name__, "Method")
