"""What comes back: data untouched, metadata intact, flags and errors as CF wants them."""

import numpy as np
import pytest
import xarray as xr

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
        for name in filled.variables:
            filled[name].encoding.pop("chunks", None)
        filled.to_zarr(path, zarr_format=3, consolidated=False)
        back = xr.open_zarr(path, consolidated=False)
    with back:
        xr.testing.assert_allclose(back.load(), filled.compute())
        for name in filled.data_vars:
            expected = {k: v for k, v in filled[name].attrs.items() if k != "flag_values"}
            found = {k: v for k, v in back[name].attrs.items() if k != "flag_values"}
            assert found == expected
        assert back["sst"].encoding["_FillValue"] == -999


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
    return {m for groups, _ in scores.values() for r in groups for m in r.msgs}


@pytest.mark.filterwarnings("ignore")
def test_no_finding_of_the_cf_check_that_the_input_did_not_have(gappy, tmp_path):
    gappy.impute.fit(steps=1, progress=False).fill(gappy).to_netcdf(tmp_path / "out.nc")
    gappy.to_netcdf(tmp_path / "in.nc")
    assert findings(tmp_path / "out.nc") <= findings(tmp_path / "in.nc")
