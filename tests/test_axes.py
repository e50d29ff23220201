"""Which dimensions are time, y and x."""

import cftime
import numpy as np
import pytest
import xarray as xr

from xdiffimpute.axes import Axes, find_axes
from xdiffimpute.exceptions import AxesError
from xdiffimpute.grid import read_grid


def field(dims, sizes=None, **coords):
    shape = tuple((sizes or {}).get(d, 3) for d in dims)
    return xr.Dataset({"a": (dims, np.zeros(shape))}, coords=coords)


@pytest.mark.parametrize(
    ("dims", "expected"),
    [
        (("time", "lat", "lon"), Axes("time", "lat", "lon")),
        (("lon", "lat", "time"), Axes("time", "lat", "lon")),
        (("valid_time", "latitude", "longitude"), Axes("valid_time", "latitude", "longitude")),
        (("t", "y", "x"), Axes("t", "y", "x")),
        (("time_counter", "nj", "ni"), Axes("time_counter", "nj", "ni")),
        (("Time", "south_north", "west_east"), Axes("Time", "south_north", "west_east")),
        (("LAT", "LON"), Axes(None, "LAT", "LON")),
        (("level", "rlat", "rlon"), Axes(None, "rlat", "rlon")),
    ],
)
def test_common_names_in_any_order(dims, expected):
    assert find_axes(field(dims)) == expected


@pytest.mark.parametrize(
    "attributes",
    [
        ({"axis": "T"}, {"axis": "Y"}, {"axis": "X"}),
        (
            {"standard_name": "time"},
            {"standard_name": "latitude"},
            {"standard_name": "longitude"},
        ),
        ({"axis": "T"}, {"units": "degrees_north"}, {"units": "degrees_east"}),
        (
            {"axis": "T"},
            {"standard_name": "projection_y_coordinate"},
            {"standard_name": "projection_x_coordinate"},
        ),
    ],
)
def test_attributes_say_what_names_do_not(attributes):
    names = ("p", "q", "r")
    coords = {n: (n, np.arange(3.0), attrs) for n, attrs in zip(names, attributes, strict=True)}
    assert find_axes(field(names, **coords)) == Axes("p", "q", "r")


def test_attributes_win_over_names_and_the_user_over_both():
    ds = field(("x", "y"), x=("x", np.arange(3.0), {"axis": "Y"}))
    ds = ds.assign_coords(y=("y", np.arange(3.0), {"axis": "X"}))
    assert find_axes(ds) == Axes(None, "x", "y")
    assert find_axes(ds, y="y", x="x") == Axes(None, "y", "x")


def test_dates_are_known_by_their_type():
    days = np.datetime64("2001-01-01", "ns") + np.arange(3) * np.timedelta64(1, "D")
    assert find_axes(field(("day", "lat", "lon"), day=days)).time == "day"
    calendar = [cftime.Datetime360Day(2001, 2, 28 + k) for k in range(3)]
    assert find_axes(field(("month", "lat", "lon"), month=calendar)).time == "month"
    both = field(("init", "valid", "lat", "lon"), init=days, valid=days)
    assert find_axes(both).time is None
    assert find_axes(both, time="valid").time == "valid"


def test_scalar_times_and_levels_are_no_axes():
    ds = field(("lat", "lon")).assign_coords(time=np.datetime64("2001-01-01", "ns"), level=500.0)
    assert find_axes(ds) == Axes(None, "lat", "lon")


def test_two_dimensional_coordinates_give_rows_and_columns():
    lat, lon = np.meshgrid(np.arange(4.0), np.arange(5.0), indexing="ij")
    ds = field(
        ("row", "column"),
        {"row": 4, "column": 5},
        nav_lat=(("row", "column"), lat, {"units": "degrees_north"}),
        nav_lon=(("row", "column"), lon, {"units": "degrees_east"}),
    )
    assert find_axes(ds) == Axes(None, "row", "column")
    grid = read_grid(ds, "row", "column")
    np.testing.assert_array_equal(grid.latitude, lat)
    np.testing.assert_array_equal(grid.longitude, lon)
    assert not grid.periodic and grid.spacing is None


@pytest.mark.parametrize("name", ["rotated_pole.nc", "orca2_votemper.nc", "eraint_uvz.nc"])
def test_real_files(shared_data, name):
    path = shared_data(f"formats/{name}")
    with xr.open_dataset(path, decode_times=False, mask_and_scale=False) as ds:
        axes = find_axes(ds)
        assert {axes.y, axes.x} <= set(ds.dims) and axes.y != axes.x
        grid = read_grid(ds, axes.y, axes.x)
        assert grid.shape == (ds.sizes[axes.y], ds.sizes[axes.x])
        assert (grid.latitude is None) == name.startswith("rotated")


def test_errors_say_what_to_type():
    with pytest.raises(AxesError, match=r"no y or x axis.*'row', 'col'.*y='row', x='column'"):
        find_axes(field(("row", "col")))
    with pytest.raises(AxesError, match="no x axis found"):
        find_axes(field(("lat", "station")))
    with pytest.raises(AxesError, match="y='depth' is not a dimension .* 'lat', 'lon'"):
        find_axes(field(("lat", "lon")), y="depth")
    with pytest.raises(AxesError, match="not different dimensions"):
        find_axes(field(("lat", "lon")), y="lat", x="lat")
    stations = field(("station",), lat=("station", np.arange(3.0)), lon=("station", np.arange(3.0)))
    stations["lat"].attrs["units"] = "degrees_north"
    stations["lon"].attrs["units"] = "degrees_east"
    with pytest.raises(AxesError, match="'station' and x='station' are not different"):
        find_axes(stations)


