"""Manners among neighbours: xarray's options, pint, rioxarray, distributed, logging, typing."""

import ast
import importlib.resources
import logging
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

import xdiffimpute  # noqa: F401 - registers .impute

pytestmark = pytest.mark.usefixtures("hasty")

ROOT = Path(__file__).parents[1]


FITTED = {}


@pytest.fixture
def network(gappy):
    """Fitted once: no test changes it."""
    if not FITTED:
        FITTED["network"] = gappy.impute.fit(steps=1, progress=False)
    return FITTED["network"]


@pytest.mark.parametrize("keep", [True, False])
def test_attributes_stay_whatever_xarray_is_told_to_keep(gappy, network, keep):
    """The same file comes out under any ``xr.set_options(keep_attrs=...)``."""
    usual = {name: gappy.impute.fill(name) for name in ("linear", "telea")}
    usual["network"] = gappy.impute.fill(network)
    skill, observed = gappy.impute.score(network), gappy.impute.observed()
    assert not observed["sst"].attrs and observed["lat"].attrs == gappy["lat"].attrs
    with xr.set_options(keep_attrs=keep):
        again = {name: gappy.impute.fill(name) for name in ("linear", "telea")}
        again["network"] = gappy.impute.fill(network)
        lazy = gappy.chunk(time=6).impute.fill(network).compute()
        refitted = gappy.impute.fit(steps=1, progress=False)
        xr.testing.assert_identical(gappy.impute.observed(), observed)
        assert gappy["sst"].impute.observed().name == "sst"
        with pytest.warns(UserWarning, match="never observed"):
            exposure = gappy.impute.exposure()
        xr.testing.assert_identical(gappy.impute.score(network), skill)
    assert exposure["sst"].attrs["units"] == "1"
    for name, filled in again.items():
        history = filled.attrs.pop("history")
        assert history.endswith("made for a test")
        xr.testing.assert_identical(
            filled, usual[name].drop_attrs(deep=False).assign_attrs(filled.attrs)
        )
        assert filled.attrs == {"Conventions": "CF-1.8", "title": "waves"}
        for variable in filled.variables:
            assert repr(filled[variable].encoding) == repr(usual[name][variable].encoding)
    assert lazy["sst"].attrs == again["network"]["sst"].attrs
    np.testing.assert_array_equal(refitted.fill(gappy)["sst"], usual["network"]["sst"])


def test_quantities_through_every_call(gappy, network):
    pytest.importorskip("pint_xarray")
    from cf_xarray.units import units

    quantified = gappy.pint.quantify(unit_registry=units)
    filled = quantified.impute.fill(network)
    assert filled["sst"].pint.units == units.degC
    assert not hasattr(filled["sst_imputation_flag"].data, "units")
    np.testing.assert_array_equal(filled["sst"].pint.magnitude, network.fill(gappy)["sst"])
    alone = quantified["sst"].impute.fill("linear")
    assert alone.pint.units == units.degC
    land = ~gappy["sst"].notnull().any("time")
    everywhere = quantified.impute.fill("nearest", where=~land | land)
    assert not np.isnan(everywhere["sst"].pint.magnitude).any()
    xr.testing.assert_identical(quantified.impute.score(network), gappy.impute.score(network))
    with pytest.warns(UserWarning, match="never observed"):
        exposure = quantified.impute.exposure()
    assert exposure["sst"].attrs["units"] == "1"
    fitted = quantified.impute.fit(steps=1, progress=False)
    assert fitted.fitted.spec.variables[0].units in ("degC", "degree_Celsius")
    tree = xr.DataTree.from_dict({"/day": quantified}).impute.fill("nearest")
    assert tree["/day/sst"].pint.units == units.degC


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32630"])
def test_the_reference_system_of_rioxarray_stays(gappy, network, crs, tmp_path):
    pytest.importorskip("rioxarray")
    if crs == "EPSG:32630":
        metres = {"y": 1000.0 * np.arange(9), "x": 1000.0 * np.arange(11)}
        gappy = gappy.drop_vars(["lat", "lon"]).rename(lat="y", lon="x").assign_coords(metres)
        network = gappy.impute.fit(steps=1, progress=False)
        ds = gappy.rio.write_crs(crs)
    else:
        ds = gappy.rio.set_spatial_dims("lon", "lat").rio.write_crs(crs)
    with pytest.warns(UserWarning, match="never observed"):
        exposure = ds.impute.exposure()
    assert exposure["sst"].rio.crs == ds.rio.crs
    for filled in (ds.impute.fill("linear"), ds.impute.fill(network)):
        xr.testing.assert_identical(filled["spatial_ref"], ds["spatial_ref"])
        for name in filled.data_vars:
            assert filled[name].rio.crs == ds.rio.crs
        filled.to_netcdf(tmp_path / f"{len(filled)}.nc")
        with xr.open_dataset(tmp_path / f"{len(filled)}.nc", decode_coords="all") as back:
            for name in filled.data_vars:
                assert back[name].rio.crs == ds.rio.crs
    alone = ds["sst"].impute.fill("linear")
    assert alone.rio.crs == ds.rio.crs
    assert alone.rio.bounds() == ds["sst"].rio.bounds()


