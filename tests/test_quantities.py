"""Units of two datasets: what is converted, and what is refused rather than guessed."""

import numpy as np
import pytest

from xdiffimpute.exceptions import CompatibilityError
from xdiffimpute.quantities import conversion


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("degC", "K", (1.0, 273.15)),
        ("degrees_celsius", "K", (1.0, 273.15)),
        ("degree_Celsius", "degC", (1.0, 0.0)),
        ("K", "degC", (1.0, -273.15)),
        ("hPa", "Pa", (100.0, 0.0)),
        ("m s**-1", "m s-1", (1.0, 0.0)),
        ("mg m-3", "g m-3", (1e-3, 0.0)),
        ("1", "%", (100.0, 0.0)),
    ],
)
def test_factor_and_offset(source, target, expected):
    np.testing.assert_allclose(conversion("a", source, target), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("units", ["dBZ", "1e-3", "log10(mg m-3)", None])
def test_the_same_units_need_not_be_understood(units):
    assert conversion("a", units, units) == (1.0, 0.0)
    assert conversion("a", units, None) == conversion("a", None, units) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("source", "target"),
    [("psu", "1e-3"), ("1e-3", "1"), ("dBZ", "mm"), ("m", "kg"), ("mm/day", "kg m-2 s-1")],
)
def test_what_is_in_doubt_is_refused(source, target):
    with pytest.raises(CompatibilityError, match=r"'a' is in .* no conversion .*attrs\['units'\]"):
        conversion("a", source, target)
