"""Each baseline against an oracle or a case that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.interpolate import LinearNDInterpolator, RBFInterpolator

from xdiffimpute.baselines import BASELINES
from xdiffimpute.datasets import DATASETS
from xdiffimpute.geometry import Geometry
from xdiffimpute.trials import make_trials


def _frames(seed: int = 0, share: float = 0.5) -> tuple[np.ndarray, Geometry]:
    rng = np.random.default_rng(seed)
    frame = rng.normal(size=(1, 18, 22)).astype(np.float32)
    frame[rng.random(frame.shape) > share] = np.nan
    return frame, Geometry.of((18, 22))


@pytest.mark.parametrize("share", [0.6, 0.9])
def test_linear_equals_the_full_triangulation(share: float) -> None:
    frame, grid = _frames(share=share)
    plane = frame.copy()
    plane[0] = np.where(np.isnan(frame[0]), np.nan, grid.plane @ np.array([0.3, -0.2]))
    out = BASELINES.create("linear").interpolate(
        plane, np.ones(grid.shape, bool), grid, slice(0, 1)
    )[0]
    known = np.isfinite(plane[0])
    full = LinearNDInterpolator(np.argwhere(known).astype(float), plane[0][known])
    expected = full(np.argwhere(~known).astype(float))
    np.testing.assert_allclose(out[~known], expected, atol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 10.0])
def test_thin_plate_equals_scipy(smoothing: float) -> None:
    frame, grid = _frames()
    known = np.isfinite(frame[0])
    count = int(known.sum())
    method = BASELINES.create(
        "thin_plate", smoothing=smoothing, time_scale=np.inf, neighbors=count, slope_penalty=0.0
    )
    out = method.interpolate(frame, np.ones(grid.shape, bool), grid, slice(0, 1))[0]
    spline = RBFInterpolator(
        np.argwhere(known).astype(float), frame[0][known].astype(float), smoothing=smoothing
    )
    expected = np.clip(
        spline(np.argwhere(~known).astype(float)), np.nanmin(frame), np.nanmax(frame)
    )
    np.testing.assert_allclose(out[~known], expected, atol=1e-3)


def test_thin_plate_takes_neighbours_in_one_frame_or_on_one_line() -> None:
    frames = np.full((3, 8, 8), np.nan, dtype=np.float32)
    frames[1, 2, :] = np.arange(8)
    grid = Geometry.of((8, 8), days=np.arange(3.0))
    method = BASELINES.create("thin_plate", time_scale=2.0, smoothing=0.0)
    out = method.interpolate(frames, np.ones((8, 8), bool), grid, slice(0, 3))
    assert np.isfinite(out).all()
    np.testing.assert_allclose(out[1, 3], np.arange(8), atol=0.2)


def test_telea_keeps_more_than_eight_bits() -> None:
    ramp = np.linspace(0.0, 1.0, 400, dtype=np.float32)[None, None].repeat(12, axis=1)
    gappy = ramp.copy()
    gappy[0, 5:7, ::7] = np.nan
    hidden = np.isnan(gappy)
    method = BASELINES.create("telea", radius=3)
    out = method.interpolate(gappy, np.ones((12, 400), bool), Geometry.of((12, 400)), slice(0, 1))
    steps = out[hidden].astype(float) * 255.0
    assert np.abs(steps - np.round(steps)).max() > 0.2
    np.testing.assert_allclose(out, ramp, atol=2.0 / 400)


def test_biharmonic_in_pieces_agrees_with_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    y, x = np.indices((60, 60), dtype=np.float64)
    field = np.sin(x / 9) + np.cos(y / 7)
    gaps = np.random.default_rng(0).random(field.shape) < 0.5
    frame = np.where(gaps, np.nan, field)[None].astype(np.float32)
    grid, domain = Geometry.of((60, 60)), np.ones((60, 60), bool)
    method = BASELINES.create("biharmonic")
    whole = method.interpolate(frame, domain, grid, slice(0, 1))
    monkeypatch.setattr("xdiffimpute.baselines.biharmonic.PIECE", 40)
    monkeypatch.setattr("xdiffimpute.baselines.biharmonic.OVERLAP", 12)
    pieces = method.interpolate(frame, domain, grid, slice(0, 1))
    np.testing.assert_allclose(pieces, whole, atol=0.02)


def test_temporal_carries_no_further_than_its_reach() -> None:
    frames = np.full((8, 1, 2), np.nan, dtype=np.float32)
    frames[0, 0, 0], frames[7, 0, 0], frames[:, 0, 1] = 1.0, 8.0, -1.0
    grid = Geometry.of((1, 2), days=np.arange(8.0))
    out = BASELINES.create("temporal", reach=2).interpolate(
        frames, np.ones((1, 2), bool), grid, slice(0, 8)
    )
    assert out[:, 0, 0].tolist() == [1.0, 1.0, 1.0, -1.0, -1.0, 8.0, 8.0, 8.0]
    out = BASELINES.create("temporal", reach=8).interpolate(
        frames, np.ones((1, 2), bool), grid, slice(0, 8)
    )
    np.testing.assert_allclose(out[:, 0, 0], np.arange(1.0, 9.0), rtol=1e-6)


def test_trials_lay_the_gaps_of_one_frame_over_another() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1, 9, 2, 16, 16)).astype(np.float32)
    values[0, 1::2, :, :6] = np.nan
    values[0, ::2, :, :, 9:] = np.nan
    packed = xr.DataArray(values, dims=("series", "time", "channel", "y", "x"))
    trials = make_trials(packed, halo=2, seed=0)
    assert len(trials) == 9
    for trial in trials:
        frame = values[trial.series, trial.times[trial.now]]
        hidden = trial.hidden
        assert hidden.any() and (np.isfinite(frame) & ~hidden).any()
        np.testing.assert_array_equal(trial.truth[hidden], frame[hidden])
        assert np.isnan(trial.values[trial.now][hidden]).all()


def test_trials_of_fixed_gaps_hide_all_frames_alike() -> None:
    values = np.random.default_rng(0).normal(size=(1, 5, 1, 12, 12)).astype(np.float32)
    values[..., 2:6, 1:5] = np.nan
    packed = xr.DataArray(values, dims=("series", "time", "channel", "y", "x"))
    for trial in make_trials(packed, halo=4, seed=1):
        assert np.isnan(trial.values[:, trial.hidden]).all()


def test_neighbours_are_found_across_the_date_line_and_the_pole() -> None:
    lat, lon = np.meshgrid(np.linspace(-80, 80, 9), np.arange(0.0, 360.0, 20.0), indexing="ij")
    grid = Geometry.of(lat.shape, periodic=True, latitude=lat, longitude=lon)
    known, wanted = np.zeros(lat.shape, bool), np.zeros(lat.shape, bool)
    known[4, 5] = known[4, -1] = known[8, 9] = True
    wanted[4, 0] = wanted[8, 0] = True
    distance, index = grid.neighbours(known, wanted, 1)
    assert [tuple(map(int, np.argwhere(known)[k])) for k in index[:, 0]] == [(4, 17), (8, 9)]
    assert distance[0, 0] == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize(
    "covariance, smoothness", [("exponential", 0.5), ("matern32", 1.5), ("matern52", 2.5)]
)
def test_optimal_interpolation_equals_the_conditional_mean(
    covariance: str, smoothness: float
) -> None:
    """With the true covariance and all observations as neighbours."""
    source = DATASETS.create(
        "gaussian_field", samples=2, shape=(14, 15), length=4.0, smoothness=smoothness
    )
    values = source.open()["field"].values[0]
    seen = np.random.default_rng(0).random(values.shape) < 0.3
    mean, variance = source.posterior(values, seen)
    grid = Geometry.of(values.shape)
    frames, domain = np.where(seen, values, np.float32(np.nan))[None], np.ones(grid.shape, bool)
    settings = {"length": 4.0, "time_scale": 0.0, "noise": 0.0, "covariance": covariance}
    whole = BASELINES.create("optimal_interpolation", neighbors=int(seen.sum()), **settings)
    out = whole.interpolate(frames, domain, grid, slice(0, 1))[0]
    np.testing.assert_allclose(out[~seen], mean[~seen], atol=1e-5)
    near = BASELINES.create("optimal_interpolation", **settings)
    lost = near.interpolate(frames, domain, grid, slice(0, 1))[0] - mean
    assert np.mean(lost[~seen] ** 2) < 0.05 * variance[~seen].mean()


def test_optimal_interpolation_is_tuned_to_the_true_covariance() -> None:
    source = DATASETS.create("gaussian_field", samples=24, length=5.0, smoothness=1.5)
    ds = source.open()
    seen = np.random.default_rng(0).random(ds["field"].shape) < 0.3
    gappy = ds.where(xr.DataArray(seen, dims=ds["field"].dims))
    fitted = BASELINES.create(
        "optimal_interpolation", time="sample", time_scale=0.0, statistics="variable"
    ).fit(gappy)
    after = fitted.fill(gappy)["field"].values
    best = [source.posterior(f, s) for f, s in zip(ds["field"].values, seen)]
    least = np.mean([(m - f)[~s] @ (m - f)[~s] / (~s).sum()
                     for (m, _), f, s in zip(best, ds["field"].values, seen)])  # fmt: skip
    error = np.mean((after - ds["field"].values)[~seen] ** 2)
    assert error < 1.1 * least
    assert fitted.fitted.methods[0].settings["noise"] < 0.1


def test_optimal_interpolation_goes_by_elapsed_time() -> None:
    """An observation of the day before counts for more than one of four days after."""
    frames = np.full((3, 1, 1), np.nan, dtype=np.float32)
    frames[0], frames[2] = 1.0, -1.0
    method = BASELINES.create(
        "optimal_interpolation", length=1.0, time_scale=2.0, noise=0.0, covariance="exponential"
    )
    grid = Geometry.of((1, 1), days=np.array([0.0, 1.0, 5.0, 6.0, 7.0]))
    assert grid.step == 1.0
    out = method.interpolate(frames, np.ones((1, 1), bool), grid.at(grid.days[:3]), slice(1, 2))
    near, far, across = np.exp(-0.5), np.exp(-2.0), np.exp(-2.5)
    weights = np.linalg.solve([[1.0, across], [across, 1.0]], [near, far])
    assert float(out[0, 0, 0]) == pytest.approx(weights[0] - weights[1], abs=1e-5)


def test_optimal_interpolation_is_the_climatology_far_from_data() -> None:
    frame = np.full((1, 1, 60), np.nan, dtype=np.float32)
    frame[0, 0, 0] = 3.0
    method = BASELINES.create("optimal_interpolation", length=2.0, time_scale=0.0)
    grid = Geometry.of((1, 60))
    out = method.interpolate(frame, np.ones(grid.shape, bool), grid, slice(0, 1))
    assert abs(float(out[0, 0, -1])) < 1e-6
