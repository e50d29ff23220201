"""From scattered cells to all, and how far off that is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xdiffimpute.successive_corrections import expected_error, spread_from


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


def test_a_fill_between_stations_has_their_climatology_and_says_how_sure_it_is() -> None:
    """Values that hardly change in time: all that a fill can get wrong is the mean of a cell."""
    rng = np.random.default_rng(0)
    mean = 10.0 * hills((20, 24))
    stations = rng.random((20, 24)) < 0.2
    seen = stations & (rng.random((60, 20, 24)) < 0.7)
    values = mean + 0.5 * rng.standard_normal((60, 20, 24))
    ds = xr.Dataset(
        {"a": (("time", "y", "x"), np.where(seen, values, np.nan))},
        {"time": pd.date_range("2001-01-01", periods=60)},
    )
    imputer = ds.impute.fit(steps=1, window=2, statistics="cell", progress=False)
    everywhere = xr.ones_like(ds["a"].isel(time=0, drop=True), dtype=bool)
    filled = ds.impute.fill(imputer, where=everywhere, progress=False)
    wrong = (filled["a"].mean("time").values - mean)[~stations]
    said = np.sqrt((filled["a_standard_error"].values[:, ~stations] ** 2).mean())
    assert wrong.std() < 0.35 * mean.std()
    assert 0.5 < said / np.sqrt((wrong**2).mean()) < 2.0
    at_stations = filled["a_standard_error"].where(ds["a"].isnull()).values[:, stations]
    assert np.sqrt(np.nanmean(at_stations**2)) < said
