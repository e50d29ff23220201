"""Gaps that depend on the data are found, others are not; the weights stand for the missing."""

from __future__ import annotations

import logging

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

import xdiffimpute as xdi
from xdiffimpute.checkpoint import read
from xdiffimpute.cli import main
from xdiffimpute.datasets import DATASETS
from xdiffimpute.dependence import warn_of_dependence
from xdiffimpute.exceptions import ArgumentError
from xdiffimpute.fields import FieldSpec
from xdiffimpute.propensity import LARGEST, Propensity
from xdiffimpute.proxies import from_neighbours, from_times, residuals
from xdiffimpute.sign_flips import block_count, chance, merged
from xdiffimpute.survey import sample_values

FRAMES, SIDE = 160, 10


def field(seed: int = 0, frames: int = FRAMES) -> np.ndarray:
    """A field of unit variance, correlated in space and from frame to frame, (T, H, W)."""
    source = DATASETS.create(
        "gaussian_field", samples=frames, shape=(SIDE, SIDE), length=4.0, smoothness=1.5, seed=seed
    )
    out = source.open()["field"].values.astype(float)
    for t in range(1, frames):
        out[t] = 0.8 * out[t - 1] + 0.6 * out[t]
    return out


def gappy(values: np.ndarray, seen: np.ndarray, every: str = "1D") -> xr.Dataset:
    time = pd.date_range("2001-01-01", periods=len(values), freq=every)
    lat = ("y", np.arange(values.shape[1], dtype=float))
    data = (("time", "y", "x"), np.where(seen, values, np.nan).astype(np.float32))
    return xr.Dataset({"speed": data}, coords={"time": time, "y": lat})


def failing(values: np.ndarray, slope: float = 1.5, seed: int = 1) -> np.ndarray:
    draw = np.random.default_rng(seed).random(values.shape)
    return draw < 1 / (1 + np.exp(slope * values - 1.5))


def found(ds: xr.Dataset, level: float = 0.005) -> list[str]:
    p = ds.impute.dependence()["p_value"].sel(variable="speed")
    return [str(kind) for kind in p["kind"].values if p.sel(kind=kind) < level]


def clouds(rng: np.random.Generator) -> np.ndarray:
    """Fields that move with a life of their own."""
    return field(seed=int(rng.integers(1000, 10**6))) > -0.5


INDEPENDENT = {
    "pixels": lambda rng: rng.random((FRAMES, SIDE, SIDE)) < 0.7,
    "few pixels": lambda rng: rng.random((FRAMES, SIDE, SIDE)) < 0.2,
    "blocks": lambda rng: (rng.random((FRAMES, 2, 2)) < 0.6).repeat(5, 1).repeat(5, 2),
    "clouds": clouds,
    "stations": lambda rng: np.broadcast_to(rng.random((SIDE, SIDE)) < 0.5, (FRAMES, SIDE, SIDE)),
    "whole frames": lambda rng: np.ones((1, SIDE, SIDE)) * rng.random((FRAMES, 1, 1)) < 0.7,
}


@pytest.mark.parametrize("pattern", INDEPENDENT)
def test_gaps_without_regard_to_the_data_pass(pattern: str) -> None:
    """Of six seeds, at a level of 0.5%, at most one is flagged."""
    flagged = 0
    for seed in range(6):
        seen = INDEPENDENT[pattern](np.random.default_rng(seed))
        flagged += bool(found(gappy(field(seed), seen, every="6h")))
    assert flagged <= 1


def test_failing_stations_are_flagged_in_every_seed() -> None:
    for seed in range(6):
        values = field(seed)
        kinds = found(gappy(values, failing(values, seed=seed)))
        assert "value" in kinds or "neighbours" in kinds


def test_high_values_missing_have_a_negative_effect_and_a_map() -> None:
    values = field()
    result = gappy(values, failing(values)).impute.dependence()
    assert result["p_value"].dims == ("variable", "kind")
    assert result["association"].dims == ("variable", "kind", "y", "x")
    for kind in ("value", "neighbours"):
        assert result["effect"].sel(variable="speed", kind=kind) < -0.1
        assert float(result["association"].sel(variable="speed", kind=kind).mean()) < -0.1
    assert result["y"].identical(gappy(values, values > 0)["y"])
    assert np.isnan(result["p_value"].sel(kind="season")).all()  # 160 days are no year


