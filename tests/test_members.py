"""Draws of the posterior along CF's realization: whole fields, as far apart as the error says."""

import contextlib
import pickle

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from scipy.ndimage import gaussian_filter

import xdiffimpute as xdi
from xdiffimpute.cli import main
from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.exceptions import DataError, ImputeError
from xdiffimpute.metrics import METRICS
from xdiffimpute.request import Request
from xdiffimpute.samplers import SAMPLERS
from xdiffimpute.successive_corrections import error_patterns

QUICK = {"steps": 20, "window": 3, "progress": False, "summary": False, "seed": 0}


@pytest.fixture(scope="module")
def fitted() -> tuple[xr.Dataset, DiffusionImputer]:
    ds = xdi.example(days=14)
    return ds, DiffusionImputer(**QUICK).fit(ds)


def test_they_are_as_far_apart_as_the_standard_error_says(fitted) -> None:
    ds, imputer = fitted
    mean, drawn = imputer.fill(ds), imputer.fill(ds, members=200)
    gaps = ds["sst"].isnull() & mean["sst"].notnull()
    ratio = drawn["sst"].std("realization") / mean["sst_standard_error"]
    assert float(ratio.where(gaps).median()) == pytest.approx(1.0, abs=0.05)
    away = (drawn["sst"].mean("realization") - mean["sst"]) / mean["sst_standard_error"]
    assert float(np.sqrt((away**2).where(gaps).mean())) < 2 / 200**0.5
    seen = ds["sst"].notnull()
    for member in drawn["sst"].transpose("realization", ...):
        xr.testing.assert_equal(member.where(seen).drop_vars("realization"), ds["sst"])
    whole = drawn["sst"].notnull().all("realization")
    assert bool((whole == mean["sst"].notnull()).all())


def test_errors_of_neighbours_go_together(fitted) -> None:
    """As those of a field do, so that the error of a mean over a region is right."""
    ds, imputer = fitted
    drawn = imputer.fill(ds, members=100)["sst"]
    unit = (drawn - drawn.mean("realization")) / drawn.std("realization")
    gaps = ds["sst"].isnull()
    for dim, least in (("lon", 0.4), ("time", 0.15)):
        both = gaps & gaps.shift({dim: 1}, fill_value=False)
        alike = (unit * unit.shift({dim: 1})).mean("realization").where(both)
        assert float(alike.mean()) > least, f"{dim}: {float(alike.mean())}"


def test_what_comes_back(fitted) -> None:
    ds, imputer = fitted
    ds = ds.copy()
    ds["sst"].encoding = {"chunksizes": (4, 12, 16), "zlib": True}
    drawn = imputer.fill(ds, members=3)
    assert drawn["sst"].dims == ("realization", "time", "lat", "lon")
    assert drawn["realization"].attrs["standard_name"] == "realization"
    assert drawn["sst"].attrs.keys() >= ds["sst"].attrs.keys()
    assert drawn["sst"].encoding["chunksizes"] == (1, 4, 12, 16)
    assert drawn["sst_standard_error"].dims == ds["sst"].dims
    array = ds["sst"].impute.fill(imputer, members=2)
    assert array.dims == drawn["sst"].dims and "sst_standard_error" in array.coords
    whole = ds.fillna(15.0)
    assert imputer.fill(whole, members=2)["sst"].sizes["realization"] == 2


def test_a_member_depends_on_its_number_and_the_seed_alone(fitted) -> None:
    ds, imputer = fitted
    many, few = imputer.fill(ds, members=5), imputer.fill(ds, members=2)
    xr.testing.assert_allclose(many["sst"].isel(realization=slice(2)), few["sst"], atol=1e-4)
    lazy = imputer.fill(ds.chunk(time=4), members=2)
    assert lazy["sst"].chunks[0] == (1, 1)
    np.testing.assert_allclose(lazy["sst"], few["sst"], atol=1e-4)
    other = imputer.fill(ds, members=2, seed=5)
    gaps = ds["sst"].isnull() & few["sst"].notnull().all("realization")
    apart = abs(other["sst"] - few["sst"]).where(gaps)
    assert float((apart > 1e-3).where(gaps).mean()) > 0.95


