"""Draws follow the covariance, and the posterior is that of the textbook."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import special

from xdiffimpute.axes import Axes, find_axes
from xdiffimpute.datasets import DATASETS
from xdiffimpute.datasets.gaussian_field import GaussianField
from xdiffimpute.exceptions import DataError, ImputeError

SMOOTHNESS = [0.5, 1.5, 2.5]


def observe(source: GaussianField, share: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return source.open()["field"].values[0], rng.random(source.shape) < share


@pytest.mark.parametrize("nu", SMOOTHNESS)
def test_covariance_is_matern(nu: float) -> None:
    """Against the definition with Bessel functions, from the first cell to all others."""
    source = GaussianField(shape=(5, 7), length=3.0, smoothness=nu)
    covariance = source.covariance()
    y, x = np.divmod(np.arange(1, 35), 7)
    s = np.sqrt(2 * nu) * np.hypot(y, x) / 3.0
    matern = 2 ** (1 - nu) / special.gamma(nu) * s**nu * special.kv(nu, s)
    np.testing.assert_allclose(covariance[0, 1:], matern, rtol=1e-10)
    np.testing.assert_allclose(np.diag(covariance), 1, rtol=1e-7)
    np.testing.assert_array_equal(covariance, covariance.T)


@pytest.mark.parametrize("nu", SMOOTHNESS)
def test_draws_have_the_covariance(nu: float) -> None:
    count = 8000
    source = GaussianField(samples=count, shape=(6, 5), length=2.0, smoothness=nu, seed=4)
    fields = source.open()["field"].values.reshape(count, -1).astype(float)
    covariance = source.covariance()
    # Standard deviation of an estimated covariance of a Gaussian with known mean.
    spread = np.sqrt((covariance**2 + 1) / count)
    score = (fields.T @ fields / count - covariance) / spread
    assert np.abs(score).max() < 4.5
    assert np.abs(fields.mean(axis=0)).max() < 4.5 / np.sqrt(count)


@pytest.mark.parametrize("nu", SMOOTHNESS)
def test_posterior_is_that_of_brute_force(nu: float) -> None:
    source = GaussianField(samples=1, shape=(6, 7), length=2.5, smoothness=nu)
    values, seen = observe(source)
    mean, variance = source.posterior(values, seen)
    k, o = source.covariance(), seen.ravel()
    gain = k[:, o] @ np.linalg.inv(k[np.ix_(o, o)])
    np.testing.assert_allclose(mean.ravel(), gain @ values.ravel()[o], atol=1e-6)
    np.testing.assert_allclose(variance.ravel(), np.diag(k - gain @ k[o]), atol=1e-6)
    # The same by the other route: the precision of the hidden cells.
    hidden = np.linalg.inv(np.linalg.inv(k)[np.ix_(~o, ~o)])
    np.testing.assert_allclose(variance.ravel()[~o], np.diag(hidden), atol=1e-5)


def test_posterior_keeps_what_is_observed() -> None:
    source = GaussianField(samples=1, shape=(8, 8))
    values, seen = observe(source)
    mean, variance = source.posterior(np.where(seen, values, np.nan), seen)
    np.testing.assert_array_equal(mean[seen], values[seen])
    np.testing.assert_array_equal(variance[seen], 0)
    assert np.isfinite(mean).all() and (variance[~seen] > 0).all()


def test_posterior_of_nothing_and_of_all() -> None:
    source = GaussianField(samples=1, shape=(5, 4))
    values, _ = observe(source)
    mean, variance = source.posterior(values, np.zeros((5, 4), bool))
    np.testing.assert_array_equal(mean, 0)
    np.testing.assert_allclose(variance, 1, rtol=1e-7)
    mean, variance = source.posterior(values, np.ones((5, 4), bool))
    np.testing.assert_array_equal(mean, values)
    np.testing.assert_array_equal(variance, 0)


def test_posterior_is_calibrated() -> None:
    """Over many draws, squared errors at hidden cells average to the variance."""
    source = GaussianField(samples=400, shape=(10, 10), length=3.0, smoothness=1.5, seed=2)
    fields = source.open()["field"].values
    rng = np.random.default_rng(0)
    scores = []
    for field in fields:
        seen = rng.random(field.shape) < 0.4
        mean, variance = source.posterior(field, seen)
        scores.append(np.mean((mean - field)[~seen] ** 2 / variance[~seen]))
    assert np.mean(scores) == pytest.approx(1, abs=4 * np.std(scores) / np.sqrt(len(scores)))


def test_large_smooth_fields_can_be_conditioned() -> None:
    source = GaussianField(samples=1, shape=(32, 32), length=12.0, smoothness=2.5)
    values, seen = observe(source)
    mean, variance = source.posterior(values, seen)
    assert np.abs(mean - values).max() < 0.5 and (variance >= 0).all() and variance.max() < 0.1


def test_seed_decides_and_samples_stand_alone() -> None:
    one = GaussianField(samples=3, shape=(8, 6), seed=1).open()
    xr.testing.assert_identical(one, GaussianField(samples=3, shape=(8, 6), seed=1).open())
    more = GaussianField(samples=5, shape=(8, 6), seed=1).open()
    np.testing.assert_allclose(more["field"][:3], one["field"], atol=1e-6)
    other = GaussianField(samples=3, shape=(8, 6), seed=2).open()
    assert not np.allclose(one["field"], other["field"], atol=0.1)


def test_is_described_by_cf() -> None:
    ds = DATASETS.create("gaussian_field", samples=2, shape=(4, 6)).open()
    assert ds["field"].dims == ("sample", "y", "x") and ds["field"].shape == (2, 4, 6)
    assert ds["field"].dtype == np.float32 and ds["field"].attrs["units"] == "1"
    assert ds.attrs["Conventions"] == "CF-1.8"
    assert find_axes(ds) == Axes(None, "y", "x")


@pytest.mark.parametrize(
    "options",
    [{"samples": 0}, {"shape": (0, 8)}, {"shape": (8,)}, {"length": 0.0}, {"length": np.nan},
     {"smoothness": 2.0}, {"seed": -1}],
)  # fmt: skip
def test_bad_settings_are_named(options: dict[str, object]) -> None:
    with pytest.raises(ImputeError, match="pass "):
        GaussianField(**options)


def test_bad_observations_are_named() -> None:
    source = GaussianField(samples=1, shape=(4, 4))
    with pytest.raises(DataError, match="one field of shape"):
        source.posterior(np.zeros((2, 4, 4)), np.ones((2, 4, 4), bool))
    with pytest.raises(DataError, match="2 observed cells are not finite"):
        source.posterior(
            np.array([[np.nan, np.inf, 0, 0]] + [[0.0] * 4] * 3), np.ones((4, 4), bool)
        )
