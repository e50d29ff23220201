"""From a Dataset to one packed array and back."""

import itertools
import json

import cftime
import numpy as np
import pytest
import xarray as xr

from xdiffimpute.compatibility import refuse_incompatible
from xdiffimpute.exceptions import AxesError, CompatibilityError, DataError
from xdiffimpute.fields import PACKED, FieldSpec

SIZES = {"time": 4, "lat": 3, "lon": 5, "level": 2, "member": 3}


def field(dims, seed=0, **attrs):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=[SIZES[d] for d in dims]).astype(np.float32)
    values[rng.random(values.shape) < 0.3] = np.nan
    return xr.DataArray(values, dims=dims, attrs=attrs)


def dataset(**arrays):
    coords = {
        "time": np.datetime64("2001-01-01", "ns") + np.arange(4) * np.timedelta64(1, "D"),
        "lat": np.array([50.0, 51.0, 52.0]),
        "lon": 10.0 + np.arange(5),
        "level": np.array([500.0, 850.0]),
    }
    used = {d for array in arrays.values() for d in array.dims}
    return xr.Dataset(arrays, coords={k: v for k, v in coords.items() if k in used})


def assert_round_trip(ds, **options):
    spec = FieldSpec.from_dataset(ds, **options)
    packed = spec.pack(ds)
    assert packed.dims == PACKED and packed.dtype == np.float32
    back = spec.unpack(packed, like=ds)
    for name, array in back.items():
        xr.testing.assert_identical(array, ds[name])
    return spec, packed


@pytest.mark.parametrize("order", list(itertools.permutations(("time", "lat", "lon"))))
def test_any_order_of_dims(order):
    ds = dataset(a=field(("time", "lat", "lon")))
    _, straight = assert_round_trip(ds)
    _, packed = assert_round_trip(ds.transpose(*order))
    xr.testing.assert_identical(packed, straight)


@pytest.mark.parametrize(
    ("treatment", "shape", "labels"),
    [
        ("series", (6, 4, 1, 3, 5), ["a"]),
        ("channels", (1, 4, 6, 3, 5), ["a[level=0, member=0]", "a[level=1, member=2]"]),
        ({"level": "channels"}, (3, 4, 2, 3, 5), ["a[level=0]", "a[level=1]"]),
        (
            {"member": "channels", "level": "series"},
            (2, 4, 3, 3, 5),
            ["a[member=0]", "a[member=2]"],
        ),
    ],
)
@pytest.mark.parametrize("chunks", [None, {"time": 3, "lon": 2}])
def test_further_dims_are_series_or_channels(treatment, shape, labels, chunks):
    ds = dataset(a=field(("lat", "level", "time", "lon", "member")))
    ds = ds if chunks is None else ds.chunk(chunks)
    spec, packed = assert_round_trip(ds, extra_dims=treatment)
    assert packed.shape == shape
    assert {spec.channels[0].label, spec.channels[-1].label} == set(labels)
    assert list(packed["channel"].values) == [c.label for c in spec.channels]


def test_variables_are_channels_and_may_lack_a_channel_dim():
    ds = dataset(t=field(("time", "level", "lat", "lon")), ps=field(("lon", "time", "lat"), 1))
    spec, packed = assert_round_trip(ds, extra_dims="channels")
    assert [c.label for c in spec.channels] == ["t[level=0]", "t[level=1]", "ps"]
    with pytest.raises(AxesError, match=r"'ps' lacks the dimension 'level'.*'channels'"):
        FieldSpec.from_dataset(ds)
    with pytest.raises(AxesError, match=r"extra_dims names \['depth'\].*\['level'\]"):
        FieldSpec.from_dataset(ds, extra_dims={"depth": "series"})
    with pytest.raises(AxesError, match="'series' or 'channels'"):
        FieldSpec.from_dataset(ds, extra_dims={"level": "samples"})


def test_missing_time():
    spec, packed = assert_round_trip(dataset(a=field(("lat", "lon"))))
    assert spec.axes.time is None and packed.shape == (1, 1, 1, 3, 5)
    assert len(spec.clock(xr.Dataset()).days) == 1


def test_packing_and_unpacking_are_lazy(no_compute):
    ds = dataset(a=field(("time", "lat", "lon")), b=field(("time", "lat", "lon"), 1)).chunk(time=1)
    with no_compute():
        spec = FieldSpec.from_dataset(ds)
        packed = spec.pack(ds)
        back = spec.unpack(packed, like=ds)
    assert packed.chunks is not None and back["b"].chunks is not None
    mixed = ds.assign(a=ds["a"].compute())
    assert spec.pack(mixed).chunks is not None


