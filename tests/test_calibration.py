"""The standard error agrees with withheld errors, near and far, where much and little is known."""

import json

import numpy as np
import pytest
import torch

import xdiffimpute as xdi
from xdiffimpute.calibration import Calibration, distance_to_observed
from xdiffimpute.diffusion import DiffusionImputer


def errors(slopes, level=0.0, seed=0, count=20_000):
    """Squared errors, and the two variances that theirs is a product of powers of."""
    rng = np.random.default_rng(seed)
    network, kriging = np.exp(rng.standard_normal((2, 1, count)) - 1.0)
    true = np.exp(level) * kriging ** slopes[0] * network ** slopes[1]
    return true * rng.standard_normal(true.shape) ** 2, network, kriging, true


@pytest.mark.parametrize("slopes", [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (1.7, 0.2)])
def test_variances_are_trusted_as_far_as_the_errors_do(slopes):
    squared, network, kriging, true = errors(slopes, level=0.7)
    found = Calibration.fit(squared, network, kriging, np.ones_like(true), kriged=True)
    np.testing.assert_allclose(found.slopes[0], slopes, atol=0.05)
    within = (abs(np.log(kriging) + 1) < 1.5) & (abs(np.log(network) + 1) < 1.5)
    expected = found.variance(network, kriging)
    np.testing.assert_allclose(expected[within], true[within], rtol=0.2)


def test_spread_equals_error_at_every_distance_without_kriging():
    rng = np.random.default_rng(0)
    distance = rng.integers(1, 40, size=(2, 50_000)).astype(float)
    spread = np.stack([distance[0] ** 0.4, np.full(distance.shape[1], 3.0)])
    squared = (spread * rng.standard_normal(spread.shape)) ** 2
    network, ones = np.full(spread.shape, 4.0), np.ones_like(spread)
    found = Calibration.fit(squared, network, distance, ones, kriged=False)
    expected = found.variance(network, distance)
    for low, high in ((1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, 39)):
        here = (distance >= low) & (distance <= high)
        for c in range(2):
            ratio = expected[c, here[c]].mean() / squared[c, here[c]].mean()
            assert ratio == pytest.approx(1.0, rel=0.15)
    assert abs(found.slopes[1, 1]) < 0.05  # the second does not depend on distance


def test_cells_without_weight_do_not_count_and_few_change_nothing():
    squared, network, kriging, _ = errors((1.0, 0.0))
    weight = np.ones_like(squared)
    squared[:, ::2], weight[:, ::2] = 1e6, 0.0
    found = Calibration.fit(squared, network, kriging, weight, kriged=True)
    assert found.levels[0] == pytest.approx(0.0, abs=0.1)
    weight[:] = 0.0
    weight[:, 1:10] = 1.0
    few = Calibration.fit(squared, network, kriging, weight, kriged=True)
    np.testing.assert_allclose(few.variance(network, kriging), kriging, rtol=1e-5)
    plain = Calibration.fit(squared, network, kriging, weight, kriged=False)
    np.testing.assert_allclose(plain.variance(network, kriging), network, rtol=1e-5)


def test_errors_of_a_doubtful_climatology_are_not_put_down_to_the_fill():
    squared, network, kriging, true = errors((1.0, 0.3))
    ones, doubt = np.ones_like(true), np.where(np.arange(true.size) % 2, 0.5, 0.0)[None]
    squared *= (true + doubt) / true
    found = Calibration.fit(squared, network, kriging, ones, doubt, kriged=True)
    np.testing.assert_allclose(found.slopes[0], (1.0, 0.3), atol=0.1)
    assert found.levels[0] == pytest.approx(0.0, abs=0.1)
    assert Calibration.fit(squared, network, kriging, ones, kriged=True).levels[0] > 0.1


def test_slopes_of_few_cells_are_near_those_expected():
    wrong = []
    for seed in range(20):
        squared, network, kriging, true = errors((1.0, 0.0), seed=seed, count=25)
        found = Calibration.fit(squared, network, kriging, np.ones_like(true), kriged=True)
        wrong.append(abs(found.slopes[0] - [1.0, 0.0]).max())
    assert np.mean(wrong) < 0.25


def test_what_was_never_withheld_is_changed_as_what_was_nearest_to_it():
    squared, network, kriging, _ = errors((2.0, 0.5), level=0.3)
    found = Calibration.fit(squared, network, kriging, np.ones_like(network), kriged=True)
    (_, high), (low, top) = np.exp(found.covered[0])
    far = found.variance(np.full((1, 3), 0.4), high * np.array([[1.0, 10.0, 100.0]]))
    np.testing.assert_allclose(far[0] / far[0, 0], [1.0, 10.0, 100.0], rtol=1e-4)
    beyond = found.variance(np.array([[low, low / 50, top, top * 50]]), np.full((1, 4), 0.4))
    np.testing.assert_allclose(beyond[0, ::2], beyond[0, 1::2], rtol=1e-4)


