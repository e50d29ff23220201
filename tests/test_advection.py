"""The tracer goes where the wind carries it."""

import numpy as np
import pytest

from xdiffimpute.datasets import DATASETS
from xdiffimpute.datasets.advection import INTERVAL, SPACING, Advection, propagate
from xdiffimpute.exceptions import ImputeError


def carried(start, u, v, time, spacing):
    """The exact solution of a band-limited start: a shift of its Fourier modes."""
    ky, kx = (2 * np.pi * np.fft.fftfreq(n, spacing) for n in start.shape)
    phase = np.exp(-1j * (ky[:, None] * v + kx * u) * time)
    return np.fft.ifft2(np.fft.fft2(start) * phase).real


@pytest.mark.parametrize("sample", range(4))
def test_follows_the_exact_solution(sample):
    source = Advection(samples=4, frames=50, seed=2)
    ds = source.open().isel(sample=sample)
    start, (u, v) = source._start(sample)
    assert float(ds.u) == u and float(ds.v) == v
    exact = carried(start, u, v, 49 * INTERVAL, SPACING)
    assert np.sqrt(np.mean((ds.c.values[-1] - exact) ** 2)) < 0.03


def error_of(cells):
    """Relative error of a wave after 10 h on a box of 1600 km."""
    spacing = 1.6e6 / cells
    centres = (np.arange(cells) + 0.5) * spacing
    start = np.sin(2 * np.pi * (centres[:, None] + 2 * centres) / 1.6e6)
    *_, end = propagate(start, 20.0, -15.0, spacing=spacing, interval=3600.0, frames=11, steps=32)
    return np.abs(end - carried(start, 20.0, -15.0, 36000.0, spacing)).max()


def test_converges_at_the_order_of_the_scheme():
    order = np.log2(error_of(16) / error_of(32))
    assert 4.5 < order < 5.5


def test_amount_is_conserved_and_extremes_do_not_grow():
    ds = Advection(samples=3, frames=30).open()
    total = ds.c.astype("float64").sum(("y", "x"))
    np.testing.assert_allclose(total, np.repeat(total.values[:, :1], 30, axis=1), atol=1e-2)
    variance = ds.c.var(("y", "x"))
    assert float((variance / variance.isel(time=0)).max()) < 1.0 + 1e-4


def test_winds_of_both_signs_in_one_batch():
    rng = np.random.default_rng(0)
    both = rng.normal(size=(2, 8, 8))
    wind = np.array([10.0, -10.0])[:, None, None]
    options = {"spacing": SPACING, "interval": 900.0, "frames": 4}
    *_, together = propagate(both, wind, -wind, **options)
    for k in range(2):
        *_, alone = propagate(both[k], wind[k, 0, 0], -wind[k, 0, 0], **options)
        np.testing.assert_allclose(together[k], alone, atol=1e-12)


def test_samples_do_not_depend_on_how_many_there_are():
    few, many = Advection(samples=2, frames=3).open(), Advection(samples=70, frames=3).open()
    np.testing.assert_allclose(few.c, many.c.isel(sample=slice(0, 2)), atol=1e-6)


def test_beyond_the_stable_range():
    with pytest.raises(ImputeError, match=r"steps=1 lets the wind move 2.00 cells.*steps=4"):
        list(
            propagate(
                np.zeros((8, 8)), 100.0, 0.0, spacing=50e3, interval=1000.0, frames=2, steps=1
            )
        )


def test_by_name_and_described():
    ds = DATASETS.create("advection", samples=1, shape=(6, 8), frames=2).open()
    assert ds.c.dims == ("sample", "time", "y", "x") and ds.c.dtype == np.float32
    assert ds.u.attrs["units"] == "m s-1" and ds.attrs["Conventions"] == "CF-1.8"
    with pytest.raises(ImputeError, match="rows=4"):
        Advection(shape=(4, 8))