def test_grid_mapping_as_an_attribute(gappy):
    """As ``xr.open_dataset`` leaves it: an attribute of the field, a scalar variable beside it."""
    gappy["sst"].attrs["grid_mapping"] = "crs"
    ds = gappy.assign(crs=((), 0, {"grid_mapping_name": "latitude_longitude"}))
    with pytest.warns(UserWarning, match="never observed"):
        exposure = ds.impute.exposure()
    assert exposure["sst"].attrs["grid_mapping"] == "crs"
    filled = ds.impute.fill("nearest")
    xr.testing.assert_identical(filled["crs"], ds["crs"])
    assert filled["sst"].attrs["grid_mapping"] == "crs"
    assert filled["sst_imputation_flag"].attrs["grid_mapping"] == "crs"


def test_a_client_of_dask_distributed_changes_nothing(gappy, network):
    """Threads of one process; ``test_diffusion.py`` has the test with two processes."""
    from distributed import Client

    lazy = gappy.chunk(time=6)
    without = {method: lazy.impute.fill(method).compute() for method in ("linear", network)}
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=":0"):
        for method, expected in without.items():
            filled = lazy.impute.fill(method)
            assert filled["sst"].chunks
            xr.testing.assert_allclose(filled.compute(), expected, rtol=1e-6, atol=1e-6)
        refitted = lazy.impute.fit(steps=1, progress=False)
    np.testing.assert_allclose(
        refitted.fill(gappy)["sst"], network.fill(gappy)["sst"], rtol=1e-5, atol=1e-5
    )


def test_nothing_is_printed_and_logging_is_left_alone(gappy, capfd, caplog):
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    own = list(logging.getLogger("xdiffimpute").handlers)
    with caplog.at_level(logging.INFO, logger="xdiffimpute"):
        imputer = gappy.impute.fit(steps=1, progress=False)
        gappy.impute.fill(imputer, progress=False)
        gappy.impute.score(imputer)
        gappy.impute.fill("linear")
    assert capfd.readouterr() == ("", "")
    assert any("partition" in record.getMessage() for record in caplog.records)
    assert all(record.name.startswith("xdiffimpute") for record in caplog.records)
    assert logging.getLogger().handlers == handlers and logging.getLogger().level == level
    assert logging.getLogger("xdiffimpute").handlers == own


def test_no_print_in_the_package():
    for path in (ROOT / "xdiffimpute").rglob("*.py"):
        calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        assert "print" not in {getattr(call.func, "id", "") for call in calls}, path


def test_types_are_declared():
    assert importlib.resources.files("xdiffimpute").joinpath("py.typed").is_file()


def test_the_citation_file_is_valid():
    """What CFF 1.2.0 requires, and the version and licence of the package."""
    import tomllib

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert all(author.keys() & {"name", "family-names"} for author in citation["authors"])
    assert citation["type"] in ("software", "dataset")
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    for reference in citation["references"]:
        assert {"authors", "title", "type"} <= reference.keys()
