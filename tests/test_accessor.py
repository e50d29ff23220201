"""The accessor: what it remembers, what it forgets, and what it says."""

import pickle
import warnings

import numpy as np
import pytest
import xarray as xr

from xdiffimpute.baselines import BASELINES
from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.exceptions import DataError, ImputeError, NotFittedError
from xdiffimpute.scoring import describe

pytestmark = pytest.mark.usefixtures("hasty")


@pytest.fixture
def quick():
    return {"steps": 1, "progress": False}


def test_remembers_on_the_object_and_forgets_elsewhere(gappy, quick):
    with pytest.raises(NotFittedError, match=r"imputer = ds.impute.fit\(\); ds.impute.fill"):
        gappy.impute.fill()
    imputer = gappy.impute.fit(**quick)
    xr.testing.assert_identical(
        gappy.impute.fill().drop_attrs(), gappy.impute.fill(imputer).drop_attrs()
    )
    for derived in (gappy.isel(time=slice(0, 9)), gappy.copy(), pickle.loads(pickle.dumps(gappy))):  # noqa: S301
        with pytest.raises(NotFittedError):
            derived.impute.fill()


def test_a_dataarray_comes_back_with_its_error_and_flag(gappy, quick):
    imputer = gappy["sst"].impute.fit(**quick)
    filled = gappy["sst"].impute.fill(imputer)
    assert isinstance(filled, xr.DataArray) and filled.name == "sst"
    assert {"sst_standard_error", "sst_imputation_flag"} <= set(filled.coords)
    xr.testing.assert_identical(
        filled.reset_coords(drop=True).variable, gappy.impute.fill(imputer)["sst"].variable
    )
    nameless = gappy["sst"].rename(None)
    assert nameless.impute.fill("nearest").name is None


def test_observed_is_lazy_and_true_where_observed(gappy, no_compute):
    with no_compute():
        lazy = gappy.chunk(time=3).impute.observed()
    xr.testing.assert_equal(lazy.compute(), gappy.notnull())


def test_exposure_is_a_map_in_zero_to_one_and_zero_on_land(gappy):
    with pytest.warns(UserWarning, match="never observed"):
        found = gappy.impute.exposure()
    assert found["sst"].dims == ("lat", "lon")
    assert float(found["sst"].min()) >= 0 and float(found["sst"].max()) <= 1
    land = ~gappy["sst"].notnull().any("time")
    assert (found["sst"].where(land, drop=True).fillna(0) == 0).all()
    assert (found["sst"].values[~land.values] > 0).all()


