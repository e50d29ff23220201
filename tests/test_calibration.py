"""The standard error agrees with withheld errors, at every distance from an observation."""

import json

import numpy as np
import pytest
import torch

import xdiffimpute as xdi
from xdiffimpute.calibration import CENTRES, SHARES, Calibration, distance_to_observed
from xdiffimpute.diffusion import DiffusionImputer


def errors(seed=0, count=100_000):
    """Errors that grow with distance, for which one variance was given, and another channel's."""
    rng = np.random.default_rng(seed)
    distance = rng.integers(1, 40, size=(2, count)).astype(float)
    spread = np.stack([1 + 0.2 * distance[0], np.full(count, 3.0)])
    squared = (spread * rng.standard_normal((2, count))) ** 2
    return squared, np.full((2, count), 4.0), distance, np.ones((2, count))


def test_spread_equals_error_at_every_distance():
    squared, variance, distance, weight = errors()
    found = Calibration.fit(squared, variance, distance, weight)
    expected = variance * found.factor(distance) ** 2
    for low, high in ((1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, 32), (1, 40)):
        for c in range(2):
            here = (distance[c] >= low) & (distance[c] <= high)
            assert expected[c, here].mean() == pytest.approx(squared[c, here].mean(), rel=0.25)
    assert np.ptp(found.factors[1]) < 0.2  # that of the second does not depend on distance


def test_cells_without_weight_do_not_count_and_few_say_nothing():
    squared, variance, distance, weight = errors()
    squared[:, ::2], weight[:, ::2] = 1e6, 0.0
    found = Calibration.fit(squared, variance, distance, weight)
    assert found.factors.max() < 5
    weight[:] = 0.0
    weight[:, :5] = 1.0
    assert (Calibration.fit(squared, variance, distance, weight).factors == 1.0).all()


def test_a_class_with_few_cells_follows_those_beside_it():
    squared, variance, distance, weight = errors()
    distance[:] = 1.0
    squared[:] = 16.0
    found = Calibration.fit(squared, variance, distance, weight).factors
    assert found[:, 0] == pytest.approx(2.0, rel=0.02)
    assert (np.diff(found) < 0).all()  # farther, with less reason to change anything
    assert (found[:, -1] > 1.0).all() and (found[:, -1] < 1.1).all()
    distance[:, :3] = np.inf
    squared[:, :3] = 400.0
    few = Calibration.fit(squared, variance, distance, weight).factors
    assert (found[:, -1] < few[:, -1]).all() and (few[:, -1] < 3.0).all()  # and not 10


def test_distances_are_those_of_the_frame():
    observed = np.zeros((2, 5, 6), dtype=bool)
    observed[0, 2, 1] = True
    distance = distance_to_observed(observed)
    assert distance[0, 2, 1] == 0 and distance[0, 2, 5] == 4
    assert distance[0, 0, 0] == pytest.approx(5**0.5)
    assert np.isinf(distance[1]).all()
    assert distance_to_observed(observed, periodic=True)[0, 2, 5] == 2


def test_as_json_and_back():
    rng = np.random.default_rng(0)
    found = Calibration(rng.random((3, len(CENTRES))), rng.random(3))
    again = Calibration.from_dict(json.loads(json.dumps(found.to_dict())))
    assert np.array_equal(again.factors, found.factors)
    assert np.array_equal(again.shares, found.shares)


@pytest.mark.parametrize("share", SHARES)
def test_the_likeliest_variance_is_taken(share):
    """Errors whose variance is one of the network, of kriging, or between; of both alike, one."""
    rng = np.random.default_rng(1)
    variance, kriging = np.exp(rng.standard_normal((2, 1, 20_000)))
    true = variance**share * kriging ** (1 - share)
    squared = 4.0 * true * rng.standard_normal(true.shape) ** 2
    ones = np.ones_like(true)
    found = Calibration.fit(squared, variance, ones, ones, kriging)
    assert found.shares == [share] and found.needs_kriging == (share < 1)
    assert found.factor(np.ones((1, 1))) == pytest.approx(2.0, rel=0.05)
    np.testing.assert_allclose(found.combined(variance, kriging), true)
    assert Calibration.fit(squared, variance, ones, ones).shares == [1.0]


def test_a_fill_scales_its_standard_error_by_distance_and_says_so():
    ds = xdi.example(days=12)
    imputer = DiffusionImputer(steps=2, window=1, progress=False, summary=False).fit(ds)
    imputer.fitted.calibration = {
        "single_pass": Calibration(np.ones((1, len(CENTRES))), np.ones(1))
    }
    plain = imputer.fill(ds, sampler="single_pass")["sst_standard_error"]
    imputer.fitted.calibration = {"single_pass": Calibration(CENTRES[None].copy(), np.ones(1))}
    scaled = imputer.fill(ds, sampler="single_pass")["sst_standard_error"]
    distance = distance_to_observed(ds["sst"].notnull().values)
    gaps = ds["sst"].isnull().values & np.isfinite(distance)
    assert np.allclose((scaled / plain).values[gaps], distance[gaps], rtol=0.08)
    count = imputer.fitted.withheld.cells
    assert f"errors at {count} withheld observations" in scaled.attrs["comment"]


def test_a_fill_makes_its_standard_error_from_the_kriging_variance():
    """Each frame's comes from a window in whose middle it is; chunks change nothing."""
    ds = xdi.example(days=12)
    imputer = DiffusionImputer(steps=2, window=3, progress=False, summary=False).fit(ds)
    factors = np.ones((1, len(CENTRES)))
    imputer.fitted.calibration = {"single_pass": Calibration(factors, np.zeros(1))}
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
    imputer.fitted.calibration = {"single_pass": Calibration(factors, np.ones(1))}
    other = imputer.fill(ds, sampler="single_pass")["sst_standard_error"].values
    assert not np.allclose(other[gaps], error[gaps], rtol=0.05)
