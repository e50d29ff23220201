"""Hiding observations: the pattern's gaps, each frame its own, whatever the chunks."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xdiffimpute.exceptions import DataError
from xdiffimpute.hiding import hide
from xdiffimpute.masks import MASKS

BLOCK = MASKS.create("block", grid=(3, 3), kept=5)


@pytest.fixture
def full() -> xr.Dataset:
    values = np.random.default_rng(0).standard_normal((8, 9, 12)).astype("float32")
    values[:, 0, 0] = np.nan
    coords = {"time": pd.date_range("2020-01-01", periods=8), "lat": np.arange(9.0)}
    ds = xr.Dataset(
        {"a": (("time", "lat", "lon"), values, {"units": "K"}),
         "b": (("time", "lat", "lon"), values + 1)},
        coords | {"lon": np.arange(12.0)},
    )  # fmt: skip
    return ds.assign(name=("time", list("abcdefgh")))


def test_what_is_kept_is_untouched(full: xr.Dataset) -> None:
    gappy, hidden = hide(full, BLOCK)
    for name in ("a", "b"):
        seen = gappy[name].notnull()
        np.testing.assert_array_equal(gappy[name].values[seen], full[name].values[seen])
        assert (seen ^ hidden[name]).where(full[name].notnull(), True).all()
        assert hidden[name].mean(("lat", "lon")).values == pytest.approx(4 / 9, abs=0.01)
    xr.testing.assert_equal(hidden["a"], hidden["b"])
    assert gappy["a"].attrs == {"units": "K"} and gappy["a"].dtype == np.float32
    assert len({hidden["a"].values[k].tobytes() for k in range(8)}) > 4
    assert "name" in gappy and "name" not in hidden


def test_lazy_and_the_same_under_any_chunking(full: xr.Dataset, no_compute) -> None:
    _, expected = hide(full, BLOCK, seed=3)
    for chunks in ({"time": 3}, {"time": 1, "lat": 4}, {}):
        with no_compute():
            gappy, hidden = hide(full.chunk(chunks), BLOCK, seed=3)
        assert gappy["a"].chunks is not None
        xr.testing.assert_equal(hidden.load(), expected)
    assert not hide(full, BLOCK, seed=4)[1].equals(expected)


def test_static_and_apart(full: xr.Dataset) -> None:
    still = MASKS.create("pixel", ratio=0.5, static=True)
    _, hidden = hide(full, still)
    assert (hidden["a"] == hidden["a"].isel(time=0)).all()
    _, hidden = hide(full, MASKS.create("pixel", ratio=0.5, joint=False))
    assert not hidden["a"].equals(hidden["b"])


def test_samples_levels_and_single_frames(full: xr.Dataset) -> None:
    samples = full[["a"]].coarsen(time=4).construct(time=("sample", "time"))
    _, hidden = hide(samples, BLOCK, along="sample")
    assert hidden["a"].dims == samples["a"].dims
    assert (hidden["a"] == hidden["a"].isel(time=0)).all()
    assert not (hidden["a"] == hidden["a"].isel(sample=0)).all()
    levels = full[["a"]].expand_dims(level=[500.0, 850.0]).transpose("time", "level", "lat", "lon")
    _, hidden = hide(levels, BLOCK)
    assert (hidden["a"] == hidden["a"].isel(level=0)).all()
    _, hidden = hide(full[["a"]].isel(time=0, drop=True), BLOCK)
    assert int(hidden["a"].sum()) in (47, 48)


def test_variables_that_are_not_there(full: xr.Dataset) -> None:
    with pytest.raises(DataError, match=r"\['c'\].*there are a, b"):
        hide(full, BLOCK, variables=["c"])


def test_a_dimension_that_is_not_there(full: xr.Dataset) -> None:
    with pytest.raises(DataError, match=r"along='tiem' is no dimension.*'time'"):
        hide(full, BLOCK, along="tiem")
