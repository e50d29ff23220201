"""Numbers of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["DASH", "mean_of", "number"]

DASH = "–"
MOST_DIGITS = 12


def number(value: float, bounds: Sequence[float] = (), digits: int = 3) -> str:
    """A number with so many digits, or more, until it stands on its own side of all bounds.

    Examples
    --------
    >>> number(0.97), number(0.9998), number(0.9998, [1.0]), number(1234.5), number(999.7)
    ('0.970', '1.00', '0.9998', '1234', '1000')
    """
    text = _text(value, digits)
    while digits < MOST_DIGITS and any(
        np.sign(float(text) - b) != np.sign(value - b) for b in bounds
    ):
        digits += 1
        text = _text(value, digits)
    return text


def _text(value: float, digits: int) -> str:
    """Significant digits, zeros at the end among them; never an exponent of large numbers."""
    if np.isfinite(value) and round(abs(value)) >= 10**digits:
        return f"{value:.0f}"
    return f"{value:#.{digits}g}".rstrip(".") if value else "0"


def mean_of(values: Sequence[Any], digits: int = 3, bounds: Sequence[float] = ()) -> str:
    """Mean and standard deviation over seeds; a dash without any, or if one has no answer."""
    if not values or None in values:
        return DASH
    text = number(float(np.mean(values)), bounds, digits)
    if len(values) == 1:
        return text
    spread = float(np.std(values, ddof=1))
    return f"{text} ± {spread:.0f}" if spread >= 10 else f"{text} ± {spread:.1g}"
