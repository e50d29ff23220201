"""Shares of what is observed, against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from xdiffimpute.coverage import coverage


def test_shares_are_counted_over_the_right_cells(gappy: xr.Dataset) -> None:
    found = coverage(gappy)
    seen = gappy["sst"].notnull().values
    np.testing.assert_allclose(found["sst_in_space"].values, seen.mean(axis=0))
    land = ~seen.any(axis=0)
    assert land.sum() == 2 and (found["sst_in_space"].values[land] == 0).all()
    # A share in time leaves the land out.
    np.testing.assert_allclose(found["sst_in_time"].values, seen[:, ~land].mean(axis=1))
    assert found["sst_in_time"].attrs["units"] == "1" and "time" in found["sst_in_time"].coords


def test_lazy_data_are_read_once_and_give_the_same(gappy: xr.Dataset) -> None:
    reads: list[int] = []

    def note(block: np.ndarray) -> np.ndarray:
        reads.append(1)
        return block

    lazy = gappy.chunk(time=5)
    lazy["sst"] = lazy["sst"].copy(data=lazy["sst"].data.map_blocks(note, meta=np.empty((0, 0, 0))))
    xr.testing.assert_allclose(coverage(lazy), coverage(gappy))
    assert len(reads) == 4


def test_further_dims_are_averaged_and_channels_have_their_own_land(gappy: xr.Dataset) -> None:
    deep = gappy["sst"].where(gappy["lat"] > 42)
    levels = xr.concat([gappy["sst"], deep], "level").to_dataset(name="t")
    found = coverage(levels, {"extra_dims": "channels"})
    seen = levels["t"].notnull().values
    ever = seen.any(axis=1)
    expected = [seen[:, k][ever].mean() for k in range(20)]
    np.testing.assert_allclose(found["t_in_time"].values, expected)
    assert found["t_in_space"].dims == ("lat", "lon")


def test_a_single_frame_has_no_share_in_time(gappy: xr.Dataset) -> None:
    assert list(coverage(gappy.isel(time=0, drop=True)).data_vars) == ["sst_in_space"]


def test_without_fields_it_says_so() -> None:
    with pytest.raises(ValueError, match="axis"):
        coverage(xr.Dataset({"a": ("q", [1.0])}))
