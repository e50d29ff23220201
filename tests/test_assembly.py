"""What comes back: data untouched, metadata intact, flags and errors as CF wants them."""

import numpy as np
import pytest
import xarray as xr

pytestmark = pytest.mark.usefixtures("hasty")

ENCODED = {"dtype": "int16", "scale_factor": -0.01, "add_offset": 20.0, "_FillValue": -32768}


def fill(ds, method="inverse_distance", **options):
    return ds.impute.fill(method, neighbors=4, power=2.0, **options)


def test_observed_bits_dtype_attrs_coords_and_order(gappy):
    ds = gappy.transpose("lon", "time", "lat").assign_coords(
        depth=((), 5.0),
        bathymetry=(("lat", "lon"), np.ones((9, 11))),
        month=("time", np.arange(20)),
    )
    ds["sst"].encoding = {"dtype": "float32", "_FillValue": np.float32(-1e9), "zlib": True}
    ds["sst"] = ds["sst"].astype("float64").assign_attrs(ds["sst"].attrs)
    filled = fill(ds)
    seen = ds["sst"].notnull().values
    assert np.array_equal(filled["sst"].values[seen], ds["sst"].values[seen])
    assert filled["sst"].dtype == "float64" and filled["sst"].dims == ds["sst"].dims
    assert filled["sst"].encoding == ds["sst"].encoding
    assert set(filled.coords) == set(ds.coords)
    for name in ds.coords:
        xr.testing.assert_identical(filled[name].variable, ds[name].variable)
    attrs = dict(filled["sst"].attrs)
    assert attrs.pop("ancillary_variables") == "sst_imputation_flag"
    assert attrs == ds["sst"].attrs
    assert filled.attrs["title"] == "waves"
    first, second = filled.attrs["history"].split("\n")
    assert "gaps of sst filled by inverse_distance" in first and second == "made for a test"


def test_flags(gappy):
    filled = fill(gappy)
    flag = filled["sst_imputation_flag"]
    land = ~gappy["sst"].notnull().any("time")
    assert int(land.sum()) == 2
    expected = xr.where(gappy["sst"].notnull(), 0, xr.where(land, 2, 1))
    np.testing.assert_array_equal(flag.values, expected.values)
    assert flag.dtype == "int8" and flag.attrs["flag_meanings"] == "observed imputed not_imputed"
    assert flag.attrs["standard_name"] == "sea_surface_temperature status_flag"
    assert flag.attrs["flag_values"].dtype == "int8"


def test_existing_ancillary_variables_are_kept_once(gappy):
    gappy["sst"].attrs["ancillary_variables"] = "quality"
    once = fill(gappy)
    assert once["sst"].attrs["ancillary_variables"] == "quality sst_imputation_flag"
    again = fill(once.assign(sst=once["sst"].where(once["sst"] > 10)))
    assert again["sst"].attrs["ancillary_variables"] == "quality sst_imputation_flag"


def test_where_asks_for_more(gappy):
    everywhere = xr.ones_like(gappy["sst"].isel(time=0), dtype=bool).drop_vars("time")
    filled = fill(gappy, where=everywhere)
    assert filled["sst"].notnull().all()
    assert set(np.unique(filled["sst_imputation_flag"])) == {0, 1}
    with pytest.raises(ValueError, match=r"where= has the dims \['member'\]"):
        fill(gappy, where=xr.DataArray([True], dims="member"))


