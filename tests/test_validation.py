"""Every bad input is refused before any training, with a way out in the message."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from xdiffimpute.exceptions import AxesError, CompatibilityError, DataError, ImputeError

pytestmark = pytest.mark.usefixtures("hasty")


def fit(ds, **options):
    return ds.impute.fit(**({"steps": 1, "progress": False} | options))


def test_all_missing(gappy):
    with pytest.raises(DataError, match=r"'sst' has no observed value at all; leave it out"):
        fit(gappy.where(False))


def test_nothing_missing(gappy):
    whole = gappy.fillna(10.0)
    with pytest.raises(DataError, match=r"nothing is missing in \['sst'\].*hide cells first"):
        fit(whole)
    for method in ("nearest", "climatology"):
        assert whole.impute.fill(method)["sst"].equals(whole["sst"])


@pytest.mark.parametrize("lazy", [False, True])
def test_infinities(gappy, lazy):
    gappy["sst"].values[3, 4, 5] = np.inf
    ds = gappy.chunk(time=4) if lazy else gappy
    with pytest.raises(DataError, match=r"'sst' holds 1 infinite values; make them missing with"):
        fit(ds)
    with pytest.raises(DataError, match="infinite"):
        ds.impute.fill("nearest")


@pytest.mark.parametrize("sentinel", [-999.0, -9999.0, 1e20, 1e34, 9.96921e36, 9999.0])
def test_sentinels(gappy, sentinel):
    gappy["sst"].values[:, 3, 3] = sentinel
    with pytest.raises(DataError, match=r"'sst' seems to hold undecoded fill values: .*20 times"):
        fit(gappy)


def test_a_plausible_value_is_no_sentinel(gappy):
    pressure = gappy * 0 + 9990 + 10 * np.sin(np.arange(20))[:, None, None].astype("float32")
    pressure["sst"].values[2] = np.where(np.isnan(pressure["sst"].values[2]), np.nan, 9999.0)
    assert pressure.impute.fill("climatology")["sst"].notnull().any()


def test_no_horizontal_axes():
    ds = xr.Dataset({"a": (("time", "station"), np.ones((4, 3)))})
    with pytest.raises(AxesError, match=r"no y or x axis found.*'time', 'station'.*y='row'"):
        fit(ds)


def test_non_numeric_variables_are_skipped_and_named(gappy, caplog):
    ds = gappy.assign(
        quality=gappy["sst"].notnull().astype("U5"),
        when=gappy["time"] + 0 * gappy["lat"].astype("m8[s]"),
    )
    with caplog.at_level("INFO", logger="xdiffimpute"):
        filled = ds.impute.fill("nearest")
    assert "quality" in caplog.text and "when" in caplog.text
    assert filled["quality"].identical(ds["quality"])
    with pytest.raises(DataError, match=r"must be floating-point.*astype\('float32'\)"):
        ds.impute.fill("nearest", variables=["quality"])


def test_too_few_cells(gappy):
    few = gappy.where(gappy["sst"] > gappy["sst"].quantile(0.9985))
    with pytest.raises(DataError, match=r"is observed at \d cells, too few to split into context"):
        fit(few)


@pytest.mark.parametrize(
    ("dim", "values", "message"),
    [
        ("lon", [*range(355, 360), *range(6)], r"jumps by 360.*\(ds\['lon'\] \+ 180\) % 360 - 180"),
        ("lon", [*range(175, 180), *range(-180, -174)], r"jumps by 360.*ds\['lon'\] % 360\)"),
        ("lat", [0, 1, 2, 2, 3, 4, 5, 6, 7.0], r"'lat' repeats values.*drop_duplicates\('lat'\)"),
        ("lon", [0, 1, 5, 3, 4, 2, 6, 7, 8, 9, 10.0], r"'lon' is not monotonic.*sortby\('lon'\)"),
    ],
)
def test_bad_coordinates(gappy, dim, values, message):
    with pytest.raises(AxesError, match=message):
        fit(gappy.assign_coords({dim: values}))


def test_bad_times(gappy):
    with pytest.raises(AxesError, match=r"'time' is not in order; sort it with ds.sortby"):
        fit(gappy.isel(time=slice(None, None, -1)))
    twice = gappy.isel(time=[0, 1, 1, 2, 3, 4])
    with pytest.raises(AxesError, match=r"'time' repeats 2005-03-02.*drop_duplicates\('time'\)"):
        fit(twice)


def test_two_grids(gappy):
    other = gappy["sst"].rename(lat="latitude", lon="longitude").isel(latitude=slice(0, 5))
    with pytest.raises(AxesError, match=r"'sst' is on the grid.*'coarse' on.*variables=\['sst'\]"):
        fit(gappy.assign(coarse=other))


@pytest.fixture
def imputer(gappy):
    return fit(gappy, statistics="variable")


def test_other_variables(gappy, imputer):
    with pytest.raises(CompatibilityError, match=r"fitted on \['sst'\].*rename them with"):
        imputer.fill(gappy.rename(sst="analysed_sst"))


def test_other_units(gappy, imputer):
    gappy["sst"].attrs["units"] = "kg"
    with pytest.raises(CompatibilityError, match=r"'kg'.*'degC'.*no conversion"):
        imputer.fill(gappy)


def test_other_spacing(gappy, imputer):
    with pytest.raises(CompatibilityError, match=r"grid spacing of \(0\.5, 0\.5\).*regrid them"):
        imputer.fill(gappy.isel(lat=slice(None, None, 2)))


def test_units_that_can_be_converted_are(gappy, imputer):
    kelvin = gappy.copy(deep=True)
    kelvin["sst"] = gappy["sst"] + np.float32(273.15)
    kelvin["sst"].attrs = {**gappy["sst"].attrs, "units": "K"}
    a, b = imputer.fill(gappy)["sst"], imputer.fill(kelvin)["sst"]
    np.testing.assert_allclose(a + 273.15, b, atol=1e-3)
    assert b.attrs["units"] == "K"


def test_unknown_names(gappy):
    for call, near in [
        (lambda: gappy.impute.fill("biharmonics"), "Did you mean 'biharmonic'"),
        (lambda: fit(gappy, partition="blocks"), "Did you mean 'block'"),
        (lambda: fit(gappy, statistics="monthly"), "not one of 'auto'"),
        (lambda: fit(gappy, size="huge"), "small"),
        (lambda: fit(gappy, time="t"), "time='t' is not a dimension"),
        (lambda: fit(gappy, variables=["chl"]), r"\['chl'\] are not in the data"),
        (lambda: fit(gappy, extra_dims="levels"), "'series' or 'channels'"),
        (lambda: fit(-gappy, log=["sst"]), "a logarithm needs values of zero or more"),
    ]:  # fmt: skip
        with pytest.raises(ImputeError, match=near):
            call()


@pytest.mark.parametrize("sentinel", [-1e34, -3.4028235e38, 3.4028235e38, 1e35, -99.0, -32767.0])
@pytest.mark.parametrize("lazy", [False, True])
def test_more_sentinels(gappy, sentinel, lazy):
    gappy["sst"].values[:, 3, 3] = sentinel
    ds = gappy.chunk(time=6, lon=4) if lazy else gappy
    with pytest.raises(DataError, match=r"'sst' seems to hold.*\(20 times\).*where\(.*decode_cf"):
        fit(ds)
    with pytest.raises(DataError, match="undecoded fill values"):
        ds.impute.fill("nearest")


def test_the_advice_about_sentinels_works(gappy):
    for sentinel in (-999.0, 9.96921e36):
        ds = gappy.copy(deep=True)
        ds["sst"].values[:, 3, 3] = sentinel
        with pytest.raises(DataError) as caught:
            ds.impute.fill("nearest")
        advice = str(caught.value).split("make them missing with ")[1].split(", or set its")[0]
        exec(advice, {"ds": ds})
        assert ds["sst"].isnull().values[:, 3, 3].all()
        ds.impute.fill("nearest")


def test_sentinels_among_sentinels(gappy):
    gappy["sst"].values[:, 3, 3] = -999.0
    gappy["sst"].values[:, 4, 4] = 1e34
    with pytest.raises(DataError, match="1e"):
        fit(gappy)


def test_double_precision_beyond_float32(gappy):
    ds = gappy.assign(sst=gappy["sst"].astype("float64").fillna(-1.7976e308))
    with pytest.raises(DataError, match="infinite values"):
        fit(ds)


@pytest.mark.parametrize("value", [9999.0, 999.0, 99999.0])
def test_one_large_number_may_be_measured(gappy, value):
    gappy["sst"].values[2, 3, 3] = value
    assert gappy.impute.fill("nearest")["sst"].notnull().any()


def test_a_level_without_observations_is_named(gappy):
    levels = xr.concat([gappy["sst"], gappy["sst"] * np.nan], "level").to_dataset(name="t")
    with pytest.raises(DataError, match=r"'t\[level=1\]' has no observed.*ds.drop_isel\(level=1\)"):
        fit(levels, extra_dims="channels")
    both = gappy.assign(chl=gappy["sst"] * np.nan)
    with pytest.raises(DataError, match=r"'chl' has no observed.*variables=\['sst'\]"):
        fit(both)


def test_an_empty_selection(gappy):
    for dim in ("time", "lat", "lon"):
        with pytest.raises(DataError, match=f"the dimension '{dim}' is empty"):
            fit(gappy.isel({dim: slice(0, 0)}))


def test_missing_coordinates(gappy):
    lat = gappy["lat"].values.copy()
    lat[3] = np.nan
    with pytest.raises(AxesError, match="'lat' .*holds NaN"):
        fit(gappy.assign_coords(lat=lat))
    times = gappy["time"].values.copy()
    times[3] = np.datetime64("NaT")
    with pytest.raises(AxesError, match="missing times"):
        fit(gappy.assign_coords(time=times))


def test_other_levels_and_dims(gappy, imputer):
    with pytest.raises(CompatibilityError, match=r"with the dims .*'member'"):
        imputer.fill(gappy.expand_dims(member=2))
    with pytest.raises(CompatibilityError, match=r"ds.rename"):
        imputer.fill(gappy.rename(lat="row"))
    with pytest.raises(CompatibilityError, match="holds int"):
        imputer.fill(gappy.fillna(0).astype("int16"))


def test_all_of_it_is_said_by_baselines_too(gappy):
    with pytest.raises(DataError, match="no observed value at all"):
        gappy.where(False).impute.fill("linear")
    with pytest.raises(DataError, match="no observed value at all"):
        gappy.where(False).impute.score("linear")
    with pytest.raises(DataError, match="no cell is observed in any frame"):
        gappy.where(False).impute.exposure()
    with pytest.raises(DataError, match="nothing is missing"):
        gappy.fillna(1.0).impute.score("linear")


def test_missing_units_are_said_aloud(gappy, imputer, caplog):
    del gappy["sst"].attrs["units"]
    imputer.fill(gappy)
    assert "has no units here and is taken to be in degC" in caplog.text


def test_a_flipped_axis_and_a_lost_time_axis(gappy, imputer):
    with pytest.raises(CompatibilityError, match=r"'lat' runs the other way.*lat=slice\(None, N"):
        imputer.fill(gappy.isel(lat=slice(None, None, -1)))
    with pytest.raises(CompatibilityError, match=r"lacks here; keep it.*ds.isel\(time=\[0\]\)"):
        imputer.fill(gappy.isel(time=0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "window=0 is not a whole number of 1 or more"),
        ({"window": 2.5}, "window=2.5 is not a whole number"),
        ({"batch": -1}, "batch=-1 is not a whole number"),
        ({"window": "five"}, "window='five' is not a whole number"),
        ({"steps": "many"}, "steps='many' must be a whole number"),
        ({"seed": None}, "seed=None must be a whole number of 0 or more, such as seed=0"),
        ({"device": "gpu"}, "device='gpu': .*leave it out"),
        ({"device": "quantum"}, "device='quantum' is not a device; there are .*'cpu'"),
    ],
)
def test_bad_sizes_and_devices(gappy, options, message):
    with pytest.raises(ImputeError, match=message):
        fit(gappy, **options)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_in_place_of_an_imputer(gappy, imputer, tmp_path, kind):
    path = tmp_path / "sst.imputer"
    imputer.save(path)
    with pytest.raises(ImputeError, match=r"is a file; open the imputer it holds with xdi\.load"):
        gappy.impute.fill(kind(path))
