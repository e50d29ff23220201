"""An archive in windows: every frame where it belongs, lazily, with its attributes."""

import numpy as np
import pytest
import xarray as xr

from xdiffimpute.datasets import DATASETS
from xdiffimpute.exceptions import DataError, ImputeError


@pytest.fixture(params=["nc", "zarr"])
def archive(request, tmp_path):
    shape = (8, 5, 6)
    values = np.arange(np.prod(shape), dtype="float32").reshape(shape)
    ds = xr.Dataset(
        {
            "t2m": (("valid_time", "latitude", "longitude"), values, {"units": "K"}),
            "msl": (("valid_time", "latitude", "longitude"), -values, {"units": "Pa"}),
            "z": (("latitude", "longitude"), values[0]),
        },
        coords={
            "valid_time": np.datetime64("2019-03-01", "ns") + np.arange(8) * np.timedelta64(1, "h"),
            "latitude": np.linspace(50, 46, 5),
            "longitude": np.linspace(0, 5, 6),
            "expver": ("valid_time", [1] * 8),
        },
        attrs={"Conventions": "CF-1.7"},
    )
    path = str(tmp_path / f"era5.{request.param}")
    if request.param == "nc":
        ds.to_netcdf(path)
    else:
        ds.to_zarr(path, consolidated=False)
    return path, values


def test_windows_of_three_hours(archive, no_compute):
    path, values = archive
    with no_compute():
        ds = DATASETS.create("era5", path=path).open()
    assert dict(ds.sizes) == {"sample": 2, "time": 3, "latitude": 5, "longitude": 6}
    assert set(ds.data_vars) == {"t2m", "msl"} and ds["msl"].attrs["units"] == "Pa"
    assert ds.attrs["Conventions"] == "CF-1.7"
    np.testing.assert_array_equal(ds["t2m"].values.reshape(6, 5, 6), values[:6])
    assert ds["sample"].values[1] == np.datetime64("2019-03-01T03", "ns")


def test_a_part_of_it_can_be_fitted(archive):
    path, _ = archive
    ds = DATASETS.create("era5", path=path, variables=["t2m"], window=2, shape=(4, 6)).open()
    assert dict(ds.sizes) == {"sample": 4, "time": 2, "latitude": 4, "longitude": 6}
    seen = np.random.default_rng(0).random((4, 1, 4, 6)) < 0.7
    gappy = ds.where(xr.DataArray(np.repeat(seen, 2, 1), dims=ds["t2m"].dims))
    filled = gappy.load().impute.fit(steps=1, progress=False).fill(gappy)
    assert filled["t2m"].notnull().any() and filled["t2m"].dims == ds["t2m"].dims


def test_bad_input(archive):
    path, _ = archive
    with pytest.raises(DataError, match=r"\['msl', 't2m'\].*\['tp'\]"):
        DATASETS.create("era5", path=path, variables=["tp"]).open()
    with pytest.raises(DataError, match="8 frames, fewer than window=9"):
        DATASETS.create("era5", path=path, window=9).open()
    with pytest.raises(ImputeError, match="window=0"):
        DATASETS.create("era5", path=path, window=0)
