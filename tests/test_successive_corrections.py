"""From scattered cells to all, and how far off that is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xdiffimpute as xdi
from xdiffimpute.samplers import SAMPLERS
from xdiffimpute.successive_corrections import error_patterns, expected_error, spread_from
from xdiffimpute.transforms import Statistics


def hills(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    return np.asarray(
        np.sin(y / 5 + phase[0]) + np.cos(x / 6 + phase[1]) + np.sin((x + y) / 7 + phase[2])
    )


def test_smooth_fields_are_found_between_scattered_cells() -> None:
    known = (np.random.default_rng(0).random((40, 50)) < 0.15).astype(float)
    truth = np.stack([hills((40, 50), 1), 3.0 * hills((40, 50), 2)])
    found = spread_from(np.where(known > 0, truth, np.nan), known)
    inner = (slice(None), slice(5, -5), slice(5, -5))
    wrong = (found - truth)[inner].std(axis=(1, 2)) / truth[inner].std(axis=(1, 2))
    assert (wrong < 0.25).all()


def test_out_of_reach_nothing_is_known() -> None:
    known = np.zeros((8, 120))
    known[:, :4] = 1.0
    found = spread_from(np.full((1, 8, 120), 5.0), known)
    assert abs(found[0, :, 100:]).max() < 0.01
    np.testing.assert_allclose(found[0, :, :4], 5.0, atol=0.2)


def test_the_error_expected_is_that_found() -> None:
    ratios = []
    for seed in range(8):
        known = (np.random.default_rng(seed).random((40, 50)) < 0.1).astype(float)
        truth = hills((40, 50), seed)[None]
        expected = expected_error(np.where(known > 0, truth, 0.0), known, np.ones(1))
        wrong = (spread_from(truth * known, known) - truth)[0] ** 2
        ratios.append(expected[known == 0].mean() / wrong[known == 0].mean())
        assert not expected[known > 0].any()
    assert 0.5 < np.median(ratios) < 2.0


def test_a_hole_among_dense_cells_is_as_sure_as_its_width_allows() -> None:
    """Cells left out one by one have others next to them; a hole of seven cells has not."""
    truth = 7.0 * hills((60, 80))[None]
    known = np.ones((60, 80))
    known[20:27, 30:37] = 0.0
    expected = np.sqrt(expected_error(truth * known, known, np.ones(1)))[23, 30:37]
    wrong = abs(spread_from(truth * known, known) - truth)[0, 20:27, 30:37].max()
    assert wrong < 0.5 and expected.max() < 0.1 * truth.std()
    assert expected[3] >= expected[0]


def test_where_nothing_or_everything_is_known() -> None:
    for weight in (np.zeros((3, 4)), np.ones((3, 4))):
        assert not expected_error(np.ones((1, 3, 4)), weight, np.ones(1)).any()
    one = np.zeros((3, 4))
    one[1, 1] = 1.0
    expected = expected_error(np.full((1, 3, 4), 2.0), one, np.ones(1))
    assert expected[one == 0].min() == pytest.approx(4.0)


def test_patterns_of_errors_have_unit_variance_and_the_width_of_holes() -> None:
    seen = np.zeros((24, 32), dtype=bool)
    seen[::6, ::6] = True
    drawn = error_patterns(seen, 400, np.random.default_rng(0))
    assert not drawn[:, seen].any()
    assert drawn[:, ~seen].std() == pytest.approx(1.0, abs=0.05)
    beside = (drawn[:, 2, 1:-1] * drawn[:, 2, 2:]).mean()
    far = (drawn[:, 2, 1:12] * drawn[:, 2, 20:31]).mean()
    assert beside > 0.7 and abs(far) < 0.1
    assert abs((drawn[:, 2, 0] * drawn[:, 2, -1]).mean()) < 0.2  # ends are not neighbours
    around = error_patterns(seen, 400, np.random.default_rng(0), periodic=True)
    assert (around[:, 2, 0] * around[:, 2, -1]).mean() > 0.7  # on a globe they are
    assert around[:, ~seen].std() == pytest.approx(1.0, abs=0.05)
    few = error_patterns(seen, 2, np.random.default_rng(0))
    np.testing.assert_allclose(few, drawn[:2], atol=1e-12)
    nothing = error_patterns(np.zeros((5, 6), bool), 300, np.random.default_rng(0))
    assert nothing.std() == pytest.approx(1.0, abs=0.2)
    assert not error_patterns(np.ones((5, 6), bool), 2, np.random.default_rng(0)).any()


@pytest.fixture(scope="module")
def stations() -> tuple[xr.Dataset, np.ndarray, np.ndarray, xdi.DiffusionImputer]:
    """Values that hardly change in time: all that a fill can get wrong is the mean of a cell."""
    rng = np.random.default_rng(0)
    mean = 10.0 * hills((20, 24))
    known = rng.random((20, 24)) < 0.2
    seen = known & (rng.random((60, 20, 24)) < 0.7)
    values = mean + 0.5 * rng.standard_normal((60, 20, 24))
    ds = xr.Dataset(
        {"a": (("time", "y", "x"), np.where(seen, values, np.nan))},
        {"time": pd.date_range("2001-01-01", periods=60)},
    )
    imputer = ds.impute.fit(steps=1, window=2, statistics="cell", progress=False)
    return ds, mean, known, imputer


def everywhere(ds: xr.Dataset) -> xr.DataArray:
    return xr.ones_like(ds["a"].isel(time=0, drop=True), dtype=bool)


def test_a_fill_between_stations_has_their_climatology_and_says_how_sure_it_is(stations) -> None:
    ds, mean, known, imputer = stations
    filled = ds.impute.fill(imputer, where=everywhere(ds), progress=False)
    wrong = (filled["a"].mean("time").values - mean)[~known]
    said = np.sqrt((filled["a_standard_error"].values[:, ~known] ** 2).mean())
    assert wrong.std() < 0.35 * mean.std()
    assert 0.5 < said / np.sqrt((wrong**2).mean()) < 2.0
    at_stations = filled["a_standard_error"].where(ds["a"].isnull()).values[:, known]
    assert np.sqrt(np.nanmean(at_stations**2)) < said


def test_it_comes_back_from_a_file_and_from_dask(stations, tmp_path) -> None:
    ds, _, _, imputer = stations
    imputer.save(tmp_path / "stations.imputer")
    again = xdi.load(tmp_path / "stations.imputer")
    here = ds.impute.fill(imputer, where=everywhere(ds), progress=False)
    there = ds.chunk(time=25).impute.fill(again, where=everywhere(ds))
    for name in ("a", "a_standard_error"):
        assert there[name].chunks is not None
        np.testing.assert_allclose(there[name], here[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sampler", ["single_pass", "multi_step"])
def test_members_have_it_wrong_in_all_frames_alike(stations, sampler) -> None:
    """So that means in time of the members are as far apart as the climatology is uncertain."""
    ds, _, known, imputer = stations
    steps = SAMPLERS.create("multi_step", steps=2, members=1)
    drawn = ds.isel(time=slice(12)).impute.fill(
        imputer, where=everywhere(ds), members=24, progress=False,
        sampler=steps if sampler == "multi_step" else sampler,
    )["a"]  # fmt: skip
    statistics = imputer.fitted.statistics
    doubt = (statistics.doubt * statistics.scale)[0]
    apart = drawn.mean("time").std("realization").values
    ratio = np.sqrt((apart[~known] ** 2).mean() / (doubt[~known] ** 2).mean())
    assert 0.85 < ratio < 1.3
    assert np.sqrt((apart[known] ** 2).mean()) < 0.5 * np.sqrt((doubt[~known] ** 2).mean())


def test_it_goes_where_another_climatology_is_taken() -> None:
    """Its channels are exchanged with the coefficients, and one mean of all cells has none."""
    coefficients = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    doubt = np.where(np.arange(12).reshape(3, 4) % 2, 0.5, 0.0) * np.ones((2, 1, 1))
    count = (doubt == 0).astype(int)
    shared = {"harmonics": (), "log": np.zeros(2, bool), "floor": np.ones(2), "count": count}
    scale = np.ones((2, 1, 1))
    cell = Statistics("cell", coefficients=coefficients, scale=scale, doubt=doubt, **shared)
    variable = Statistics("variable", coefficients=np.zeros((1, 2, 1, 1)), scale=scale,
                          doubt=np.zeros((2, 1, 1)), **shared)  # fmt: skip
    second = np.array([False, True])
    mixed = variable.replaced(cell, second)
    assert not mixed.doubt[0].any() and np.array_equal(mixed.doubt[1], doubt[1])
    static = cell.without_cells(second)
    assert np.array_equal(static.doubt[0], doubt[0]) and not static.doubt[1].any()
    assert not cell.without_cells(np.array([True, True])).doubt.any()
