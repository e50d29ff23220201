"""Withheld observations: in the shape of the gaps, never in the training data, found again."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from xdiffimpute.calendar import Clock
from xdiffimpute.masks import MASKS
from xdiffimpute.partition import Partition
from xdiffimpute.withholding import Withheld, withhold

PIXEL = Partition(MASKS.create("pixel"))


def packed(series=1, time=40, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(series, time, 2, 6, 7)).astype(np.float32)
    values[rng.random(values.shape) < 0.3] = np.nan
    return xr.DataArray(values, dims=("series", "time", "channel", "y", "x"))


def clock(n=40):
    return Clock(np.arange(n), np.zeros(n), np.zeros(n), np.array([f"t{k}" for k in range(n)]))


def test_only_observed_cells_and_about_the_asked_share():
    data = packed()
    held = withhold(data, clock(), PIXEL, window=3, fraction=0.1, seed=1)
    frames = data.values[held.series, held.time]
    assert np.isfinite(frames[held.masks]).all()
    assert 0.05 * 40 <= len(held) <= 0.2 * 40
    assert 0.1 < held.masks.sum() / np.isfinite(frames).sum() < 0.3
    again = withhold(data, clock(), PIXEL, window=3, fraction=0.1, seed=1)
    assert np.array_equal(again.masks, held.masks) and np.array_equal(again.time, held.time)


@pytest.mark.parametrize("chunks", [None, {"time": 7}, {"time": 1, "y": 2}, {"time": -1, "x": 3}])
def test_removed_whatever_the_chunks(chunks):
    data = packed(series=2)
    held = withhold(data, clock(), PIXEL, window=3, seed=0)
    removed = held.remove(data if chunks is None else data.chunk(chunks))
    assert (removed.chunks is None) == (chunks is None)
    result = removed.values
    expected = data.values.copy()
    for s, t, mask in zip(held.series, held.time, held.masks, strict=True):
        expected[s, t][mask] = np.nan
    np.testing.assert_array_equal(result, expected)
    assert np.isfinite(data.values).sum() - np.isfinite(result).sum() == held.cells


def test_removal_computes_nothing(no_compute):
    data = packed()
    held = withhold(data, clock(), PIXEL, window=3)
    lazy = data.chunk(time=5)
    with no_compute():
        assert isinstance(held.remove(lazy).data, da.Array)


def test_static_gaps_are_withheld_in_every_frame_of_a_series():
    """Otherwise the frames beside a withheld one would show what was taken out."""
    data = packed(series=12, time=6)
    partition = Partition(MASKS.create("block", grid=(2, 2), static=True))
    held = withhold(data, clock(6), partition, window=3)
    for s in np.unique(held.series):
        mine = held.series == s
        assert sorted(held.time[mine]) == list(range(6))
        blocks = held.masks[mine].any(axis=(0, 1))
        assert not np.isfinite(held.remove(data).values[s][..., blocks]).any()


def test_found_again_by_time_in_another_selection():
    data = packed()
    held = withhold(data, clock(), PIXEL, window=3)
    first = int(held.time.min())
    matched = held.matched(data.isel(time=slice(first, None)), clock().labels[first:])
    assert matched is not None and matched.time[0] == 0 and len(matched) == len(held)
    assert held.matched(data, np.array(["elsewhere"] * 40)) is None


def test_other_data_of_the_same_times_are_not_taken_for_those_of_the_fit():
    held = withhold(packed(), clock(), PIXEL, window=3)
    assert held.matched(packed(seed=1), clock().labels) is None


def test_a_series_is_recognised_wherever_it_stands():
    data = packed(series=6)
    held = withhold(data, clock(), PIXEL, window=3)
    kept = int(held.series[0])
    matched = held.matched(data.isel(series=[kept]), clock().labels)
    assert matched is not None and (matched.series == 0).all()
    assert len(matched) == (held.series == kept).sum()


@pytest.mark.parametrize("seed", range(4))
def test_drawn_where_there_are_observations(seed):
    """Three of two hundred frames are observed."""
    data = packed(time=200)
    data[:, np.setdiff1d(np.arange(200), [17, 90, 91])] = np.nan
    held = withhold(data, clock(200), PIXEL, window=3, seed=seed)
    assert held.cells > 0 and set(held.time[held.masks.any(axis=(1, 2, 3))]) <= {17, 90, 91}


def test_array_round_trip():
    held = withhold(packed(), clock(), PIXEL, window=3)
    again = Withheld.from_arrays(held.to_arrays())
    for name in ("series", "time", "labels", "masks", "sums"):
        assert np.array_equal(getattr(again, name), getattr(held, name))


def test_of_a_long_series_with_static_gaps_the_same_cells_are_withheld_throughout():
    """Without reading all of it: only a few runs of frames are looked at and judged."""
    data = packed(time=500)
    data[:] = data[:, :1].values
    partition = Partition(MASKS.create("pixel", static=True))
    held = withhold(data.chunk(time=10), clock(500), partition, window=3)
    assert 3 <= len(held) <= 140 and held.cells > 0
    (cells,) = held.cells_of_whole
    removed = held.remove(data)
    assert not np.isfinite(removed.values[0][:, cells]).any()
    assert np.isfinite(removed.values).sum() == np.isfinite(data.values).sum() - 500 * cells.sum()
    np.testing.assert_array_equal(held.remove(data.chunk(time=7, x=3)).values, removed.values)
    start = int(held.time[0])
    hidden = held.hidden(0, start, 5)
    assert (hidden == cells[:, None]).all()
    again = Withheld.from_arrays(held.to_arrays())
    assert np.array_equal(again.whole, held.whole)
    assert np.array_equal(again.cells_of_whole, held.cells_of_whole)
    matched = held.matched(data, clock(500).labels)
    assert matched is not None and np.array_equal(matched.cells_of_whole, held.cells_of_whole)
