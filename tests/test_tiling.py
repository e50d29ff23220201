"""Pieces cover every cell, and blending weights are positive and smooth."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xdiffimpute.tiling import ramp, starts


@given(st.integers(1, 400), st.integers(1, 128), st.booleans(), st.data())
def test_every_cell_is_covered(length, size, periodic, data):
    stride = data.draw(st.integers(1, size))
    size = min(size, length)
    covered = np.zeros(length, dtype=int)
    for start in starts(length, size, min(stride, size), periodic=periodic):
        index = start + np.arange(size)
        if not periodic:
            assert index[0] >= 0 and index[-1] < length
        covered[index % length] += 1
    assert covered.min() >= 1


@given(st.integers(1, 200), st.integers(0, 100))
def test_weights(size, overlap):
    weights = ramp(size, overlap)
    assert weights.shape == (size,)
    assert (weights > 0).all() and (weights <= 1).all()
    np.testing.assert_allclose(weights, weights[::-1])


def test_the_overlap_of_two_pieces_sums_to_a_constant():
    weights = ramp(32, 16)
    np.testing.assert_allclose((weights[16:] + weights[:16]), 1.0, atol=2e-3)