def test_json_round_trip():
    ds = dataset(t=field(("time", "level", "lat", "lon"), units="K", standard_name="x"))
    curved = ds.rename(lat="j", lon="i").drop_vars(["j", "i"])
    lat, lon = np.meshgrid(np.arange(3.0), np.arange(5.0), indexing="ij")
    curved = curved.assign_coords(lat=(("j", "i"), lat), lon=(("j", "i"), lon + lat))
    for data in (ds, curved, ds.drop_vars(["lat", "lon"])):
        for how in ("series", "channels"):
            spec = FieldSpec.from_dataset(data, extra_dims=how)
            again = FieldSpec.from_dict(json.loads(json.dumps(spec.to_dict(), allow_nan=False)))
            assert again == spec and again.periodic == spec.periodic
            assert (spec.latitude is None) == (again.latitude is None)
            if spec.latitude is not None:
                np.testing.assert_array_equal(again.latitude, spec.latitude)
                np.testing.assert_array_equal(again.longitude, spec.longitude)
            xr.testing.assert_identical(again.pack(data), spec.pack(data))


@pytest.mark.parametrize("lazy", [False, True])
def test_units_are_converted_there_and_back(lazy):
    kelvin = dataset(a=field(("time", "lat", "lon"), units="K") + np.float32(280))
    kelvin["a"].attrs["units"] = "K"
    celsius = kelvin - np.float32(273.15)
    celsius["a"].attrs["units"] = "degC"
    celsius = celsius.chunk(time=2) if lazy else celsius
    spec = FieldSpec.from_dataset(kelvin)
    refuse_incompatible(spec, celsius)
    np.testing.assert_allclose(spec.pack(celsius), spec.pack(kelvin), atol=1e-4)
    back = spec.unpack(spec.pack(celsius), like=celsius)["a"]
    np.testing.assert_allclose(back, celsius["a"], atol=1e-4)
    assert back.attrs["units"] == "degC"
    error = xr.full_like(spec.pack(celsius), 0.5)
    np.testing.assert_allclose(spec.unpack(error, like=celsius, differences=True)["a"], 0.5)


def test_factors_offsets_and_synonyms():
    ds = dataset(a=field(("time", "lat", "lon"), units="m s-1"))
    spec = FieldSpec.from_dataset(ds)
    for units, factor in [("m s**-1", 1.0), ("km h-1", 1 / 3.6), ("m/s", 1.0), (None, 1.0)]:
        other = ds.copy()
        other["a"].attrs = {} if units is None else {"units": units}
        np.testing.assert_allclose(spec.pack(other), spec.pack(ds) * factor, rtol=1e-5)
    for units in ("K", "not a unit", "dBZ", 7):
        other = ds.copy()
        other["a"].attrs = {"units": units}
        with pytest.raises(CompatibilityError, match=r"'a' is in .*'m s-1'.*no conversion.*attrs"):
            refuse_incompatible(spec, other)


def test_two_dimensional_latitudes_in_either_order():
    lat, lon = np.meshgrid(np.linspace(50, 60, 3), np.linspace(0, 8, 5), indexing="ij")
    ds = dataset(a=field(("time", "lat", "lon"))).drop_vars(["lat", "lon"])
    ds = ds.rename(lat="row", lon="col")
    straight = ds.assign_coords(
        TLAT=(("row", "col"), lat, {"units": "degrees_north"}),
        TLON=(("row", "col"), lon, {"units": "degrees_east"}),
    )
    turned = ds.assign_coords(
        TLAT=(("col", "row"), lat.T, {"units": "degrees_north"}),
        TLON=(("col", "row"), lon.T, {"units": "degrees_east"}),
    )
    spec, _ = assert_round_trip(straight)
    assert (spec.axes.y, spec.axes.x) == ("row", "col")
    np.testing.assert_array_equal(spec.latitude, lat)
    same = FieldSpec.from_dataset(turned, y="row", x="col")
    np.testing.assert_array_equal(same.latitude, lat)
    np.testing.assert_array_equal(same.longitude, lon)
    assert spec.same_grid(turned)