def test_far_from_what_was_withheld_the_kriging_variance_is_not_made_smaller():
    """As in a frame without observations, where what was withheld had others beside it."""
    squared, network, kriging, _ = errors((1.0, 0.0), level=-1.2)
    kriging = np.exp(-1.0 + 0.05 * np.log(kriging))
    squared = 0.3 * kriging * np.random.default_rng(0).standard_normal(kriging.shape) ** 2
    found = Calibration.fit(squared, network, kriging, np.ones_like(network), kriged=True)
    wide = np.exp(np.linspace(-3.0, 1.5, 200))[None]
    ratio = found.variance(np.full_like(wide, network.mean()), wide) / wide
    assert ratio[0, 0] == pytest.approx(0.3, rel=0.2)
    assert ratio[0, -1] == pytest.approx(1.0, rel=0.05)
    assert (np.diff(ratio[0] * wide[0]) > 0).all()


def test_errors_of_nothing_and_errors_that_fall_with_doubt() -> None:
    squared, network, kriging, _ = errors((1.0, -1.0), count=500)
    ones = np.ones_like(network)
    found = Calibration.fit(squared, network, kriging, ones, kriged=True)
    assert (found.slopes >= 0.0).all()  # more doubt is never a smaller error
    none = Calibration.fit(np.zeros_like(squared), network, kriging, ones, kriged=True)
    assert np.isfinite(none.variance(network, kriging)).all()


def test_distances_are_those_of_the_frame():
    observed = np.zeros((2, 5, 6), dtype=bool)
    observed[0, 2, 1] = True
    distance = distance_to_observed(observed)
    assert distance[0, 2, 1] == 0 and distance[0, 2, 5] == 4
    assert distance[0, 0, 0] == pytest.approx(5**0.5)
    assert np.isinf(distance[1]).all()
    assert distance_to_observed(observed, periodic=True)[0, 2, 5] == 2
    frames_without = Calibration.unchanged(2, kriged=False).variance(np.ones((2, 5, 6)), distance)
    assert np.isfinite(frames_without).all()


def test_as_json_and_back():
    rng = np.random.default_rng(0)
    parts = rng.random(3), rng.random((3, 2)), rng.random((3, 2, 2))
    found = Calibration(*parts, True, np.array([9, 0, 40]))
    again = Calibration.from_dict(json.loads(json.dumps(found.to_dict())))
    for name in ("levels", "slopes", "covered", "kriged", "cells"):
        assert np.array_equal(getattr(again, name), getattr(found, name))


def test_a_fill_makes_its_standard_error_by_distance_and_says_so():
    ds = xdi.example(days=12)
    imputer = DiffusionImputer(steps=2, window=1, progress=False, summary=False).fit(ds)
    plain = Calibration.unchanged(1, kriged=False)
    imputer.fitted.calibration = {"single_pass": plain}
    before = imputer.fill(ds, sampler="single_pass")["sst_standard_error"]
    covered = np.array([[[-20.0, 20.0], [-20.0, 20.0]]])
    rests = np.array([77])
    steep = Calibration(np.zeros(1), np.array([[1.0, 2.0]]), covered, kriged=False, cells=rests)
    imputer.fitted.calibration = {"single_pass": steep}
    after = imputer.fill(ds, sampler="single_pass")["sst_standard_error"]
    distance = distance_to_observed(ds["sst"].notnull().values)
    gaps = ds["sst"].isnull().values & np.isfinite(distance)
    assert np.allclose((after / before).values[gaps], distance[gaps], rtol=1e-3)
    assert "errors at 77 withheld observations" in after.attrs["comment"]
    assert "not calibrated" in before.attrs["comment"]


def test_a_fill_makes_its_standard_error_from_the_kriging_variance():
    """Each frame's comes from a window in whose middle it is; chunks change nothing."""
    ds = xdi.example(days=12)
    imputer = DiffusionImputer(steps=2, window=3, progress=False, summary=False).fit(ds)
    imputer.fitted.calibration = {"single_pass": Calibration.unchanged(1, kriged=True)}
    error = imputer.fill(ds, sampler="single_pass")["sst_standard_error"].values
    lazy = imputer.fill(ds.chunk(time=5), sampler="single_pass")["sst_standard_error"].values
    gaps = ds["sst"].isnull().values & np.isfinite(error)
    np.testing.assert_allclose(lazy[gaps], error[gaps], rtol=1e-5)
    context = torch.from_numpy(ds["sst"].notnull().values.astype("float32"))
    scale = np.sqrt(np.square(imputer.fitted.statistics.scale).ravel()[0])
    first = imputer.fitted.denoiser.first
    for frame in (0, 1, 6, 11):
        start = int(np.clip(frame - 1, 0, 9))
        kriging = first.variance(context[None, None, start : start + 3])[0, 0, frame - start]
        here = gaps[frame]
        np.testing.assert_allclose(error[frame][here], scale * kriging.sqrt()[here], rtol=1e-3)
    imputer.fitted.calibration = {"single_pass": Calibration.unchanged(1, kriged=False)}
    other = imputer.fill(ds, sampler="single_pass")["sst_standard_error"].values
    assert not np.allclose(other[gaps], error[gaps], rtol=0.05)
