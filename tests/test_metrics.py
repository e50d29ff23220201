"""Metrics against an independent package, against closed forms, and lazily."""

import numpy as np
import pytest
import xarray as xr

from xdiffimpute.datasets import DATASETS
from xdiffimpute.exceptions import DataError
from xdiffimpute.metrics import METRICS
from xdiffimpute.metrics.spectrum_error import spectrum


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    dims, shape = ("time", "y", "x"), (4, 6, 8)
    truth = xr.Dataset({n: (dims, rng.standard_normal(shape)) for n in "ab"})
    filled = truth + 0.3 * xr.Dataset({n: (dims, rng.standard_normal(shape)) for n in "ab"})
    filled["a_standard_error"] = xr.full_like(truth["a"], 0.3)
    filled["b_standard_error"] = abs(xr.full_like(truth["b"], 0.5))
    return filled, truth, truth["a"] > 0


@pytest.mark.parametrize("name", ["mse", "rmse", "mae"])
@pytest.mark.parametrize("dim", [None, "time", ("y", "x")])
def test_agrees_with_scores(pair, name, dim):
    scores = pytest.importorskip("scores")
    filled, truth, where = pair
    theirs = getattr(scores.continuous, name)
    for mask in (None, where):
        ours = METRICS.create(name)(filled, truth, where=mask, dim=dim)
        assert list(ours.data_vars) == ["a", "b"]
        values = filled[["a", "b"]] if mask is None else filled[["a", "b"]].where(mask)
        reduced = {"reduce_dims": truth.dims if dim is None else dim}
        for variable in "ab":
            expected = theirs(values[variable], truth[variable], **reduced)
            xr.testing.assert_allclose(ours[variable].drop_attrs(), expected.drop_attrs())


def test_bias_has_the_sign_of_filled_minus_true(pair):
    filled, truth, where = pair
    bias = METRICS.create("bias")(truth + 2.0, truth, where=where)
    assert float(bias["a"]) == pytest.approx(2.0)


def test_crps_of_members_agrees_with_scores(pair):
    probability = pytest.importorskip("scores.probability")
    _, truth, where = pair
    noise = np.random.default_rng(1).standard_normal((7, *truth["a"].shape))
    members = truth["a"] + xr.DataArray(noise, dims=("realization", *truth["a"].dims))
    ours = METRICS.create("crps")(members.to_dataset(name="a"), truth[["a"]], dim="time")
    theirs = probability.crps_for_ensemble(
        members, truth["a"], "realization", method="ecdf", reduce_dims="time"
    )
    xr.testing.assert_allclose(ours["a"], theirs.drop_attrs())
    part = METRICS.create("crps")(members.to_dataset(name="a"), truth[["a"]], where=where)
    assert np.isfinite(float(part["a"]))


def test_crps_of_a_normal_is_the_limit_of_many_members(pair):
    filled, truth, _ = pair
    noise = np.random.default_rng(1).standard_normal((4000, *truth["b"].shape))
    many = filled["b"] + 0.5 * xr.DataArray(noise, dims=("realization", *truth["b"].dims))
    limit = METRICS.create("crps")(many.to_dataset(name="b"), truth[["b"]])
    exact = METRICS.create("crps")(filled[["b", "b_standard_error"]], truth[["b"]])
    assert float(exact["b"]) == pytest.approx(float(limit["b"]), rel=0.01)
    sure = filled[["b"]].assign(b_standard_error=0 * truth["b"])
    assert float(METRICS.create("crps")(sure, truth)["b"]) == pytest.approx(
        float(METRICS.create("mae")(filled, truth)["b"])
    )


def test_spread_is_the_root_mean_variance(pair):
    filled, truth, _ = pair
    spread = METRICS.create("spread")(filled, truth)
    assert float(spread["a"]) == pytest.approx(0.3)
    members = xr.concat([truth[["a"]] - 1, truth[["a"]] + 1], "realization")
    assert float(METRICS.create("spread")(members, truth)["a"]) == pytest.approx(2**0.5)