def globe(columns=36, start=0.0, step=10.0):
    return field(
        ("lat", "lon"),
        {"lat": 9, "lon": columns},
        lat=("lat", np.linspace(80, -80, 9)),
        lon=("lon", start + step * np.arange(columns)),
    )


def test_periodic_where_longitudes_close_the_circle():
    assert read_grid(globe(), "lat", "lon").periodic
    assert read_grid(globe(start=-175.0), "lat", "lon").periodic
    assert not read_grid(globe(columns=35), "lat", "lon").periodic
    assert not read_grid(globe(step=1.0), "lat", "lon").periodic


def test_grids_are_equal_to_a_hundredth_of_a_cell():
    def plane(y0, dy=10.0):
        y = ("y", y0 + dy * np.arange(9))
        return read_grid(field(("y", "x"), {"y": 9, "x": 3}, y=y, x=np.arange(3.0)), "y", "x")

    assert plane(5e6) == plane(5e6)
    assert plane(5e6) != plane(5e6 + 10.0)
    assert plane(0.0) != plane(0.0, dy=10.5)
    assert not plane(0.0).same_spacing(plane(0.0, dy=10.5))
    assert plane(0.0).same_spacing(plane(500.0))
    as_float32 = globe().assign_coords(lon=globe()["lon"].astype("float32") * np.float32(1.0))
    assert read_grid(as_float32, "lat", "lon") == read_grid(globe(), "lat", "lon")


def test_curvilinear_grids_differ_by_their_places():
    def curved(shift):
        lat, lon = np.meshgrid(np.arange(4.0) + shift, np.arange(5.0), indexing="ij")
        coords = {"lat": (("j", "i"), lat), "lon": (("j", "i"), lon)}
        return read_grid(field(("j", "i"), {"j": 4, "i": 5}, **coords), "j", "i")

    assert curved(0.0) == curved(0.0)
    assert curved(0.0) != curved(50.0)


def test_places_that_are_missing_are_told_and_completed():
    """As where an ocean model has no land cells; what the warning tells to type makes it right."""
    lat, lon = np.meshgrid(np.arange(4.0), np.arange(5.0), indexing="ij")
    holes = np.where((lat == 1) & (lon > 2), np.nan, lat + lon / 9)
    coords = {"nav_lat": (("j", "i"), holes), "nav_lon": (("j", "i"), lon - lat / 9)}
    ds = field(("j", "i"), {"j": 4, "i": 5}, **coords)
    with pytest.warns(UserWarning, match="2 of 20 values of the coordinate 'nav_lat'") as told:
        assert read_grid(ds, "j", "i").latitude is None
    typed = str(told[0].message).split("for example with ")[1]
    completed = read_grid(eval(typed, {"ds": ds}), "j", "i")
    np.testing.assert_allclose(completed.latitude, lat + lon / 9)


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ([0, 1, 1], "repeats values; .*drop_duplicates"),
        ([0, 2, 1], "is not monotonic; .*ds.sortby"),
        ([0, np.nan, 2], "holds NaN; .*notnull"),
    ],
)
def test_coordinates_must_be_in_order(values, advice):
    ds = field(("lat", "lon"), lat=("lat", np.array(values, dtype=float)))
    with pytest.raises(AxesError, match=f"'lat' {advice}"):
        read_grid(ds, "lat", "lon")


def staggered():
    """Two variables on grids of their own, whose dims only attributes tell."""
    parts = {}
    for name, y, x, shift in (("h", "yt", "xt", 0.0), ("u", "yu", "xu", 0.5)):
        coords = {
            y: (y, np.arange(3.0) + shift, {"axis": "Y"}),
            x: (x, np.arange(3.0) + shift, {"axis": "X"}),
        }
        parts[name] = xr.DataArray(np.zeros((2, 3, 3)), dims=("time", y, x), coords=coords)
    return xr.Dataset(parts)


def test_variables_on_two_grids_are_both_named():
    with pytest.raises(AxesError, match=r"'h' is on the grid \(yt, xt\) and 'u' on \(yu, xu\)"):
        find_axes(staggered())
    one = staggered().assign(u=staggered()["u"].notnull())  # not numbers: no field to choose
    assert find_axes(one) == Axes("time", "yt", "xt")


def test_dates_beside_a_dimension_make_it_time_but_not_a_reference_time():
    days = np.datetime64("2001-01-01", "ns") + np.arange(3) * np.timedelta64(1, "D")
    assert find_axes(field(("n", "lat", "lon"), when=("n", days))).time == "n"
    lagged = ("n", days, {"standard_name": "forecast_reference_time"})
    assert find_axes(field(("n", "lat", "lon"), start=lagged)).time is None
    members = field(("n", "lat", "lon"), when=("n", days), n=np.arange(3))
    assert find_axes(members).time is None
    lines = field(("lat", "lon"), when=("lat", days, {"standard_name": "time"}))
    assert find_axes(lines) == Axes(None, "lat", "lon")


def test_transposed_latitudes_do_not_swap_the_axes():
    lat, lon = np.meshgrid(np.arange(3.0), np.arange(3.0), indexing="ij")
    ds = field(
        ("y", "x"),
        lat=(("x", "y"), lat.T, {"units": "degrees_north"}),
        lon=(("x", "y"), lon.T, {"units": "degrees_east"}),
    )
    assert find_axes(ds) == Axes(None, "y", "x")
    np.testing.assert_array_equal(read_grid(ds, "y", "x").latitude, lat)
