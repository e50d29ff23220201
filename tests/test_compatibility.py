"""Data that an imputer can be applied to, and what is said of others."""

import logging

import numpy as np
import pytest
import xarray as xr

from xdiffimpute.compatibility import refuse_incompatible, tell_of_units
from xdiffimpute.exceptions import CompatibilityError
from xdiffimpute.fields import FieldSpec


@pytest.fixture
def ds() -> xr.Dataset:
    shape = {"time": 4, "level": 2, "lat": 3, "lon": 5}
    values = np.random.default_rng(0).normal(size=tuple(shape.values())).astype("float32")
    coords = {
        "time": np.datetime64("2001-01-01", "ns") + np.arange(4) * np.timedelta64(1, "D"),
        "level": [500.0, 850.0], "lat": [50.0, 51.0, 52.0], "lon": 10.0 + np.arange(5),
    }  # fmt: skip
    return xr.Dataset({"t": (tuple(shape), values, {"units": "K"})}, coords)


@pytest.fixture(params=["series", "channels"])
def spec(ds: xr.Dataset, request: pytest.FixtureRequest) -> FieldSpec:
    return FieldSpec.from_dataset(ds, extra_dims=request.param)


def test_parts_and_other_orders_will_do(ds: xr.Dataset, spec: FieldSpec) -> None:
    refuse_incompatible(spec, ds.transpose("lon", "level", "lat", "time"))
    refuse_incompatible(spec, ds.isel(time=[0], lon=slice(1, 4)))
    refuse_incompatible(spec, ds.isel(lat=[1]))
    refuse_incompatible(spec, ds.assign_coords(level=ds["level"].astype(int)))
    assert not spec.same_grid(ds.isel(lon=slice(1, 4)))
    if spec.series_dims:
        refuse_incompatible(spec, ds.isel(level=[0]))


def test_what_does_not_fit_is_refused(ds: xr.Dataset, spec: FieldSpec) -> None:
    for wrong, message in [
        (ds.rename(t="temp"), r"fitted on \['t'\].*\['temp'\].*ds.rename"),
        (ds.isel(level=0), r"dims \['lat', 'level', 'lon', 'time'\], here it has"),
        (ds.isel(time=0), r"frames along 'time', which 't' lacks.*ds.isel\(time=\[0\]\)"),
        (ds.expand_dims(member=2), "'member'"),
        (ds.rename(lat="y"), "ds.rename"),
        (ds.isel(lon=[0, 2, 4]), r"spacing of \(1.0, 1.0\).*have \(1.0, 2.0\).*regrid"),
        (ds.isel(lat=slice(None, None, -1)), r"other way.*ds.isel\(lat="),
        (ds.astype(int), r"holds int64.*astype\('float32'\)"),
    ]:
        with pytest.raises(CompatibilityError, match=message):
            refuse_incompatible(spec, wrong)


def test_a_covariate_that_is_left_out_is_called_one(ds: xr.Dataset) -> None:
    informed = ds.assign(forecast=ds["t"] + 1.0)
    spec = FieldSpec.from_dataset(informed, covariates=["forecast"])
    with pytest.raises(CompatibilityError, match=r"; add the covariates \['forecast'\]"):
        refuse_incompatible(spec, ds)
    with pytest.raises(CompatibilityError, match=r"'forecast'\] that .* and rename the others"):
        refuse_incompatible(spec, ds.rename(t="temp"))


def test_cells_of_curvilinear_grids_are_about_as_large(ds: xr.Dataset) -> None:
    """Their coordinates may be numbers of rows and columns, the same at any resolution."""

    def turned(step: float) -> xr.Dataset:
        lat, lon = np.meshgrid(40 + step * np.arange(3), step * np.arange(5), indexing="ij")
        places = {"nav_lat": (("j", "i"), lat + lon / 9), "nav_lon": (("j", "i"), lon - lat / 9)}
        plain = ds.drop_vars(["lat", "lon"]).rename(lat="j", lon="i")
        return plain.assign_coords(places | {"j": np.arange(3), "i": np.arange(5)})

    spec = FieldSpec.from_dataset(turned(1.0))
    refuse_incompatible(spec, turned(0.9))
    with pytest.raises(CompatibilityError, match=r"degrees of arc.*have \(0.25"):
        refuse_incompatible(spec, turned(0.25))


def test_channels_are_the_same_levels(ds: xr.Dataset) -> None:
    spec = FieldSpec.from_dataset(ds, extra_dims="channels")
    for wrong, message in [
        (ds.isel(level=[0]), "2 positions of 'level' as channels, these data have 1"),
        (ds.isel(level=[0, 1, 0]), "these data have 3"),
        (ds.isel(level=[1, 0]), r"'level' = 500.0, 850.0 as channels.*850.0, 500.0.*ds.sel\(level"),
    ]:
        with pytest.raises(CompatibilityError, match=message):
            refuse_incompatible(spec, wrong)


def test_units_convert_or_are_told_of(
    ds: xr.Dataset, spec: FieldSpec, caplog: pytest.LogCaptureFixture
) -> None:
    for units in ("degC", "K", "kelvin"):
        refuse_incompatible(spec, ds.assign(t=ds["t"].assign_attrs(units=units)))
    with pytest.raises(CompatibilityError, match="'t' is in .*no conversion"):
        refuse_incompatible(spec, ds.assign(t=ds["t"].assign_attrs(units="m s-1")))
    with caplog.at_level(logging.WARNING, "xdiffimpute"):
        refuse_incompatible(spec, ds.drop_attrs())
        assert "has no units" not in caplog.text
        tell_of_units(spec, ds.drop_attrs())
    assert "t has no units here and is taken to be in K" in caplog.text