def test_exposure_knows_of_observations_between_the_frames_it_samples():
    """A cell that is observed in a hundred of four thousand frames is not "never observed"."""
    rng = np.random.default_rng(0)
    values = np.where(rng.random((4000, 8, 10)) < 0.6, 1.0, np.nan)
    values[:, 3, 3] = np.nan
    values[10:120, 3, 3] = 1.0
    ds = xr.Dataset({"a": (("time", "lat", "lon"), values)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ds.impute.exposure("pixel", window=5)
    assert 0 < float(found["a"][3, 3]) < 0.2 * float(found["a"].median())


def test_exposure_warns_of_the_failure_of_figure_1():
    """Pixels drawn from block gaps: what lies deep in a block is never queried."""
    rng = np.random.default_rng(0)
    masks = np.zeros((40, 24, 24), dtype=bool)
    for mask in masks:
        for block in rng.choice(9, 5, replace=False):
            r, c = divmod(int(block), 3)
            mask[8 * r : 8 * r + 8, 8 * c : 8 * c + 8] = True
    values = np.where(masks, rng.normal(size=masks.shape), np.nan)
    ds = xr.Dataset({"a": (("time", "lat", "lon"), values)})
    with pytest.warns(UserWarning, match="quer"):
        wrong = ds.impute.exposure("pixel")
    right = ds.impute.exposure("auto")
    assert right.attrs["partition"] == "block"
    assert float(right["a"].min()) > 0
    deep = {"lat": [3, 4, 11, 12, 19, 20], "lon": [3, 4, 11, 12, 19, 20]}
    assert float(wrong["a"].isel(deep).mean()) < 0.3 * float(right["a"].isel(deep).mean())


def test_scores_of_baselines_and_networks_have_one_form(gappy, quick):
    ours = gappy.impute.score(gappy.impute.fit(**quick))
    theirs = gappy.impute.score("nearest")
    assert list(ours["imputer"].values) == ["diffusion", "climatology", "linear"]
    assert list(theirs["imputer"].values) == ["nearest", "climatology", "linear"]
    for skill in (ours, theirs):
        assert skill["sst"].attrs["units"] == "degC"
        assert (skill["sst"].sel(metric="rmse") > 0).all()
        assert float(skill["sst"].sel(imputer="linear", metric="rmse")) < 1.0


def test_a_variable_without_a_score_is_told(caplog):
    coords = {"imputer": ["diffusion", "linear"], "metric": ["rmse", "cells"]}
    some, none = np.full((2, 2), 9.0), np.array([[np.nan, 0.0]] * 2)
    skill = xr.Dataset({n: (tuple(coords), v) for n, v in (("sst", some), ("chl", none))}, coords)
    describe(skill)
    assert "no observation of chl could be withheld: nothing tells how good" in caplog.text


def test_scores_of_a_seed_are_at_the_cells_of_its_fit(gappy, quick):
    imputer = gappy.impute.fit(**{k: v for k, v in quick.items() if k != "window"} | {"seed": 3})
    rows = [gappy.impute.score(imputer)]
    rows += [gappy.impute.score("linear", seed=seed) for seed in (3, 4)]
    ours, same, other = (float(r["sst"].sel(imputer="linear", metric="rmse")) for r in rows)
    assert ours == pytest.approx(same, rel=1e-5) and same != pytest.approx(other, rel=1e-3)


def test_where_nothing_can_be_withheld_it_is_told(caplog):
    values = np.full((30, 6, 7), np.nan, dtype="float32")
    for t in range(30):
        values[t, t % 6, (2 * t) % 7] = t
    ds = xr.Dataset({"a": (("time", "lat", "lon"), values)})
    skill = ds.impute.score("climatology")
    assert not skill["a"].sel(metric="cells").any()
    assert "no observation can be withheld in the shape of these data's gaps" in caplog.text


def test_wrong_arguments(gappy, quick):
    imputer = gappy.impute.fit(**quick)
    with pytest.raises(ImputeError, match="^members= can be given for a fitted network"):
        gappy.impute.fill("nearest", members=3)
    with pytest.raises(ImputeError, match="^seed= can be given for a fitted network"):
        gappy.impute.fill(BASELINES.create("nearest").fit(gappy), seed=3)
    xr.testing.assert_equal(gappy.impute.fill("linear", seed=3), gappy.impute.fill("linear"))
    with pytest.raises(ImputeError, match=r"unexpected arguments \['radius'\]"):
        gappy.impute.fill(imputer, radius=3)


def test_unknown_baseline_names_the_nearest(gappy):
    from xdiffimpute.exceptions import UnknownNameError

    for call in (gappy.impute.fill, gappy.impute.score, gappy["sst"].impute.fill):
        with pytest.raises(UnknownNameError, match="Did you mean 'telea'"):
            call("telia")


@pytest.mark.parametrize("method", ["nearest", "network"])
def test_where_nothing_is_missing_the_flag_says_so(gappy, quick, method):
    """In memory and lazily: what is filled month by month can be joined."""
    imputer = gappy.impute.fit(**quick) if method == "network" else method
    whole = gappy.fillna(1.0)
    filled = whole.impute.fill(imputer)
    xr.testing.assert_equal(filled["sst"], whole["sst"])
    assert set(filled.data_vars) == set(gappy.impute.fill(imputer).data_vars)
    for companion in set(filled.data_vars) - {"sst"}:
        assert not filled[companion].any() and filled[companion].notnull().all()
    xr.testing.assert_equal(filled, whole.chunk(time=5).impute.fill(imputer).compute())
    array = whole["sst"].impute.fill(imputer)
    xr.testing.assert_equal(array.reset_coords(drop=True), whole["sst"])


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("method", ["linear", "network"])
def test_fill_values_left_in_data_without_gaps_are_found(gappy, quick, method, lazy):
    """Undecoded, the missing values look observed, and nothing looks missing."""
    imputer = gappy.impute.fit(**quick) if method == "network" else method
    whole = gappy.fillna(-999.0)
    with pytest.raises(ImputeError, match="undecoded fill values: -999"):
        (whole.chunk(time=5) if lazy else whole).impute.fill(imputer).compute()


def test_a_file_that_is_not_there(gappy):
    with pytest.raises(ImputeError, match="there is no file 'sst.imputer'"):
        gappy.impute.fill("sst.imputer")


def test_where_through_the_accessor(gappy, quick):
    land = ~gappy["sst"].notnull().any("time")
    filled = gappy.impute.fill(gappy.impute.fit(**quick), where=land)
    flag = filled["sst_imputation_flag"]
    assert ((flag == 1) == (land & gappy["sst"].isnull())).all()
    named = gappy["sst"].impute.fill("nearest", where=land)
    assert int((named["sst_imputation_flag"] == 1).sum()) == int((flag == 1).sum())


def test_scores_take_the_layout_and_leave_a_fitted_baseline_alone(gappy):
    from xdiffimpute.baselines import BASELINES

    strange = gappy.drop_vars(["lat", "lon"]).rename(lat="row", lon="column")
    skill = strange.impute.score("nearest", y="row", x="column")
    assert np.isfinite(skill["sst"].sel(metric="rmse")).all()
    fitted = BASELINES.create("nearest").fit(gappy)
    before = fitted.fitted
    gappy.impute.score(fitted)
    assert fitted.fitted is before
    two = gappy.assign(other=gappy["sst"] * 2)
    assert list(two.impute.score("nearest", variables=["other"]).data_vars) == ["other"]


def test_state_does_not_survive_copies_and_pickles_stay_small(gappy, quick):
    size = len(pickle.dumps(gappy))
    gappy.impute.fit(**quick)
    assert len(pickle.dumps(gappy)) < size + 500
    assert pickle.loads(pickle.dumps(gappy.impute))._imputer is None  # noqa: S301


def test_exposure_of_one_variable_and_of_levels(gappy):
    sea = gappy.isel(lon=slice(1, None))
    found = sea["sst"].impute.exposure()
    assert isinstance(found, xr.DataArray) and found.dims == ("lat", "lon")
    levels = xr.concat([sea["sst"], sea["sst"] + 1], "level").to_dataset(name="t")
    assert levels.impute.exposure(extra_dims="channels")["t"].dims == ("level", "lat", "lon")
    assert levels.impute.exposure()["t"].dims == ("lat", "lon")
    assert found.attrs["units"] == "1" and "time" not in found.coords


def test_an_array_of_variables_can_be_filled(gappy):
    """to_array() names its dim "variable", and the result has no name."""
    array = gappy.assign(other=gappy["sst"] + 1).to_array()
    filled = array.impute.fill("linear")
    assert filled.name is None and filled.dims == array.dims


def test_what_was_trained_survives_the_comparison_after_it(gappy, quick, monkeypatch, caplog):
    """Stopped by hand, or failed: the network is there."""

    def stop(*_):
        raise KeyboardInterrupt

    def fail(*_):
        raise DataError("a worker is gone")

    monkeypatch.setattr(DiffusionImputer, "score", stop)
    with pytest.raises(KeyboardInterrupt):
        gappy.impute.fit(**quick)
    assert gappy.impute.fill()["sst"].notnull().any()
    monkeypatch.setattr(DiffusionImputer, "score", fail)
    imputer = gappy.impute.fit(**quick)
    assert imputer.is_fitted and not imputer.fitted.skill
    assert "comparison after the training failed: a worker is gone" in caplog.text


@pytest.mark.filterwarnings("ignore:2 of 99 cells are never observed")
def test_the_partition_of_a_fit_with_covariates_is_of_its_fields(gappy, quick):
    whole = gappy.assign(forecast=gappy["sst"].fillna(10.0))
    imputer = whole.impute.fit(covariates="forecast", **quick)
    assert imputer.fitted.partition.given == 1
    exposure = gappy.impute.exposure(imputer.fitted.partition)
    assert float(exposure["sst"].max()) > 0
    again = gappy.impute.fit(partition=imputer.fitted.partition, **quick)
    assert again.fitted.domain().any()
    assert "forecast" not in repr(imputer)
