"""Tables of observations onto grids: the right cell, the right frame, nothing invented."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xdiffimpute.exceptions import DataError
from xdiffimpute.gridding import grid_table


@pytest.fixture
def grid() -> xr.Dataset:
    time = pd.date_range("2020-01-01", periods=3)
    return xr.Dataset(
        {"like": (("time", "lat", "lon"), np.zeros((3, 4, 5)))},
        {"time": time, "lat": [10.0, 11, 12, 13], "lon": [176.0, 178, 180, 182, 184]},
    )


def table(rows: list[tuple[str, float, float, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["time", "lat", "lon", "sst"])
    return frame.assign(time=pd.to_datetime(frame["time"]))


def test_means_in_cells_and_frames(grid: xr.Dataset) -> None:
    rows = [
        ("2020-01-01T06", 10.4, 176.9, 1.0), ("2020-01-01T11", 9.7, 175.2, 3.0),
        ("2020-01-01T13", 10.0, 176.0, 7.0), ("2020-01-03T00", 13.0, -176.0, 5.0),
    ]  # fmt: skip
    ds = grid_table(table(rows), grid, attrs={"sst": {"units": "degC"}})
    assert ds["sst"].dims == ("time", "lat", "lon")
    assert ds["sst"].values[0, 0, 0] == 2.0 and ds["sst_count"].values[0, 0, 0] == 2
    assert ds["sst"].values[1, 0, 0] == 7.0
    assert ds["sst"].values[2, 3, 4] == 5.0
    assert int(ds["sst"].notnull().sum()) == 3 and int(ds["sst_count"].sum()) == 4
    assert ds["sst"].attrs == {"units": "degC", "ancillary_variables": "sst_count"}
    xr.testing.assert_identical(ds["lat"], grid["lat"])


def test_every_cell_gets_what_lies_in_it() -> None:
    """Against plain binning by the edges of the cells, at random places."""
    rng = np.random.default_rng(0)
    lat, lon = np.linspace(40, 44, 9), np.linspace(-10, -5, 11)
    n = 2000
    places = pd.DataFrame({
        "time": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.uniform(0, 72, n), unit="h"),
        "lat": rng.uniform(39.75, 44.25, n), "lon": rng.uniform(-10.25, -4.75, n),
        "a": rng.standard_normal(n), "b": rng.standard_normal(n),
    })  # fmt: skip
    ds = grid_table(places, xr.Dataset(coords={"lat": lat, "lon": lon}), every="1D")
    edges = [np.arange(4) * 24.0, np.r_[lat - 0.25, 44.25], np.r_[lon - 0.25, -4.75]]
    hours = (places["time"] - pd.Timestamp("2020-01-01")) / pd.Timedelta("1h")
    points = np.stack([hours, places["lat"], places["lon"]], axis=1)
    for name in ("a", "b"):
        total, _ = np.histogramdd(points, edges, weights=places[name])
        count, _ = np.histogramdd(points, edges)
        same = ds[f"{name}_count"].values == count
        assert same.mean() > 0.99  # on the sphere, edges of cells are not quite parallels
        np.testing.assert_allclose((ds[name] * ds[f"{name}_count"]).values[same & (count > 0)],
                                   total[same & (count > 0)], atol=1e-9)  # fmt: skip
    assert int(ds["a_count"].sum()) == n


def test_what_is_outside_is_left_out(grid: xr.Dataset, caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        ("2020-01-02", 11.0, 178.0, 1.0), ("2020-01-02", 20.0, 178.0, 9.0),
        ("2020-01-02", 11.0, 100.0, 9.0), ("2021-01-02", 11.0, 178.0, 9.0),
        ("2020-01-02", np.nan, 178.0, 9.0), ("2020-01-02", 95.0, 178.0, 9.0),
        ("2020-01-02", 11.0, 178.0, np.nan),
    ]  # fmt: skip
    with caplog.at_level("INFO", logger="xdiffimpute"):
        ds = grid_table(table(rows), grid)
    assert ds["sst"].values[1, 1, 1] == 1.0
    assert int(ds["sst_count"].sum()) == 1
    assert "5 of 7 observations lie outside" in caplog.text


def test_curvilinear_grid() -> None:
    y, x = np.mgrid[:4, :5].astype(float)
    angle = np.radians(30)
    lat = 50 + np.cos(angle) * y - np.sin(angle) * x
    lon = 10 + np.sin(angle) * y + np.cos(angle) * x
    coords = {"lat": (("y", "x"), lat), "lon": (("y", "x"), lon)}
    rows = [("2020-01-01", lat[2, 3], lon[2, 3] + 0.1, 4.0)]
    ds = grid_table(table(rows), xr.Dataset(coords=coords), every="6h")
    assert ds["sst"].dims == ("time", "y", "x")
    assert ds["sst"].values[0, 2, 3] == 4.0


def test_zones_and_medians(grid: xr.Dataset) -> None:
    rows = [("2020-01-01", 10, 176, 1.0), ("2020-01-01", 10, 176, 2.0), ("2020-01-01", 10, 176, 9)]
    zoned = table(rows).assign(time=lambda t: t["time"].dt.tz_localize("Pacific/Auckland"))
    ds = grid_table(zoned, grid, every="1h", how="median")
    assert ds["time"].values[0] == np.datetime64("2019-12-31T11")
    assert ds["sst"].values[0, 0, 0] == 2.0


def test_gridded_stations_can_be_filled(grid: xr.Dataset) -> None:
    rng = np.random.default_rng(1)
    days = [f"2020-01-0{1 + k % 3}" for k in range(60)]
    rows = [(day, rng.uniform(10, 13), rng.uniform(176, 184), rng.normal()) for day in days]
    ds = grid_table(table(rows), grid)
    everywhere = xr.ones_like(ds["sst"].isel(time=0, drop=True), dtype=bool)
    filled = ds.impute.fill("nearest", where=everywhere)
    assert filled["sst"].notnull().all()
    assert "sst_count_imputation_flag" not in filled


@pytest.mark.parametrize(
    "change, options, said",
    [
        ({"lat": "breite"}, {}, r"not \['lat'\].*time=, lat=, lon="),
        ({}, {"values": "chl"}, r"not \['chl'\]"),
        ({"sst": "lat2"}, {"values": []}, "none with numbers"),
    ],
)
def test_missing_columns(grid: xr.Dataset, change: dict, options: dict, said: str) -> None:
    with pytest.raises(DataError, match=said):
        grid_table(table([("2020-01-01", 10, 176, 1)]).rename(columns=change), grid, **options)


def test_bad_tables_and_grids(grid: xr.Dataset) -> None:
    good = table([("2020-01-01", 10, 176, 1)])
    with pytest.raises(DataError, match="none of the 1 observations.*latitude 60"):
        grid_table(good.assign(lat=60.0), grid)
    with pytest.raises(DataError, match="every='1D'"):
        grid_table(good, grid.drop_vars("time"))
    with pytest.raises(DataError, match="does not hold times"):
        grid_table(good.assign(time="soon"), grid)
    with pytest.raises(DataError, match="no latitudes and longitudes"):
        grid_table(good, xr.Dataset({"a": (("y", "x"), np.zeros((3, 3)))}), every="1D")


def test_frames_of_months(grid: xr.Dataset) -> None:
    rows = [("2020-01-31T23", 10, 176, 1.0), ("2020-02-01T00", 10, 176, 2.0),
            ("2020-04-30T12", 10, 176, 5.0), ("2020-04-01T00", 10, 176, 3.0)]  # fmt: skip
    ds = grid_table(table(rows), grid, every="MS")
    months = np.array(["2020-01", "2020-02", "2020-03", "2020-04"], "datetime64[M]")
    np.testing.assert_array_equal(ds["time"].values.astype("datetime64[M]"), months)
    np.testing.assert_array_equal(ds["sst"].values[:, 0, 0], [1.0, 2.0, np.nan, 4.0])


@pytest.mark.parametrize(
    "options, said",
    [({"every": "1ME"}, "says where intervals end.*'MS'"), ({"every": "soon"}, "is no interval"),
     ({"how": "mode"}, "how='mode' is not one of mean, median, min, max")],
)  # fmt: skip
def test_intervals_and_reductions_that_are_unknown(grid, options: dict, said: str) -> None:
    with pytest.raises(DataError, match=said):
        grid_table(table([("2020-01-01", 10, 176, 1)]), grid, **options)
