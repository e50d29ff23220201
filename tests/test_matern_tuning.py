"""Matern covariances tuned on errors of kriging."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gamma, kv

from xdiffimpute.datasets import DATASETS
from xdiffimpute.matern import CORRELATIONS, MODELS, Matern, Model
from xdiffimpute.matern_tuning import NEIGHBOURS, Targets, best_tuned, tuned

SHAPES = {"exponential": 0.5, "matern32": 1.5, "matern52": 2.5, "matern72": 3.5, "matern92": 4.5}


def matern(shape: str, length: float, time: float = 1.0, *, smooth: bool = True) -> Matern:
    p = [-np.log(length), -np.log(length), 0.0, -np.log(time), 0.0, 0.0, 1.0]
    return Matern(Model(shape, smooth), np.array(p))


def sample(x: np.ndarray, observed: float, seed: int = 0) -> tuple[np.ndarray, ...]:
    draw = np.random.default_rng(seed).random(x.shape)
    return x, (draw < observed).astype(float), (draw > 1 - observed / 4).astype(float)


@pytest.mark.parametrize("shape", CORRELATIONS)
def test_shapes_are_those_of_matern(shape: str) -> None:
    """Against Bessel functions, Rasmussen and Williams (2006), equation 4.14."""
    nu = SHAPES[shape]
    z = np.sqrt(2 * nu) * np.linspace(0.05, 5.0, 40)
    truth = 2 ** (1 - nu) / gamma(nu) * z**nu * kv(nu, z)
    np.testing.assert_allclose(CORRELATIONS[shape](z / np.sqrt(2 * nu)), truth, atol=1e-12)


def test_scales_change_the_lags_that_a_correlation_reaches() -> None:
    p = np.array([-1.0, -0.5, 0.3, -1.5, 0.2, -0.4, 1.0])
    one = Matern(MODELS[4], p)
    lag = list(np.random.default_rng(0).normal(size=(3, 50)))
    still = Matern(MODELS[4], np.where(np.isin(np.arange(7), [4, 5]), 0.0, p))
    wide = still.scaled(space=2.0, time=3.0)
    stretched = [lag[0] * 3, lag[1] * 2, lag[2] * 2]
    np.testing.assert_allclose(wide.correlation(stretched), still.correlation(lag), atol=1e-12)
    np.testing.assert_allclose(one.correlation([-a for a in lag]), one.correlation(lag))


def test_the_length_of_a_smooth_field_is_found_from_far_off() -> None:
    source = DATASETS.create("gaussian_field", samples=6, shape=(40, 40), length=6.0, seed=0)
    x = np.asarray(next(iter(source.open().data_vars.values())).values).reshape(6, 1, 1, 40, 40)
    start = matern("matern52", 1.5)
    targets = Targets.of([sample(x, 0.3)], start, periodic=False)
    assert targets is not None
    found, noise, error = tuned(start, targets)
    assert error < 0.5 * targets.error(start, 1e-3)
    assert error == pytest.approx(targets.error(found, noise))
    best, noise = best_tuned([matern(shape, 1.5) for shape in CORRELATIONS], targets)
    assert targets.error(best, noise) <= 1.001 * error


def test_noise_is_found() -> None:
    source = DATASETS.create("gaussian_field", samples=6, shape=(40, 40), length=8.0, seed=0)
    x = np.asarray(next(iter(source.open().data_vars.values())).values).reshape(6, 1, 1, 40, 40)
    noisy = x + 0.5 * x.std() * np.random.default_rng(0).standard_normal(x.shape)
    targets = Targets.of([sample(noisy, 0.5)], matern("matern32", 6.0), periodic=False)
    assert targets is not None
    assert tuned(matern("matern32", 6.0), targets)[1] >= 0.05


def test_targets_see_across_the_seam_of_a_globe() -> None:
    """On a ring the values across the seam are nearest to those beside it."""
    ring = np.cos(np.arange(48) * 2 * np.pi / 48) * np.ones((1, 1, 1, 12, 48))
    context = np.ones_like(ring)
    context[..., -3:] = 0.0
    query = np.zeros_like(ring)
    query[..., -1] = 1.0
    start = matern("matern52", 6.0)
    errors = []
    for periodic in (True, False):
        targets = Targets.of([(ring, context, query)], start, periodic=periodic)
        assert targets is not None
        errors.append(targets.error(start, 1e-5))
    assert errors[0] < 0.01 * errors[1]


@pytest.mark.parametrize(("width", "periodic"), [(16, False), (6, True)])
def test_an_observation_counts_once_in_an_estimate(width: int, periodic: bool) -> None:
    """Nor again from the other side of a narrow globe."""
    x = np.random.default_rng(0).standard_normal((2, 1, 3, 16, width))
    targets = Targets.of([sample(x, 0.4)], matern("matern32", 3.0, 2.0), periodic=periodic)
    assert targets is not None
    for lags in targets.lags:
        near = lags[abs(lags).max(axis=1) < 1000]
        near[:, 2] %= width if periodic else 1000
        assert len(np.unique(near, axis=0)) == len(near) >= (1 if periodic else NEIGHBOURS)


def test_single_frames_have_no_time_to_tune() -> None:
    x = np.random.default_rng(0).standard_normal((2, 1, 1, 16, 16))
    targets = Targets.of([sample(x, 0.4)], matern("matern32", 3.0), periodic=False)
    assert targets is not None and not targets.lags[..., 0].any()


def test_a_brief_time_scale_is_found_from_a_long_one() -> None:
    """Frames that have nothing to do with each other, which no small step would show."""
    source = DATASETS.create("gaussian_field", samples=24, shape=(24, 24), length=5.0, seed=0)
    values = np.asarray(next(iter(source.open().data_vars.values())).values)
    x = values.reshape(4, 6, 24, 24)[:, None]
    start = matern("matern52", 5.0, 40.0)
    targets = Targets.of([sample(x, 0.5)], start, periodic=False)
    assert targets is not None
    best, noise = best_tuned([start], targets)
    assert targets.error(best, noise) <= 1.01 * targets.error(matern("matern52", 5.0, 0.2), 1e-6)


def test_too_few_observations_to_tune_on() -> None:
    x = np.ones((1, 1, 1, 8, 8))
    context = np.zeros_like(x)
    context[..., 0, :4] = 1
    assert Targets.of([(x, context, 1 - context)], matern("matern32", 3.0), periodic=False) is None