@pytest.mark.parametrize("name", ["crps", "spread"])
def test_uncertainty_is_needed(pair, name):
    filled, truth, _ = pair
    with pytest.raises(DataError, match="'realization' or a variable 'a_standard_error'"):
        METRICS.create(name)(filled[["a"]], truth[["a"]])


def test_spectrum_of_a_wave_and_of_a_smoothed_field():
    y, x = np.mgrid[0:16, 0:16]
    wave = np.cos(2 * np.pi * (3 * x + 4 * y) / 16)
    energy = spectrum(wave)
    assert energy.shape == (8,)
    assert energy[4] == pytest.approx(0.5) and energy.sum() == pytest.approx(0.5)
    truth = xr.Dataset({"a": (("y", "x"), np.random.default_rng(0).standard_normal((16, 16)))})
    metric = METRICS.create("spectrum_error")
    assert float(metric(truth, truth)["a"]) == 0
    assert float(metric(10 * truth, truth)["a"]) == pytest.approx(2.0)
    with pytest.raises(DataError, match="leave out where="):
        metric(truth, truth, where=truth["a"] > 0)
    with pytest.raises(DataError, match=r"y='lat'"):
        metric(truth.rename(y="lat"), truth.rename(y="lat"))


def test_the_simulation_is_feasible_and_noise_is_not():
    """The residual of the simulator's own fields is small, and falls with their time step."""
    ds = DATASETS.create("shallow_water", samples=3, shape=(24, 24), frames=8).open()
    metric = METRICS.create("feasibility")
    exact = float(metric(ds, ds)["feasibility"])
    noise = np.random.default_rng(0).standard_normal(ds["h"].shape)
    noisy = ds.assign(h=ds["h"] + 0.02 * float(ds["h"].std()) * noise)
    assert exact < 0.02 * float(metric(noisy, ds)["feasibility"])
    rates = sum(float((ds[n].differentiate("time", datetime_unit="s") ** 2).mean()) for n in "uvh")
    assert exact < 1e-3 * rates / 3
    coarse = ds.isel(time=slice(None, None, 2))
    assert exact < 0.1 * float(metric(coarse, coarse)["feasibility"])
    each = metric(ds, ds, dim=("time", "y", "x"))["feasibility"]
    assert each.dims == ("sample",)


@pytest.mark.parametrize("name", ["u", "v", "h"])
@pytest.mark.parametrize("still", [True, False])
def test_feasibility_sees_noise_from_cell_to_cell(name, still):
    """Also a chequerboard that does not change in time, which central differences would miss."""
    ds = DATASETS.create("shallow_water", samples=1, shape=(16, 16), frames=6).open()
    board = (-1.0) ** np.add.outer(np.arange(16), np.arange(16))
    beat = np.ones(6) if still else (-1.0) ** np.arange(6)
    noise = 0.02 * float(ds[name].std()) * np.multiply.outer(beat, board)
    noisy = ds.assign({name: ds[name] + xr.DataArray(noise, dims=("time", "y", "x"))})
    metric = METRICS.create("feasibility")
    clean, noisy = (float(metric(each, ds)["feasibility"]) for each in (ds, noisy))
    assert noisy > 10 * clean


def test_feasibility_of_a_fill_with_holes_is_not_a_number():
    ds = DATASETS.create("shallow_water", samples=1, shape=(8, 8), frames=4).open()
    holes = ds.assign(h=ds["h"].where(ds["x"] > 1e5))
    assert np.isnan(float(METRICS.create("feasibility")(holes, ds)["feasibility"]))


def test_feasibility_says_what_it_needs():
    ds = DATASETS.create("shallow_water", samples=1, shape=(8, 8), frames=3).open()
    metric = METRICS.create("feasibility")
    with pytest.raises(DataError, match=r"\['f'\] are missing"):
        metric(ds.drop_vars("f"), ds)
    with pytest.raises(DataError, match="three frames, and there are 2"):
        metric(ds.isel(time=slice(2)), ds)
    with pytest.raises(DataError, match="couples cells"):
        metric(ds, ds, where=ds["h"] > 0)