def test_of_the_diffusion_itself(fitted) -> None:
    ds, imputer = fitted
    steps = SAMPLERS.create("multi_step", steps=4, members=2)
    drawn, one = imputer.fill(ds, members=3, sampler=steps), imputer.fill(ds, sampler=steps)
    xr.testing.assert_equal(drawn["sst"].isel(realization=0, drop=True), one["sst"])
    gaps = (ds["sst"].isnull() & one["sst"].notnull()).values
    assert (drawn["sst"].std("realization").values[gaps] > 0).all()


def test_of_the_diffusion_in_the_logarithm() -> None:
    """A single sample is the first of several, and no mean of a lognormal distribution."""
    rain = np.exp(xdi.example(days=14) / 10).rename(sst="rain")
    imputer = DiffusionImputer(**QUICK | {"steps": 2}, log="rain").fit(rain)
    steps = SAMPLERS.create("multi_step", steps=3, members=2)
    drawn, one = imputer.fill(rain, members=2, sampler=steps), imputer.fill(rain, sampler=steps)
    first = drawn["rain"].isel(realization=0, drop=True)
    np.testing.assert_allclose(first, one["rain"], rtol=1e-6)


def test_of_several_variables_in_the_logarithm_and_beside_covariates() -> None:
    """Errors of variables go together; rain stays positive; what is given has no members."""
    rng = np.random.default_rng(0)
    shape, dims = (30, 8, 10), ("time", "lat", "lon")
    common = gaussian_filter(rng.normal(size=shape), (1, 1.5, 1.5)) * 6
    own = gaussian_filter(rng.normal(size=shape), (1, 1.5, 1.5)) * 2
    seen = gaussian_filter(rng.normal(size=shape), (0, 1.5, 1.5)) > 0
    ds = xr.Dataset(
        {"a": (dims, 280 + common), "b": (dims, common + own), "rain": (dims, np.exp(common)),
         "terrain": (dims[1:], rng.normal(size=shape[1:]))},
        {"time": np.datetime64("2024-01-01") + np.arange(30) * np.timedelta64(1, "D"),
         "lat": np.arange(8.0), "lon": np.arange(10.0)},
    ).astype("float32")  # fmt: skip
    gappy = ds.assign({n: ds[n].where(xr.DataArray(seen, dims=dims)) for n in ("a", "b", "rain")})
    imputer = DiffusionImputer(**QUICK | {"steps": 3}, log="rain", covariates=["terrain"])
    drawn = imputer.fit(gappy).fill(gappy, members=60)
    assert drawn["terrain"].dims == ("lat", "lon")
    assert float(drawn["rain"].min()) >= 0.0 and bool(np.isfinite(drawn["rain"]).all())
    units = {n: (drawn[n] - drawn[n].mean("realization")) / drawn[n].std("realization")
             for n in ("a", "b")}  # fmt: skip
    alike = (units["a"] * units["b"]).mean("realization").where(gappy["a"].isnull())
    assert float(alike.mean()) > 0.3


def test_of_the_logarithm_as_far_apart_as_the_standard_error_says() -> None:
    """Also where that of the logarithm is one and more, and no first order holds."""
    rng = np.random.default_rng(0)
    shape, dims = (30, 8, 10), ("time", "lat", "lon")
    rain = np.exp(1.5 * rng.normal(size=shape)).astype("float32")
    ds = xr.Dataset(
        {"rain": (dims, np.where(rng.random(shape) < 0.6, rain, np.nan).astype("float32"))},
        {"time": np.datetime64("2024-01-01") + np.arange(30) * np.timedelta64(1, "D"),
         "lat": np.arange(8.0), "lon": np.arange(10.0)},
    )  # fmt: skip
    imputer = DiffusionImputer(**QUICK | {"steps": 3}, log="rain").fit(ds)
    mean, drawn = imputer.fill(ds), imputer.fill(ds, members=200)["rain"]
    size = np.log(drawn + imputer.fitted.statistics.floor[0]).std("realization")
    wide = ds["rain"].isnull() & (size > 1.0)
    assert int(wide.sum()) > 200
    ratio = (drawn.std("realization") / mean["rain_standard_error"]).where(wide)
    assert float(ratio.median()) == pytest.approx(1.0, abs=0.3)  # of 200 draws with a long tail
    ratio = (drawn.mean("realization") / mean["rain"]).where(wide)
    assert float(ratio.median()) == pytest.approx(1.0, abs=0.1)


