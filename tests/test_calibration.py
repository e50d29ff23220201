"""The standard error agrees with withheld errors, at every distance from an observation."""

import numpy as np
import pytest

import xdiffimpute as xdi
from xdiffimpute.calibration import CENTRES, Calibration, distance_to_observed
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


def test_a_class_with_few_cells_is_drawn_to_the_mean_of_all():
    squared, variance, distance, weight = errors()
    distance[:] = 1.0
    distance[:, :3] = np.inf
    squared[:] = 4.0
    squared[:, :3] = 400.0
    found = Calibration.fit(squared, variance, distance, weight).factors
    assert found[:, :-1] == pytest.approx(1.0, rel=0.02) and (found[:, -1] < 3.0).all()


def test_distances_are_those_of_the_frame():
    observed = np.zeros((2, 5, 6), dtype=bool)
    observed[0, 2, 1] = True
    distance = distance_to_observed(observed)
    assert distance[0, 2, 1] == 0 and distance[0, 2, 5] == 4
    assert distance[0, 0, 0] == pytest.approx(5**0.5)
    assert np.isinf(distance[1]).all()
    assert distance_to_observed(observed, periodic=True)[0, 2, 5] == 2


def test_as_json_and_back():
    found = Calibration(np.random.default_rng(0).random((3, len(CENTRES))))
    assert np.array_equal(Calibration.from_list(found.to_list()).factors, found.factors)


def test_a_fill_scales_its_standard_error_by_distance_and_says_so():
    ds = xdi.example(days=12)
    imputer = DiffusionImputer(steps=2, window=1, progress=False, summary=False).fit(ds)
    imputer.fitted.calibration = {"single_pass": Calibration(np.ones((1, len(CENTRES))))}
    plain = imputer.fill(ds, sampler="single_pass")["sst_standard_error"]
    imputer.fitted.calibration = {"single_pass": Calibration(CENTRES[None].copy())}
    scaled = imputer.fill(ds, sampler="single_pass")["sst_standard_error"]
    distance = distance_to_observed(ds["sst"].notnull().values)
    gaps = ds["sst"].isnull().values & np.isfinite(distance)
    assert np.allclose((scaled / plain).values[gaps], distance[gaps], rtol=0.08)
    count = imputer.fitted.withheld.cells
    assert f"errors at {count} withheld observations" in scaled.attrs["comment"]
