"""The whole route with a network trained for a few steps: what must hold whatever it learned."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors import safe_open

import xdiffimpute as xdi
from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.exceptions import CompatibilityError, ImputeError, NotFittedError
from xdiffimpute.fitting import _clearly_less
from xdiffimpute.masks import MASKS
from xdiffimpute.reconstruction import Filler
from xdiffimpute.request import Request
from xdiffimpute.samplers import SAMPLERS

pytestmark = pytest.mark.usefixtures("hasty")


def make(offset=0.0, frames=24, shape=(12, 16), globe=False, seed=0):
    """Smooth moving waves with clouds and some land."""
    rng = np.random.default_rng(seed)
    t, y, x = np.meshgrid(np.arange(frames), *map(np.arange, shape), indexing="ij")
    sst = 15 + 3 * np.sin(2 * np.pi * (x / shape[1] - t / 12)) + y / 6
    clouds = rng.random((frames, shape[0] // 2, shape[1] // 2)).repeat(2, 1).repeat(2, 2) < 0.35
    land = (x == 0) & (y < 4) & (not globe)
    lon = np.arange(shape[1]) * (360.0 / shape[1] if globe else 0.5)
    return xr.Dataset(
        {"sst": (("time", "lat", "lon"), np.where(clouds | land, np.nan, sst + offset))},
        coords={
            "time": np.datetime64("2003-01-01", "ns") + np.arange(frames) * np.timedelta64(1, "D"),
            "lat": np.linspace(-50, 50, shape[0]),
            "lon": lon,
        },
    ).assign_attrs(Conventions="CF-1.8")


def fit(ds, **options):
    settings = {"steps": 3, "window": 4, "seed": 0, "progress": False} | options
    return ds.impute.fit(**settings)


@pytest.fixture(scope="module")
def fitted():
    ds = make()
    return ds, fit(ds)


def test_observed_exact_gaps_filled_land_left(fitted):
    ds, imputer = fitted
    filled = imputer.fill(ds)
    seen = ds["sst"].notnull().values
    assert np.array_equal(filled["sst"].values[seen], ds["sst"].values[seen])
    land = ~seen.any(axis=0)
    assert land.sum() == 4
    assert np.isnan(filled["sst"].values[:, land]).all()
    assert np.isfinite(filled["sst"].values[:, ~land]).all()
    flag = filled["sst_imputation_flag"].values
    assert ((flag == 0) == seen).all() and ((flag == 2) == land).all()
    error = filled["sst_standard_error"].values
    assert (
        (error[seen] == 0).all() and (error[flag == 1] > 0).all() and np.isnan(error[:, land]).all()
    )
    assert filled["sst"].dtype == ds["sst"].dtype
    assert f"filled by diffusion, standard, {imputer.fitted.sampler}" in filled.attrs["history"]


def test_lazy_until_asked_and_the_same_under_any_chunks(fitted, no_compute, monkeypatch):
    """Also with several segments, whose windows reach into one another."""
    monkeypatch.setattr("xdiffimpute.reconstruction.SEGMENT_FRAMES", 7)
    ds, imputer = fitted
    eager = imputer.fill(ds)
    for chunks in ({"time": 5}, {"time": 1, "lat": 5}, {"time": -1, "lon": 7}):
        lazy_input = ds.chunk(chunks)
        with no_compute():
            lazy = imputer.fill(lazy_input)
            assert all(lazy[v].chunks for v in lazy.data_vars)
        xr.testing.assert_allclose(lazy.compute(), eager, rtol=1e-6, atol=1e-6)


def test_the_same_on_a_cluster_of_two_workers(fitted):
    from distributed import Client, LocalCluster

    ds, imputer = fitted
    eager = imputer.fill(ds)
    options = {
        "n_workers": 2,
        "threads_per_worker": 1,
        "processes": True,
        "dashboard_address": ":0",  # any free port
    }
    with LocalCluster(**options) as cluster, Client(cluster):
        result = imputer.fill(ds.chunk(time=6)).compute()
    xr.testing.assert_allclose(result, eager, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "sampler", ["single_pass", "ensemble", pytest.param("multi_step", marks=pytest.mark.slow)]
)
def test_saved_and_loaded_in_a_new_process_it_fills_identically(fitted, tmp_path, sampler):
    ds, imputer = fitted
    imputer.save(tmp_path / "m.imputer")
    ds.to_netcdf(tmp_path / "in.nc")
    code = (
        "import torch, xarray as xr, xdiffimpute as xdi; torch.set_num_threads(1)\n"
        f"imputer = xdi.load({str(tmp_path / 'm.imputer')!r})\n"
        f"ds = xr.open_dataset({str(tmp_path / 'in.nc')!r})\n"
        f"imputer.fill(ds, sampler={sampler!r}).to_netcdf({str(tmp_path / 'out.nc')!r})\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    here = imputer.fill(ds, sampler=sampler)
    torch.set_num_threads(before)
    with xr.open_dataset(tmp_path / "out.nc") as there:
        for name in ("sst", "sst_standard_error", "sst_imputation_flag"):
            np.testing.assert_array_equal(there[name].values, here[name].values)


def test_the_seed_decides_and_steps_are_repeatable():
    ds = make()
    one, two, other = (fit(ds, seed=s).fill(ds)["sst"] for s in (0, 0, 1))
    xr.testing.assert_identical(one, two)
    assert not np.allclose(one, other)


def test_kelvin_and_celsius_give_the_same_fill():
    celsius, kelvin = make(), make(offset=273.15)
    first, second = fit(celsius), fit(kelvin)
    short = SAMPLERS.create("multi_step", steps=20, members=2)
    for name in ("single_pass", "ensemble", short):
        a = first.fill(celsius, sampler=name)["sst"]
        b = second.fill(kelvin, sampler=name)["sst"] - 273.15
        np.testing.assert_allclose(a, b, atol=5e-3)


def test_converts_units_of_other_data(fitted):
    ds, _ = fitted
    celsius = ds.copy()
    celsius["sst"].attrs["units"] = "degC"
    kelvin = celsius + 273.15
    kelvin["sst"].attrs["units"] = "K"
    imputer = fit(celsius)
    expected = imputer.fill(celsius)["sst"] + 273.15
    np.testing.assert_allclose(imputer.fill(kelvin)["sst"], expected, atol=1e-3)
    wrong = celsius.copy()
    wrong["sst"].attrs["units"] = "m s-1"
    with pytest.raises(CompatibilityError, match="is no conversion"):
        imputer.fill(wrong)


def test_withheld_cells_never_reach_training(fitted):
    """Change the withheld values wildly: climatology, guesses and their mixture stay the same."""
    ds, imputer = fitted
    held = imputer.fitted.withheld
    assert held.cells > 0
    other = ds.copy(deep=True)
    for t, mask in zip(held.time, held.masks, strict=True):
        other["sst"].values[t][mask[0]] += 7.0
    again = fit(other)
    assert np.array_equal(again.fitted.withheld.masks, held.masks)
    assert np.array_equal(
        again.fitted.statistics.coefficients, imputer.fitted.statistics.coefficients
    )
    first, second = imputer.fitted.denoiser, again.fitted.denoiser
    assert first.prior.equal(second.prior) and first.first.springs.equal(second.first.springs)
    assert first.first.lags.equal(second.first.lags)
    assert again.fitted.history.loss == imputer.fitted.history.loss


def test_small_data_are_read_once():
    ds, reads = make(), []

    def read(values):
        if values.size:
            reads.append(values.shape)
        return values

    lazy = ds.chunk(time=6).map(
        lambda v: v.copy(data=v.data.map_blocks(read, dtype=v.dtype, meta=v.data._meta))
    )
    fit(lazy, steps=1)
    assert reads == [(6, 12, 16)] * 4


def test_segments_do_not_show(fitted, monkeypatch):
    """Windows that reach over the end of a segment are the same from both sides."""
    ds, imputer = fitted
    whole = imputer.fill(ds)
    monkeypatch.setattr("xdiffimpute.reconstruction.SEGMENT_FRAMES", 5)
    xr.testing.assert_allclose(imputer.fill(ds), whole, rtol=1e-5, atol=1e-5)


def test_cells_that_are_never_queried_stay_missing():
    """Split by single pixels, a block's centre is never queried: Figure 1's failure."""
    rng = np.random.default_rng(0)
    pattern = MASKS.create("block", grid=(3, 3), kept=5)
    seen = pattern(np.ones((1, 40, 24, 24), dtype=bool), rng)[0]
    ds = xr.Dataset({"a": (("time", "lat", "lon"), np.where(seen, rng.random(seen.shape), np.nan))})
    ds = ds.assign_coords(lat=np.arange(24.0), lon=np.arange(24.0))
    imputer = fit(ds, partition="pixel", window=1, steps=1)
    unreachable = imputer.fitted.unreachable[0]
    assert unreachable.any() and not unreachable.all()
    filled = imputer.fill(ds)
    assert np.isnan(filled["a"].values[0][unreachable & ~seen[0]]).all()
    assert (filled["a_imputation_flag"].values[0][unreachable & ~seen[0]] == 2).all()
    assert np.isfinite(filled["a"].values[0][~unreachable]).all()
    everywhere = xr.DataArray(np.ones((24, 24), bool), dims=("lat", "lon"))
    assert np.isfinite(imputer.fill(ds, where=everywhere)["a"]).all()


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("value, message", [(-999.0, "fill values: -999"), (np.inf, "infinite")])
def test_bad_values_are_found_when_filling(fitted, lazy, value, message):
    ds, imputer = fitted
    bad = ds.copy(deep=True)
    bad["sst"].values[3, 4] = value
    with pytest.raises(ImputeError, match=message):
        imputer.fill(bad.chunk(time=6) if lazy else bad).compute()


def test_score_of_data_whose_frames_were_empty_in_the_fit():
    """A frame of which nothing was withheld does not make other data look like those of the fit."""
    ds, other = make(frames=160), make(frames=160, offset=1.0, seed=5)
    empty = np.arange(160) % 3 == 0
    ds, other = (
        d.assign(sst=d["sst"].where(~xr.DataArray(empty, dims="time"))) for d in (ds, other)
    )
    imputer = fit(ds, steps=1)
    assert not imputer.fitted.withheld.masks.any(axis=(1, 2, 3)).all()
    skill = imputer.score(other)["sst"]
    assert (skill.sel(metric="cells") > 0).all() and np.isfinite(skill.sel(metric="rmse")).all()


def test_a_curvilinear_grid_travels_as_arrays(tmp_path):
    ds = make().drop_vars(["lat", "lon"]).rename(lat="y", lon="x")
    y, x = np.meshgrid(np.arange(12.0), np.arange(16.0), indexing="ij")
    about = {"lat": ("latitude", "degrees_north"), "lon": ("longitude", "degrees_east")}
    places = {"lat": 40 + y + 0.1 * x, "lon": x - 0.1 * y}
    ds = ds.assign_coords(
        {
            n: (("y", "x"), v, {"standard_name": about[n][0], "units": about[n][1]})
            for n, v in places.items()
        }
    )
    imputer = fit(ds, steps=1, y="y", x="x")
    imputer.save(tmp_path / "m.imputer")
    with safe_open(tmp_path / "m.imputer", framework="numpy") as store:
        assert json.loads(store.metadata()["config"])["spec"]["grid"]["latitude"] is None
    again = xdi.load(tmp_path / "m.imputer")
    assert again.fitted.spec.grid == imputer.fitted.spec.grid
    xr.testing.assert_identical(
        again.fill(ds)["sst"].drop_attrs(), imputer.fill(ds)["sst"].drop_attrs()
    )


def test_score_uses_the_withheld_cells_and_compares(fitted):
    ds, imputer = fitted
    skill = imputer.score(ds)
    assert list(skill["imputer"].values) == ["diffusion", "climatology", "linear"]
    assert (
        int(skill["sst"].sel(imputer="diffusion", metric="cells")) == imputer.fitted.withheld.cells
    )
    assert (skill["sst"].sel(metric="rmse") > 0).all()
    fresh = make(seed=5).assign_coords(time=ds["time"] + np.timedelta64(4000, "D"))
    assert int(imputer.score(fresh)["sst"].sel(imputer="linear", metric="cells")) > 0


def test_several_variables_extra_dims_and_no_time():
    ds = make()
    both = ds.assign(chl=ds["sst"].isel(lat=slice(None, None, -1)).copy(data=ds["sst"].values * 2))
    filled = both.impute.fill(fit(both, steps=1))
    assert {"sst", "chl", "chl_standard_error"} <= set(filled)
    levels = xr.concat([ds["sst"], ds["sst"] + 5], "level").transpose("time", "lat", "level", "lon")
    for how in ("series", "channels"):
        imputer = fit(levels.to_dataset(name="t"), extra_dims=how, steps=1)
        out = imputer.fill(levels.to_dataset(name="t"))["t"]
        assert out.dims == levels.dims
        assert np.isfinite(out.values[:, :, :, 1:]).all()
    still = ds.isel(time=[3, 4, 5, 6, 7, 8]).rename(time="realization").drop_vars("realization")
    imputer = fit(still, extra_dims="series", steps=1)
    assert imputer.fitted.window == 1
    assert imputer.fill(still)["sst"].dims == still["sst"].dims


def test_tiles_wrap_around_the_globe_and_leave_no_seam():
    ds = make(globe=True, shape=(16, 36))
    imputer = fit(ds, tile=12, statistics="variable")
    assert imputer.fitted.spec.periodic
    filled = imputer.fill(ds)["sst"]
    assert np.isfinite(filled.values).all()
    steps = abs(filled - filled.roll(lon=1, roll_coords=False)).mean(("time", "lat"))
    assert float(steps[0]) < 1.5 * float(steps.mean())


def test_a_region_of_a_globe_has_an_east_and_a_west_end():
    """What lies at its western end does not reach the eastern one."""
    ds = make(globe=True, shape=(12, 24))
    imputer = fit(ds, statistics="variable")
    assert imputer.fitted.denoiser.periodic
    region = ds.isel(lon=slice(0, 8)).copy(deep=True)
    other = region.copy(deep=True)
    other["sst"][..., 0] += 3.0
    first, second = (imputer.fill(part)["sst"] for part in (region, other))
    assert np.isfinite(first.values).all()
    hidden = region["sst"].isnull()
    change = abs(second - first).where(hidden).mean(("time", "lat"))
    assert float(change[1]) > 0.01 and float(change[-1]) < 0.6 * float(change[1])


def test_another_grid_of_the_same_spacing_needs_a_climatology_of_the_variable(fitted, no_compute):
    ds, _ = fitted
    east = ds.assign_coords(lon=ds["lon"] + 40)
    imputer = fit(ds, statistics="variable")
    with no_compute():
        lazy = imputer.fill(east.chunk(time=6))
    assert np.isfinite(lazy["sst"].values[:, :, 1:]).all()
    with pytest.raises(CompatibilityError, match="statistics='variable'"):
        fit(ds, statistics="cell").fill(east)


def test_wrong_use_is_explained(fitted):
    ds, imputer = fitted
    with pytest.raises(NotFittedError, match=r"call imputer.fit\(ds\) first"):
        DiffusionImputer().fill(ds)
    with pytest.raises(ImputeError, match="unknown options"):
        DiffusionImputer(epochs=3)
    with pytest.raises(ImputeError, match="steps=0 must be a whole number of 1 or more"):
        fit(ds, steps=0)
    assert "not fitted" in repr(DiffusionImputer()) and "3 steps" in repr(imputer)


def test_a_segment_reads_the_frames_its_windows_touch(fitted):
    ds, imputer = fitted
    _, filler = Request().filler(imputer.fitted, ds, imputer.fitted.spec)
    assert filler.windows()[0] == 0 and filler.windows()[-1] == 24 - 4
    low, high = filler.segment(8, 12)
    assert low <= 8 - 2 and high >= 12 + 2


def test_public_names():
    assert xdi.DiffusionImputer is DiffusionImputer
    assert callable(xdi.load)
    with pytest.raises(AttributeError, match="nothing"):
        _ = xdi.nothing


def test_another_interval_between_frames_is_refused(fitted):
    ds, imputer = fitted
    with pytest.raises(CompatibilityError, match="1 days apart, these are 5 days apart"):
        imputer.fill(ds.isel(time=slice(None, None, 5)))
    with pytest.raises(ImputeError, match="not in order"):
        imputer.fill(ds.isel(time=[2, 1]))
    assert imputer.fill(ds.isel(time=[3]))["sst"].notnull().any()


def test_a_season_needs_dates():
    ds = make(frames=90).assign_coords(
        time=np.datetime64("2003-01-01", "ns") + np.arange(90) * np.timedelta64(8, "D")
    )
    imputer = fit(ds, statistics="seasonal")
    with pytest.raises(CompatibilityError, match="seasonal climatology, and these data have no"):
        imputer.fill(ds.drop_vars("time"))


def test_levels_as_channels_keep_their_order():
    levels = xr.concat([make()["sst"], make(seed=1)["sst"]], "level").assign_coords(
        level=[500, 850]
    )
    imputer = fit(levels.to_dataset(name="t"), extra_dims="channels")
    with pytest.raises(CompatibilityError, match=r"'level' = 500, 850 .*have 850, 500"):
        imputer.fill(levels.isel(level=[1, 0]).to_dataset(name="t"))


def test_a_second_fill_keeps_the_first_ones_standard_error(fitted):
    ds, imputer = fitted
    north = xr.DataArray(np.arange(12) >= 6, dims="lat") & xr.ones_like(ds["lon"], dtype=bool)
    first = imputer.fill(ds, where=north)
    second = imputer.fill(first, where=~north)
    for name in ("sst", "sst_standard_error"):
        part = {"lat": slice(6, None)}
        xr.testing.assert_equal(second[name].isel(part), first[name].isel(part))
    imputed = second["sst_imputation_flag"] == 1
    assert bool((second["sst_standard_error"].where(imputed) != 0).all())


def test_another_seed_draws_another_sample(fitted):
    ds, imputer = fitted
    sampler = SAMPLERS.create("multi_step", steps=3, members=1)
    one, two, three = (imputer.fill(ds, sampler=sampler, seed=s)["sst"] for s in (0, 0, 1))
    assert one.equals(two) and not one.equals(three)


def test_an_ensemble_does_not_depend_on_how_the_frames_are_cut(fitted):
    """Windows have contexts of their own, wherever the segment that is filled begins."""
    ds, imputer = fitted
    spec = imputer.fitted.spec
    asked = Request(SAMPLERS.create("ensemble", members=3))
    name, filler = asked.filler(imputer.fitted, ds, spec)
    assert name == "ensemble"
    values = spec.pack(ds).values[0]
    whole = filler(values, 0, 0, 24)
    low, high = filler.segment(10, 24)
    part = filler(values[low:high], 0, 10, 24)
    np.testing.assert_allclose(part, whole[:, 10:], atol=2e-5)


def test_withheld_frames_are_found_wherever_observations_are():
    """A campaign: few frames hold anything at all."""
    ds = make(frames=60)
    ds["sst"][np.setdiff1d(np.arange(60), [7, 30, 31, 32])] = np.nan
    for seed in range(2):
        assert fit(ds, steps=1, seed=seed).fitted.withheld.cells > 0


def test_one_field_is_scored_at_the_same_cells_by_all(fitted):
    skill = make(frames=1)["sst"].impute.score("linear")
    rows = skill["sst"].sel(metric="cells")
    assert int(rows.min()) == int(rows.max()) > 0


def test_logarithms_of_unknown_variables_are_refused(fitted):
    with pytest.raises(ImputeError, match=r"log='chl' names \['chl'\].*\['sst'\]"):
        fit(fitted[0], log="chl")


def test_a_fit_leaves_the_global_generator_alone(fitted):
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(make(frames=8), steps=1)
    assert torch.equal(torch.rand(3), expected)


def count_windows(monkeypatch):
    """First frames of the windows that go through the network."""
    seen, predict = [], Filler._predict

    def counted(self, z, times, series, low, draw):
        seen.extend(times)
        return predict(self, z, times, series, low, draw)

    monkeypatch.setattr(Filler, "_predict", counted)
    return seen


def test_frames_that_lack_nothing_cost_nothing(fitted, monkeypatch):
    ds, imputer = fitted
    whole = imputer.fill(ds)
    few = ds.assign(sst=whole["sst"].where(ds["time"] != ds["time"][9], ds["sst"]))
    expected = count_windows(monkeypatch)
    filled = imputer.fill(few)
    assert expected == [t for t in range(0, 24, 2) if t <= 9 < t + 4]
    assert int(filled["sst"].isnull().sum()) == int(whole["sst"].isnull().sum())
    imputer.fill(few, where=xr.ones_like(few["sst"], dtype=bool))
    assert len(set(expected)) > 10  # land is asked for, in every frame


def test_a_score_fills_no_more_than_the_withheld_frames(monkeypatch):
    ds = make(frames=200).chunk(time=50)
    imputer = DiffusionImputer(steps=1, window=4, progress=False, summary=False).fit(ds)
    seen = count_windows(monkeypatch)
    skill = imputer.score(ds)
    withheld = imputer.fitted.withheld.time
    near = {t for t in range(0, 200, 2) if ((withheld >= t) & (withheld < t + 4)).any()}
    assert set(seen) == near and len(near) < 60
    assert np.isfinite(skill["sst"].sel(metric="rmse")).all()


def test_a_sampler_is_chosen_on_some_windows_after_a_short_training(monkeypatch):
    from xdiffimpute.verification import Verification

    asked, judge = [], Verification.judge

    def counted(self, denoiser, run, most=None, kriging=None):
        asked.append((most, self.windows))
        return judge(self, denoiser, run, most, kriging)

    monkeypatch.setattr(Verification, "judge", counted)
    DiffusionImputer(steps=2, window=2, progress=False, summary=False).fit(make(frames=200))
    assert [most for most, _ in asked[-2:]] == [8, 8] and asked[-1][1] > 8


def test_frames_of_which_nothing_was_withheld_judge_nothing(monkeypatch) -> None:
    """They are not among the windows that there is time for."""
    from xdiffimpute import verification

    places, judging = verification._places, []

    def counted(withheld, *others):
        judging.append(withheld.masks.any(axis=(1, 2, 3)))
        return places(withheld, *others)

    monkeypatch.setattr(verification, "_places", counted)
    ds = make(frames=80)
    empty = xr.DataArray(np.arange(80) % 5 > 0, dims="time")
    fitted = fit(ds.assign(sst=ds["sst"].where(~empty)), steps=1).fitted
    assert not fitted.withheld.masks.any(axis=(1, 2, 3)).all()
    assert judging and all(held.all() and len(held) for held in judging)


def test_checks_make_the_first_guesses_of_a_window_once(monkeypatch):
    """They depend on what is observed alone; every check of a training would make them again."""
    from xdiffimpute.denoiser import Denoiser
    from xdiffimpute.verification import Verification

    guess, compare, counts = Denoiser.guess, Verification._compare, []

    def counted(self, x, *args, **kwargs):
        counts.append(len(x))
        return guess(self, x, *args, **kwargs)

    def compared(self, denoiser, run, picked):
        counts.clear()
        found, made = compare(self, denoiser, run, picked), sum(counts)
        if not run.draws:
            seen.append((made, len(picked)))
            monkeypatch.setattr(Verification, "_guesses", lambda *_: None)
            again = compare(self, denoiser, run, picked)
            monkeypatch.setattr(Verification, "_guesses", remembered)
            assert all(map(torch.equal, found, again))
        return found

    seen, remembered = [], Verification._guesses
    monkeypatch.setattr(Denoiser, "guess", counted)
    monkeypatch.setattr(Verification, "_compare", compared)
    DiffusionImputer(steps=12, window=2, progress=False, summary=False).fit(make(frames=60))
    (first, windows), *others = seen
    assert first == windows and len(others) > 3 and not any(made for made, _ in others)


@pytest.mark.parametrize(("differ", "expected"), [(0.0, "variable"), (2.0, "cell")])
def test_means_of_cells_only_where_they_help(differ: float, expected: str) -> None:
    """Of many samples without time: the noise of the means is what no guess can remove."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:12, 0:12]
    phase = rng.uniform(0, 6, size=(80, 2, 1, 1))
    values = np.sin(y / 4 + phase[:, 0]) + np.cos(x / 4 + phase[:, 1])
    values = values + differ * rng.standard_normal((12, 12))
    seen = rng.random(values.shape) < 0.5
    ds = xr.Dataset({"a": (("sample", "y", "x"), np.where(seen, values, np.nan))})
    imputer = ds.impute.fit(steps=1, progress=False)
    assert imputer.fitted.statistics.kind == expected


def test_means_of_cells_need_more_than_luck() -> None:
    """Of windows by the dozen a gain counts where it is beyond its doubt, of a few in any case."""
    rng = np.random.default_rng(0)
    cells = np.full((1, 40), 5.0)
    noise = rng.standard_normal((1, 40))
    assert not _clearly_less(5.0 + noise, 5.1 + noise[:, ::-1], cells).any()
    assert _clearly_less(5.0 + noise, 7.0 + noise[:, ::-1], cells).all()
    assert _clearly_less(5.0 + noise, 5.1 + noise, cells).all()
    assert _clearly_less(np.full((1, 2), 5.0), np.array([[5.0, 5.1]]), cells[:, :2]).all()
    assert not _clearly_less(np.zeros((1, 0)), np.zeros((1, 0)), np.zeros((1, 0))).any()