def test_what_is_wrong_with_the_climatology_is_drawn_once(monkeypatch) -> None:
    """However many segments and series there are, and again by each worker."""
    calls: list[int] = []

    def counted(seen, count, rng, **options):
        calls.append(count)
        return error_patterns(seen, count, rng, **options)

    monkeypatch.setattr("xdiffimpute.reconstruction.error_patterns", counted)
    ds = xdi.example(days=14)
    ds = ds.where(ds["lon"] > ds["lon"][4])
    imputer = DiffusionImputer(**QUICK | {"statistics": "cell", "window": 1}).fit(ds)
    assert (imputer.fitted.statistics.doubt > 0).any()
    asked = {"members": 3, "where": xr.ones_like(ds["sst"], dtype=bool)}
    expected = imputer.fill(ds, **asked)["sst"]
    assert calls == [3]
    monkeypatch.setattr("xdiffimpute.reconstruction.SEGMENT_FRAMES", 2)
    for data in (ds, ds.chunk(time=3)):
        calls.clear()
        np.testing.assert_allclose(imputer.fill(data, **asked)["sst"], expected, atol=1e-4)
        assert calls == [3]
    _, filler = Request(members=3).filler(imputer.fitted, ds, imputer.fitted.spec)
    drawn = filler._climatological_errors
    assert drawn is filler._climatological_errors
    worker = pickle.loads(pickle.dumps(filler))  # noqa: S301
    assert "_climatological_errors" not in vars(worker)
    np.testing.assert_array_equal(worker._climatological_errors, drawn)


def test_into_a_store(fitted, tmp_path) -> None:
    """In Python and on the command line as in memory."""
    ds, imputer = fitted
    expected = imputer.fill(ds, members=2)
    ds.impute.fill_to(tmp_path / "python.zarr", imputer, members=2, progress=False)
    imputer.save(tmp_path / "sst.imputer")
    ds.to_netcdf(tmp_path / "sst.nc")
    with contextlib.chdir(tmp_path):
        for out in ("line.zarr", "line.nc"):
            told = ["fill", "sst.nc", out, "--imputer", "sst.imputer", "--members", "2", "-q"]
            done = CliRunner().invoke(main, told)
            assert done.exit_code == 0, done.output
    for name in ("python.zarr", "line.zarr", "line.nc"):
        with xr.open_dataset(tmp_path / name) as found:
            assert found["sst"].dims == expected["sst"].dims
            np.testing.assert_allclose(found["sst"], expected["sst"], atol=1e-4)
            assert found["realization"].attrs["standard_name"] == "realization"


def test_what_is_wrong_is_said(fitted) -> None:
    ds, imputer = fitted
    with pytest.raises(ImputeError, match="members=0 must be a whole number of 1 or more"):
        imputer.fill(ds, members=0)
    with pytest.raises(ImputeError, match=r"rename\(realization='member'\)"):
        imputer.fill(ds.assign_coords(realization=0), members=2)
    paper = DiffusionImputer(**QUICK | {"steps": 1}, method="paper").fit(ds)
    with pytest.raises(ImputeError, match="method 'paper' has none; use sampler='multi_step'"):
        paper.fill(ds, members=2)


def test_ranks_of_a_truth_that_is_one_of_them_are_level() -> None:
    rng = np.random.default_rng(0)
    fields = xr.DataArray(rng.normal(size=(5, 50, 40)), dims=("realization", "y", "x"), name="a")
    truth = xr.Dataset({"a": (("y", "x"), rng.normal(size=(50, 40)))})
    ranks = METRICS.create("rank_histogram")
    found = ranks(fields.to_dataset(), truth)["a"]
    assert found.dims == ("rank",) and float(found.sum()) == pytest.approx(1.0)
    np.testing.assert_allclose(found, 1 / 6, atol=0.03)
    close = ranks(0.3 * fields.to_dataset(), truth)["a"]
    assert close[0] > 0.25 and close[-1] > 0.25
    half = xr.DataArray(np.arange(50) < 25, dims="y")
    rows = ranks(fields.to_dataset(), truth, where=half, dim="x")["a"]
    assert rows.dims == ("rank", "y") and bool(rows[:, 25:].isnull().all())
    right = xr.concat([truth, truth, truth + 1], "realization")
    np.testing.assert_allclose(ranks(right, truth)["a"], [1 / 3, 1 / 3, 1 / 3, 0])
    lazy = ranks(fields.to_dataset().chunk(y=10), truth)["a"]
    np.testing.assert_allclose(lazy.compute(), found)
    with pytest.raises(DataError, match="fill with ds.impute.fill"):
        ranks(truth, truth)