def test_packing_cannot_overflow_and_scale_may_be_negative(gappy, tmp_path):
    gappy["sst"].encoding = ENCODED
    filled = fill(gappy)
    wild = gappy.copy(deep=True)
    wild["sst"].encoding = {**ENCODED, "scale_factor": -1e-4}
    narrow = fill(wild)["sst"].values[wild["sst"].isnull().values]
    ends = 20.0 + 32767 * 1e-4 * np.array([-1, 1])
    assert np.nanmin(narrow) >= ends[0] - 1e-4 and np.nanmax(narrow) <= ends[1] + 1e-4
    filled.to_netcdf(tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc") as back:
        np.testing.assert_allclose(back["sst"].values, filled["sst"].values, atol=0.006)


@pytest.mark.parametrize("store", ["netcdf", "zarr"])
def test_round_trip(gappy, tmp_path, store):
    gappy["sst"].encoding = {"_FillValue": np.float32(-999)}
    filled = fill(gappy.chunk(time=7))
    path = tmp_path / "out"
    if store == "netcdf":
        filled.to_netcdf(path)
        back = xr.open_dataset(path)
    else:
        filled.to_zarr(path, zarr_format=3, consolidated=False)
        back = xr.open_zarr(path, consolidated=False)
    with back:
        xr.testing.assert_allclose(back.load(), filled.compute())
        for name in filled.data_vars:
            expected = {k: v for k, v in filled[name].attrs.items() if k != "flag_values"}
            found = {k: v for k, v in back[name].attrs.items() if k != "flag_values"}
            assert found == expected
        assert back["sst"].encoding["_FillValue"] == -999


@pytest.mark.parametrize("method", ["nearest", "network"])
def test_from_zarr_to_zarr(tmp_path, method):
    """A result has the chunks of the store, also where the blocks of the fill straddle them."""
    rng = np.random.default_rng(0)
    values = np.where(rng.random((150, 8, 10)) < 0.3, np.nan, rng.standard_normal((150, 8, 10)))
    ds = xr.Dataset(
        {"sst": (("time", "lat", "lon"), values.astype("float32"))},
        coords={"time": np.arange(150.0), "lat": np.arange(8.0), "lon": np.arange(10.0)},
    )
    ds.chunk(time=70, lat=5).to_zarr(tmp_path / "in.zarr", consolidated=False)
    source = xr.open_zarr(tmp_path / "in.zarr", consolidated=False)
    imputer = (
        method if method == "nearest" else source.impute.fit(steps=1, window=4, progress=False)
    )
    filled = source.impute.fill(imputer)
    assert all(v.chunks == source["sst"].chunks for v in filled.data_vars.values())
    filled.to_zarr(tmp_path / "out.zarr", consolidated=False)
    back = xr.open_zarr(tmp_path / "out.zarr", consolidated=False)
    assert back["sst"].encoding["chunks"] == (70, 5, 10)
    xr.testing.assert_allclose(back.compute(), filled.compute())


def test_lazy_in_lazy_out(gappy, no_compute):
    from xdiffimpute.baselines import BASELINES

    method = BASELINES.create("nearest").fit(gappy)
    with no_compute():
        lazy = method.fill(gappy.chunk(time=3))
        assert all(v.chunks for v in lazy.data_vars.values())
    xr.testing.assert_allclose(lazy.compute(), method.fill(gappy))


def test_grid_mapping_is_passed_on(gappy):
    ds = gappy.assign_coords(crs=((), 0, {"grid_mapping_name": "latitude_longitude"}))
    ds["sst"].encoding["grid_mapping"] = "crs"
    filled = fill(ds)
    assert filled["sst_imputation_flag"].encoding["grid_mapping"] == "crs"


def test_quantities_come_back_as_quantities(gappy):
    pint_xarray = pytest.importorskip("pint_xarray")
    from cf_xarray.units import units

    del gappy["sst"].attrs["units"]
    registry = pint_xarray.setup_registry(units)
    quantified = gappy.pint.quantify({"sst": "kelvin"}, unit_registry=registry)
    filled = fill(quantified)
    assert str(filled["sst"].pint.units) == "kelvin"
    assert filled["lat"].identical(quantified["lat"])
    plain = fill(gappy.assign(sst=gappy["sst"].assign_attrs(units="K")))
    np.testing.assert_array_equal(filled["sst"].pint.dequantify().values, plain["sst"].values)


def findings(path):
    from compliance_checker.runner import CheckSuite

    suite = CheckSuite()
    suite.load_all_available_checkers()
    dataset = suite.load_dataset(str(path))
    try:
        scores = suite.run_all(dataset, ["cf:1.8"], [])
    finally:
        dataset.close()
    results = [result for groups, _ in scores.values() for result in groups]
    return {
        message
        for result in results
        for message in result.msgs
        if not isinstance(result.value, tuple) or result.value[0] < result.value[1]
    }


@pytest.mark.filterwarnings("ignore")
def test_no_finding_of_the_cf_check_that_the_input_did_not_have(gappy, tmp_path):
    gappy.impute.fit(steps=1, progress=False).fill(gappy).to_netcdf(tmp_path / "out.nc")
    gappy.to_netcdf(tmp_path / "in.nc")
    assert findings(tmp_path / "out.nc") <= findings(tmp_path / "in.nc")


PACKINGS = {
    "fill at the low end": {"dtype": "int16", "scale_factor": 1e-4, "_FillValue": -32768},
    "fill near the end": {"dtype": "int16", "scale_factor": -1e-4, "_FillValue": -32767},
    "fill in the middle": {"dtype": "int16", "scale_factor": 0.01, "_FillValue": 0},
    "fill at the high end": {"dtype": "uint8", "scale_factor": 0.01, "_FillValue": 255},
    "unsigned": {"dtype": "int8", "scale_factor": 0.01, "_FillValue": -1, "_Unsigned": "true"},
    "coarser than float32": {"dtype": "int32", "scale_factor": 1e-9, "_FillValue": -(2**31)},
}


@pytest.mark.parametrize("name", PACKINGS)
def test_imputed_values_survive_any_packing(gappy, tmp_path, name):
    """No wrap-around, and nothing imputed that reads back as missing."""
    packing = PACKINGS[name]
    middle = 10.0 if name == "fill in the middle" else 8.0
    encoding = {"add_offset": middle, **packing}
    gappy["sst"].encoding = encoding
    filled = fill(gappy)
    imputed = (filled["sst_imputation_flag"] == 1).values
    only = filled[["sst"]].where(filled["sst_imputation_flag"] == 1)
    if name == "fill in the middle":
        only["sst"] = (only["sst"] * 0 + middle).fillna(np.nan)
        from xdiffimpute.assembly import _within_packing

        only["sst"] = _within_packing(only["sst"], encoding)
    only["sst"].encoding = dict(encoding)
    only["sst"].attrs = {}
    only.to_netcdf(tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc") as back:
        read = back["sst"].values[imputed]
    assert np.isfinite(read).all()
    np.testing.assert_allclose(
        read, only["sst"].values[imputed], atol=2 * abs(packing["scale_factor"]) + 1e-5
    )


def test_big_endian_and_float16_come_back(gappy):
    for dtype in (">f4", ">f8", "f2"):
        ds = gappy.assign(sst=gappy["sst"].astype(dtype))
        filled = ds.impute.fill("nearest")
        assert filled["sst"].dtype == np.dtype(dtype)
        assert (filled["sst"].values == ds["sst"].values)[ds["sst"].notnull().values].all()


def test_where_is_checked(gappy):
    wanted = gappy["sst"].notnull().any("time")
    for wrong, message in [
        (wanted.values, "where= is .*ndarray.*boolean DataArray"),
        (wanted * 1.0, "DataArray of float64; give a boolean"),
        (wanted.assign_coords(lat=wanted["lat"] + 1), "other coordinates than 'sst'.*reindex_like"),
    ]:
        with pytest.raises(ValueError, match=message):
            fill(gappy, where=wrong)
    none = fill(gappy, where=xr.zeros_like(wanted))
    np.testing.assert_array_equal(none["sst"], gappy["sst"])
    assert set(np.unique(none["sst_imputation_flag"])) == {0, 2}


def test_a_second_fill_does_not_call_imputed_cells_observed(gappy):
    north = xr.ones_like(gappy["sst"].isel(time=0, drop=True), dtype=bool)
    north = north & (north["lat"] > 42)
    half = fill(gappy, where=north)
    whole = fill(half)
    expected = fill(gappy)["sst_imputation_flag"]
    np.testing.assert_array_equal(
        whole["sst_imputation_flag"].where(~north), expected.where(~north)
    )
    again = (whole["sst_imputation_flag"] == 1) & north
    np.testing.assert_array_equal(again, gappy["sst"].isnull() & north)


def test_links_that_were_decoded_into_the_encoding_are_kept(gappy, tmp_path):
    gappy["sst"].attrs |= {"ancillary_variables": "quality", "grid_mapping": "crs"}
    gappy["lat"].attrs["bounds"] = "lat_bnds"
    ds = gappy.assign(
        quality=gappy["sst"].notnull().astype("int8"),
        crs=((), 0, {"grid_mapping_name": "latitude_longitude"}),
        lat_bnds=(("lat", "bnds"), np.zeros((9, 2))),
    )
    ds.to_netcdf(tmp_path / "in.nc")
    with xr.open_dataset(tmp_path / "in.nc", decode_coords="all") as opened:
        assert {"crs", "lat_bnds"} <= set(opened.coords)
        fill(opened).to_netcdf(tmp_path / "out.nc")
    with xr.open_dataset(tmp_path / "out.nc") as back:
        assert back["lat"].attrs["bounds"] == "lat_bnds"
        assert back["sst"].attrs["ancillary_variables"] == "quality sst_imputation_flag"
        assert back["sst_imputation_flag"].attrs["grid_mapping"] == "crs"


def test_no_invented_standard_names(gappy):
    gappy["sst"].attrs["standard_name"] = "unknown"
    assert "standard_name" not in fill(gappy)["sst_imputation_flag"].attrs
    gappy["sst"].attrs["standard_name"] = "sea_surface_temperature standard_error"
    flag = fill(gappy)["sst_imputation_flag"]
    assert flag.attrs["standard_name"] == "sea_surface_temperature status_flag"


def test_complete_variables_beside_gappy_ones_and_others_untouched(gappy):
    ds = gappy.assign(
        full=gappy["sst"].fillna(3.0), count=gappy["sst"].notnull().astype("int32"), name="buoy"
    )
    ds.encoding = {"unlimited_dims": {"time"}}
    filled = fill(ds)
    xr.testing.assert_identical(filled["full"].drop_attrs(), ds["full"].drop_attrs())
    assert (filled["full_imputation_flag"] == 0).all()
    for name in ("count", "name"):
        xr.testing.assert_identical(filled[name], ds[name])
    assert filled.encoding == ds.encoding
    assert list(filled.data_vars)[:4] == list(ds.data_vars)


def test_coordinates_with_units_and_lazy_quantities(gappy, no_compute):
    pytest.importorskip("pint_xarray")
    from cf_xarray.units import units

    quantified = gappy.chunk(time=5).pint.quantify(unit_registry=units)
    filled = quantified.impute.fill("nearest")
    assert filled["sst"].pint.units == units.degC
    assert filled["lat"].pint.units == quantified["lat"].pint.units
    assert filled["sst"].chunks is not None
    imputer = gappy.impute.fit(steps=1, progress=False)
    out = imputer.fill(quantified)
    assert str(out["sst_standard_error"].pint.units) == "delta_degree_Celsius"
    kelvin = imputer.fill(quantified.pint.to(sst="K"))
    assert kelvin["sst"].pint.units == units.kelvin
    np.testing.assert_allclose(
        kelvin["sst"].pint.dequantify(), out["sst"].pint.dequantify() + 273.15, atol=2e-3
    )


@pytest.mark.filterwarnings("ignore:variable '.' has non-conforming")
def test_negative_scales_of_a_real_file(shared_data, tmp_path):
    with xr.open_dataset(shared_data("formats/eraint_uvz.nc")) as ds:
        part = ds[["u"]].isel(latitude=slice(20, 60, 4), longitude=slice(0, 100, 8)).load()
    encoding = dict(part["u"].encoding)
    rng = np.random.default_rng(0)
    part["u"] = part["u"].where(rng.random(part["u"].shape) < 0.7)
    part["u"].encoding = {
        k: v for k, v in encoding.items() if k in ("dtype", "scale_factor", "add_offset")
    } | {"_FillValue": -32768}
    filled = part.impute.fill("nearest", time="month")
    filled.to_netcdf(tmp_path / "out.nc")
    with xr.open_dataset(tmp_path / "out.nc") as back:
        step = abs(encoding["scale_factor"])
        np.testing.assert_allclose(back["u"], filled["u"], atol=step)
        assert back["u"].encoding["scale_factor"] == encoding["scale_factor"]


def thin(path, rows, columns, tmp_path):
    """A copy of some of a real file with gaps, written as it was."""
    name = "gappy.nc"
    with xr.open_dataset(path) as ds:
        ds = ds.isel(time=slice(0, 12)) if "time" in ds.dims else ds
        ds = ds.isel({d: slice(0, 10) for d in (rows, columns)}).load()
    rng = np.random.default_rng(0)
    for variable, field in ds.data_vars.items():
        if {rows, columns} <= set(field.dims) and field.dtype.kind == "f":
            kept = field.where(rng.random(field.shape) < 0.7)
            kept.encoding = field.encoding
            ds[variable] = kept
    for key in ("chunksizes", "original_shape", "preferred_chunks"):
        for variable in ds.variables.values():
            variable.encoding.pop(key, None)
    ds.to_netcdf(tmp_path / name)
    return tmp_path / name


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("E1_north_america.nc", "latitude", "longitude"),
        ("formats/rotated_pole.nc", "grid_latitude", "grid_longitude"),
        ("era5_t2m_uk_2019-03.nc", "latitude", "longitude"),
    ],
)
def test_real_files_keep_their_calendar_bounds_and_mapping(
    shared_data, tmp_path, name, rows, columns
):
    source = thin(shared_data(name), rows, columns, tmp_path)
    with xr.open_dataset(source, chunks={}) as ds:
        filled = ds.impute.fill("nearest")
        filled.to_netcdf(tmp_path / "out.nc")
        zarr = filled.drop_encoding()
        zarr.to_zarr(tmp_path / "out.zarr", zarr_format=3, consolidated=False)
        with (
            xr.open_dataset(tmp_path / "out.nc") as back,
            xr.open_zarr(tmp_path / "out.zarr", consolidated=False) as again,
        ):
            assert set(ds.variables) <= set(back.variables)
            for variable in ds.variables:
                assert back[variable].dims == ds[variable].dims
                attrs = dict(back[variable].attrs)
                attrs.pop("ancillary_variables", None)
                assert str(attrs) == str(dict(ds[variable].attrs))
            xr.testing.assert_equal(again.drop_attrs(), filled.compute().drop_attrs())
    assert findings(tmp_path / "out.nc") <= findings(source)
