"""The turbulence solves its equations, conserves what it should, and cascades."""

import numpy as np
import pytest

from xdiffimpute.datasets import DATASETS
from xdiffimpute.datasets.turbulence import LENGTH, Turbulence, integrate
from xdiffimpute.exceptions import ImputeError

FREE = {"viscosity": 0.0, "drag": 0.0}


def grid(n):
    centres = (np.arange(n) + 0.5) * LENGTH / n
    return np.meshgrid(centres, centres, indexing="ij")


def energy_and_enstrophy(vorticity):
    n = vorticity.shape[-1]
    ky, kx = np.fft.fftfreq(n, 1 / n)[:, None], np.fft.fftfreq(n, 1 / n)[None]
    power = np.abs(np.fft.fft2(vorticity)) ** 2 / n**4
    square = np.where(kx**2 + ky**2 > 0, kx**2 + ky**2, np.inf)
    return 0.5 * (power / square).sum(), 0.5 * power.sum()


def test_a_decaying_vortex_lattice_is_exact():
    y, x = grid(32)
    start = np.cos(2 * x) + np.cos(2 * y)
    *_, end = integrate(start, 0.0, viscosity=0.05, drag=0.1, interval=1.0, frames=3)
    np.testing.assert_allclose(end, start * np.exp(-2 * (0.05 * 4 + 0.1)), atol=1e-10)


def test_energy_and_enstrophy_are_conserved_without_friction():
    start, _ = Turbulence(samples=1, shape=(64, 64), seed=3)._start(0)
    states = list(integrate(start, 0.0, interval=0.25, frames=5, **FREE))
    found = np.array([energy_and_enstrophy(s) for s in states])
    np.testing.assert_allclose(found, np.broadcast_to(found[0], found.shape), rtol=2e-4)
    assert np.abs(states[-1] - states[0]).max() > 1.0  # and yet it moves


def test_converges_at_fourth_order_in_time():
    start, forcing = Turbulence(samples=1, shape=(32, 32), seed=1)._start(0)

    def end(steps):
        options = {"viscosity": 1e-3, "interval": 0.4, "frames": 2, "steps": steps}
        *_, state = integrate(start, forcing, **options)
        return state

    exact = end(256)
    errors = [np.abs(end(steps) - exact).max() for steps in (16, 32)]
    assert 3.5 < np.log2(errors[0] / errors[1]) < 4.5


def test_the_cascade_has_the_slope_of_stirred_flow():
    ds = Turbulence(samples=4, shape=(64, 64), frames=20, seed=0).open()
    n = 64
    ky, kx = np.fft.fftfreq(n, 1 / n)[:, None], np.fft.fftfreq(n, 1 / n)[None]
    size = np.hypot(kx, ky)
    power = (np.abs(np.fft.fft2(ds.vorticity.values)) ** 2).mean(axis=(0, 1))
    spectrum = np.array([(power / np.maximum(size, 1) ** 2)[np.round(size) == k].sum()
                         for k in range(22)])  # fmt: skip
    band = np.arange(5, 15)
    slope = np.polyfit(np.log(band), np.log(spectrum[band]), 1)[0]
    assert -5.5 < slope < -2.5  # -3 in theory, steeper with vortices and viscosity
    assert np.isfinite(ds.vorticity).all() and 1.0 < float(ds.vorticity.std()) < 10.0


def test_samples_do_not_depend_on_how_many_there_are():
    few = Turbulence(samples=1, shape=(16, 16), frames=2).open()
    many = Turbulence(samples=2, shape=(16, 16), frames=2).open()
    np.testing.assert_allclose(few.vorticity, many.vorticity[:1], atol=1e-3)


def test_beyond_the_stable_range():
    start = 50.0 * np.cos(grid(16)[1])
    with pytest.raises(ImputeError, match=r"steps=1 lets the current cross .* or leave it out"):
        list(integrate(start, 0.0, viscosity=1e-3, interval=1.0, frames=2, steps=1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shape": (16, 32)}, "not square"),
        ({"shape": (8, 8)}, "rows=8"),
        ({"viscosity": -1.0}, "viscosity=-1.0 is not positive"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ImputeError, match=message):
        DATASETS.create("turbulence", **settings)