def test_a_season_of_gaps_is_that_and_nothing_else() -> None:
    """Values have a season and a trend as well, which must not pass for dependence on them."""
    frames = 300
    angle = 2 * np.pi * np.arange(frames) / 73  # five days a frame
    cycle, trend = np.cos(angle)[:, None, None], np.linspace(0, 2, frames)[:, None, None]
    values = field(frames=frames) + 2 * cycle + trend
    draw = np.random.default_rng(0).random(values.shape)
    assert found(gappy(values, draw < 0.6 + 0.3 * cycle, every="5D")) == ["season"]
    assert found(gappy(values, draw < 0.3 + 0.3 * trend, every="5D")) == []


def test_samples_without_a_time_are_series_of_their_own() -> None:
    truth = DATASETS.create("gaussian_field", samples=200, shape=(SIDE, SIDE), length=4.0).open()
    seen = failing(truth["field"].values)
    result = truth.where(xr.DataArray(seen, dims=truth["field"].dims)).impute.dependence()
    p = result["p_value"].sel(variable="field")
    assert p.sel(kind="neighbours") < 0.005
    assert np.isnan(p.sel(kind="value")) and np.isnan(p.sel(kind="season"))


def test_short_records_are_not_judged() -> None:
    values = field(frames=160)[:4]
    result = gappy(values, failing(values)).impute.dependence()
    assert np.isnan(result["p_value"]).all()


def test_a_fit_says_where_a_record_is_too_short_to_tell(caplog: pytest.LogCaptureFixture) -> None:
    values = field(frames=160)[:8]
    ds = gappy(values, failing(values))
    spec = FieldSpec.from_dataset(ds)
    caplog.set_level(logging.INFO, logger="xdiffimpute")
    warn_of_dependence(spec.pack(ds), spec.clock(ds), spec, weighted=False)
    assert "cannot be told" in caplog.text and "gaps depend on the data:" not in caplog.text


def test_lazy_and_in_memory_agree_and_arguments_are_checked() -> None:
    values = field()
    ds = gappy(values, failing(values))
    eager, lazy = ds.impute.dependence(), ds.chunk(time=7, x=3).impute.dependence()
    xr.testing.assert_allclose(eager, lazy)
    assert eager.identical(ds["speed"].impute.dependence())
    with pytest.raises(ArgumentError, match="variables"):
        ds.impute.dependence(variable="speed")


def test_large_data_are_sampled_in_squares_and_runs() -> None:
    ds = xr.Dataset({"a": (("time", "y", "x"), da.zeros((600, 200, 400), chunks=(100, 200, 400)))})
    packed = FieldSpec.from_dataset(ds).pack(ds)
    sample = sample_values(packed, most=2**20)
    held = sum(piece.values.size for piece in sample.pieces)
    assert 2**19 <= held <= 2**20 and len(sample.pieces) > 1
    assert len(sample.frames) <= 600 and (np.diff(sample.frames) == 1).mean() > 0.9
    rows = [piece.rows.start for piece in sample.pieces]
    assert min(rows) < 100 < max(rows) or len(set(rows)) == 1


def test_proxies_use_what_is_near_and_nothing_of_the_cell_itself() -> None:
    x = np.zeros((1, 9, 5, 5))
    x[0, 4, 2, 2] = 1.0
    seen = np.ones_like(x)
    in_time, _ = from_times(x, seen, np.arange(9))
    in_space, _ = from_neighbours(x, seen)
    assert abs(in_time[0, 4, 2, 2]) < 1e-12 and abs(in_space[0, 4, 2, 2]) < 1e-12
    assert in_time[0, 3, 2, 2] > in_time[0, 2, 2, 2] > 0 and in_time[0, 4, 2, 3] == 0
    assert in_space[0, 4, 2, 3] > in_space[0, 4, 1, 1] > 0 and in_space[0, 3, 2, 2] == 0
    apart, _ = from_times(x, seen, np.arange(9) * 10)  # frames far from one another
    assert not apart.any()


def test_residuals_are_free_of_the_regressors() -> None:
    rng = np.random.default_rng(0)
    phi = np.stack([np.ones(40), np.linspace(-1, 1, 40)], axis=1)
    values, seen = rng.normal(size=(1, 40, 3, 2)), rng.random((1, 40, 3, 2)) < 0.7
    left = residuals(values, seen.astype(float), phi)
    assert np.abs(np.einsum("nr,snhw->rhw", phi, left)).max() < 1e-4
    assert not left[~seen].any()


def test_sign_flips_give_the_exact_share_and_keep_their_level() -> None:
    assert chance(np.outer(*[np.arange(1.0, 9.0)] * 2)) == 1 / 2**7
    assert np.isnan(chance(np.ones((5, 5))))
    assert block_count(100, 60.0) == 0
    assert merged(np.ones(10), 4).sum() == 10
    rng = np.random.default_rng(0)
    p = [chance(np.outer(u, u)) for u in rng.standard_t(3, size=(300, 12))]
    assert np.mean(np.array(p) < 0.05) < 0.08