def test_propagation_of_the_true_start_is_the_true_sequence():
    ds = DATASETS.create("advection", samples=2, shape=(16, 16), frames=5).open()
    metric = METRICS.create("propagation")
    assert float(metric(ds, ds)["propagation"]) < 1e-10
    wrong = ds.assign(c=ds["c"] + 0.5)
    assert float(metric(wrong, ds)["propagation"]) == pytest.approx(0.25, rel=1e-3)
    with pytest.raises(DataError, match=r"\['u'\] are missing"):
        metric(ds, ds.drop_vars("u"))


def test_cells_left_empty_are_not_passed_over():
    rng = np.random.default_rng(0)
    truth = xr.Dataset({"a": (("time", "y", "x"), rng.standard_normal((4, 6, 6)))})
    truth["a"][:, 0, 0] = np.nan  # land
    filled = truth.assign(a=truth["a"] + 1)
    assert float(METRICS.create("rmse")(filled, truth)["a"]) == pytest.approx(1.0)
    holed = filled.assign(a=filled["a"].where(filled["time"] != 2))
    for name in ("rmse", "mae", "mse", "bias"):
        metric = METRICS.create(name)
        assert np.isnan(float(metric(holed, truth)["a"]))
        each = metric(holed, truth, dim=("y", "x"))["a"]
        assert each.isnull().values.tolist() == [False, False, True, False]
        asked = metric(holed, truth, where=holed["a"].notnull())
        assert np.isfinite(float(asked["a"]))


def test_no_variable_in_common(pair):
    filled, truth, _ = pair
    with pytest.raises(DataError, match="no variable in common"):
        METRICS.create("rmse")(filled.rename(a="c", b="d"), truth)


@pytest.mark.parametrize("name", METRICS.names())
def test_lazy_and_the_same(name, no_compute, pair):
    if name == "feasibility":
        truth = DATASETS.create("shallow_water", samples=2, shape=(8, 8), frames=4).open()
        filled = truth
    elif name == "propagation":
        truth = DATASETS.create("advection", samples=2, shape=(8, 8), frames=3).open()
        filled = truth + 0.1
    elif name == "rank_histogram":
        _, truth, _ = pair
        filled = xr.concat([truth - 1, truth + 1], "realization").transpose("time", ...)
    else:
        filled, truth, _ = pair
    metric = METRICS.create(name)
    now = metric(filled, truth)
    with no_compute():
        later = metric(filled.chunk(time=1), truth.chunk(time=2))
    assert all(v.chunks is not None for v in later.data_vars.values())
    xr.testing.assert_allclose(later.compute(), now)


def test_crps_of_lazy_members(pair):
    _, truth, _ = pair
    members = xr.concat([truth[["a"]] - 1, truth[["a"]] + 2], "realization")
    lazy = METRICS.create("crps")(members.chunk(realization=1), truth)
    assert lazy["a"].chunks is not None
    xr.testing.assert_allclose(lazy.compute(), METRICS.create("crps")(members, truth))


def test_the_spread_of_a_fill_with_holes_is_not_a_number(pair):
    filled, truth, _ = pair
    filled["a_standard_error"] = filled["a_standard_error"].where(truth["x"] > 0)
    assert np.isnan(float(METRICS.create("spread")(filled, truth)["a"]))
    asked = METRICS.create("spread")(filled, truth, where=truth["x"] > 0)
    assert float(asked["a"]) == pytest.approx(0.3)


def test_feasibility_knows_the_steps_of_both_axes():
    """Cells twice as high as wide: a flow that does not change along y obeys the law as before."""
    ds = DATASETS.create("shallow_water", samples=1, shape=(8, 8), frames=5).open()
    metric = METRICS.create("feasibility")
    tall = ds.assign_coords(y=2 * ds["y"])
    level = ds.assign(
        {n: ds[n].isel(y=0, drop=True).broadcast_like(ds[n]) for n in ("u", "v", "h")}
    )
    stretched = level.assign_coords(y=2 * level["y"])
    same = [float(metric(part, part)["feasibility"]) for part in (level, stretched)]
    assert same[0] == pytest.approx(same[1], rel=1e-6)
    assert float(metric(tall, tall)["feasibility"]) > 10 * float(metric(ds, ds)["feasibility"])