def test_two_grids_are_refused_unless_one_is_chosen():
    ds = dataset(a=field(("time", "lat", "lon")))
    coarse = ds["a"].isel(lat=[0, 2]).rename(lat="y", lon="x").drop_vars(["y", "x"])
    ds = ds.assign(b=coarse)
    with pytest.raises(AxesError, match=r"'a' is on the grid \(lat, lon\) and 'b' on \(y, x\)"):
        FieldSpec.from_dataset(ds)
    assert FieldSpec.from_dataset(ds, variables=["a"]).axes.y == "lat"
    spec = FieldSpec.from_dataset(ds, variables=["b"])
    assert (spec.axes.y, spec.shape) == ("y", (2, 5))


def test_what_is_no_field_is_skipped_and_named(caplog):
    a = field(("time", "lat", "lon"))
    a.attrs = {"ancillary_variables": "a_error", "cell_measures": "area: cell_area"}
    ds = dataset(a=a).assign(
        a_error=abs(a),
        cell_area=field(("lat", "lon")),
        mask=field(("lat", "lon"), 2),
        counts=a.notnull().astype(int),
        name=("lat", np.array(["x", "y", "z"])),
        when=("time", np.arange(4) * np.timedelta64(1, "h")),
        lat_bnds=(("lat", "bnds"), np.zeros((3, 2))),
        series=("time", np.zeros(4)),
    )
    ds["lat"].attrs["bounds"] = "lat_bnds"
    with caplog.at_level("INFO", logger="xdiffimpute"):
        spec = FieldSpec.from_dataset(ds)
        spec.tell_skipped()
    assert [v.name for v in spec.variables] == ["a"]
    assert set(spec.skipped) == set(ds.data_vars) - {"a"}
    assert all(name in caplog.text for name in spec.skipped)
    asked = FieldSpec.from_dataset(ds, variables=["a", "a_error"])
    assert len(asked.channels) == 2
    assert FieldSpec.from_dataset(ds, variables="a").variables == spec.variables
    static = ds[["mask", "counts"]]
    assert [v.name for v in FieldSpec.from_dataset(static).variables] == ["mask"]
    corners = ds.assign(corner=field(("lat", "lon"), units="degrees_north"))
    corners["corner"] = corners["corner"].rename(lat="y", lon="x").drop_vars(["y", "x"])
    assert [v.name for v in FieldSpec.from_dataset(corners).variables] == ["a"]


def test_coordinates_that_were_read_as_variables_are_not_learned():
    ds = dataset(a=field(("lat", "lon"))).drop_vars(["lat", "lon"])
    ds = ds.assign(
        TLAT=field(("lat", "lon"), standard_name="latitude"),
        TLON=field(("lat", "lon"), units="degrees_east"),
    )
    assert [v.name for v in FieldSpec.from_dataset(ds).variables] == ["a"]


def test_nothing_to_fill():
    ds = dataset(a=field(("time", "lat", "lon")))
    with pytest.raises(DataError, match=r"int64 \('time', 'lat', 'lon'\).*astype\('float32'\)"):
        FieldSpec.from_dataset(ds.fillna(0).astype(int))
    with pytest.raises(DataError, match=r"\['b'\] are not in the data, which hold \['a'\]"):
        FieldSpec.from_dataset(ds, variables=["b"])
    with pytest.raises(DataError, match=r"variables=\[\]"):
        FieldSpec.from_dataset(ds, variables=[])


def test_moved_to_another_grid():
    ds = dataset(t=field(("time", "level", "lat", "lon")))
    spec = FieldSpec.from_dataset(ds, extra_dims="channels")
    east = ds.assign_coords(lon=ds["lon"] + 30)
    moved = spec.moved_to(east)
    assert moved.channels == spec.channels and moved.grid != spec.grid
    assert moved.same_grid(east) and not moved.same_grid(ds)


def test_cftime_and_real_files(shared_data):
    with xr.open_dataset(shared_data("E1_north_america.nc"), chunks={}) as ds:
        spec, packed = assert_round_trip(ds)
        assert spec.clock(ds).labels[0].startswith(str(ds["time"].values[0])[:10])
        assert isinstance(ds["time"].values[0], cftime.Datetime360Day)
        assert packed.sizes["time"] == 240
    with xr.open_dataset(shared_data("era5_global_1deg_5var_week_packed.nc"), chunks={}) as ds:
        week = ds.isel(time=slice(0, 2))  # packed integers, decoded to float64
        spec = FieldSpec.from_dataset(week)
        for name, array in spec.unpack(spec.pack(week), like=week).items():
            np.testing.assert_allclose(array, week[name], rtol=1e-6)
        assert spec.periodic and len(spec.channels) == 5