def test_the_slope_is_found_though_high_values_are_missing() -> None:
    values = field(frames=400)
    seen = failing(values, slope=1.2)
    z = np.where(seen, values, np.nan)[None, :, None]
    one = np.ones((400, 1))
    result = Propensity.estimate([z], np.arange(400), one)
    assert result.slope[0] == pytest.approx(-1.2, abs=0.2)
    weights = result.weights(z[0].transpose(1, 0, 2, 3))[0][seen]
    assert weights.mean() == pytest.approx(1.0, abs=0.05) and weights.max() <= LARGEST * 1.001
    tilted = np.average(values[seen], weights=weights)
    gap = values[~seen].mean() - values[seen].mean()
    assert tilted - values[seen].mean() > 0.8 * gap  # nearly all of the difference is made up


@pytest.mark.parametrize("pattern", ["pixels", "few pixels", "blocks", "clouds", "stations"])
def test_the_slope_is_small_where_gaps_do_not_care(pattern: str) -> None:
    seen, one = INDEPENDENT[pattern](np.random.default_rng(1)), np.ones((FRAMES, 1))
    z = np.where(seen, field(), np.nan)[None, :, None]
    assert abs(Propensity.estimate([z], np.arange(FRAMES), one).slope[0]) < 0.25


def test_clouds_beside_failures_do_not_turn_the_slope_around() -> None:
    """Where many gaps are near, a low proxy means clouds: that must not pass for an effect."""
    values = field(frames=400)
    seen = failing(values) & (field(seed=99, frames=400) > -0.5)
    z = np.where(seen, values, np.nan)[None, :, None]
    assert Propensity.estimate([z], np.arange(400), np.ones((400, 1))).slope[0] < -0.5


def test_without_a_proxy_or_gaps_there_is_no_weight() -> None:
    noise = np.random.default_rng(0).normal(size=(1, 50, 1, 6, 6))
    one = np.ones((50, 1))
    assert Propensity.estimate([noise], np.arange(50), one).slope[0] == 0.0
    alone = np.where(noise > 0, noise, np.nan)  # white: neighbours know nothing
    assert Propensity.estimate([alone], np.arange(50), one).slope[0] == 0.0


def quick(**options: object) -> xdi.DiffusionImputer:
    return xdi.DiffusionImputer(steps=2, window=1, batch=2, progress=False, summary=False,
                                **options)  # fmt: skip


def test_fit_warns_once_and_weights_reach_the_loss(
    tmp_path, caplog: pytest.LogCaptureFixture
) -> None:
    values = field()[:100, :8, :8]
    ds = gappy(values, failing(values))
    caplog.set_level(logging.INFO, logger="xdiffimpute")
    plain = quick().fit(ds)
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(said) == 1
    for part in ("'speed' is observed less often", "p = ", "fit(propensity=True)", "dependence()"):
        assert part in said[0]
    caplog.clear()
    weighted = quick(propensity=True).fit(ds)
    assert not [r for r in caplog.records if r.levelno == logging.WARNING]  # known, and allowed for
    assert weighted.fitted.propensity.slope[0] < -0.5 and plain.fitted.propensity is None
    assert weighted.fitted.history.validation != plain.fitted.history.validation
    weighted.save(tmp_path / "a.imputer")
    again = xdi.load(tmp_path / "a.imputer")
    assert again.fitted.propensity.slope == pytest.approx(weighted.fitted.propensity.slope)
    plain.save(tmp_path / "b.imputer")
    assert not [name for name in read(tmp_path / "b.imputer")[0] if name.startswith("propensity")]


def test_nothing_is_said_of_gaps_at_random(caplog: pytest.LogCaptureFixture) -> None:
    ds = gappy(field(), INDEPENDENT["pixels"](np.random.default_rng(0)))
    spec = FieldSpec.from_dataset(ds)
    caplog.set_level(logging.INFO, logger="xdiffimpute")
    warn_of_dependence(spec.pack(ds), spec.clock(ds), spec, weighted=False)
    assert not caplog.records


def test_the_command_line_has_the_option(tmp_path) -> None:
    values = field()[:100, :8, :8]
    gappy(values, failing(values)).to_netcdf(tmp_path / "a.nc")
    command = ["fit", str(tmp_path / "a.nc"), "--save", str(tmp_path / "a.imputer"), "--propensity"]
    done = CliRunner().invoke(main, [*command, "--steps", "1", "--window", "1", "--batch", "2"])
    assert done.exit_code == 0, done.output
    assert xdi.load(tmp_path / "a.imputer").fitted.propensity is not None
