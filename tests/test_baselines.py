"""What every baseline must do; a new file in the family is tested by itself."""

from __future__ import annotations

import builtins
import logging
import subprocess
import sys

import dask
import numpy as np
import pytest
import xarray as xr

from xdiffimpute.baselines import BASELINES
from xdiffimpute.exceptions import CompatibilityError, ImputeError, UnknownNameError

NAMES = BASELINES.names()
FRAMES, ROWS, COLUMNS = 12, 20, 24
# Root mean square error over the spread of the truth, on a smooth field with 45% missing.
LIMITS = {"climatology": 1.1, "telea": 0.45, "navier_stokes": 0.4, "nearest": 0.45}
GOOD = 0.25


def _truth() -> xr.Dataset:
    t, y, x = np.meshgrid(
        np.arange(FRAMES), np.arange(ROWS), np.arange(COLUMNS), indexing="ij", sparse=True
    )
    wave = np.sin(2 * np.pi * (x / 20 - t / 15)) * np.cos(2 * np.pi * y / 26)
    field = 15.0 + 3.0 * wave - 0.1 * y + 1.5 * np.sin(2 * np.pi * (x + y + t) / 30)
    return xr.Dataset(
        {"sst": (("time", "lat", "lon"), field.astype(np.float32), {"units": "degC"})},
        coords={
            "time": np.datetime64("2020-01-01", "ns") + np.arange(FRAMES) * np.timedelta64(1, "D"),
            "lat": ("lat", np.arange(ROWS) * 0.5 + 30.0, {"standard_name": "latitude"}),
            "lon": ("lon", np.arange(COLUMNS) * 0.5 - 20.0, {"standard_name": "longitude"}),
        },
    )


def _land() -> np.ndarray:
    land = np.zeros((ROWS, COLUMNS), dtype=bool)
    land[:5, :6] = True
    return land


def _seen() -> np.ndarray:
    rng = np.random.default_rng(1)
    seen = rng.random((FRAMES, ROWS, COLUMNS)) < 0.65
    for frame in seen:
        y, x = rng.integers(0, ROWS - 5), rng.integers(0, COLUMNS - 6)
        frame[y : y + 5, x : x + 6] = False
    seen[:, _land()] = False
    return seen


@pytest.fixture(scope="module")
def truth() -> xr.Dataset:
    return _truth()


@pytest.fixture(scope="module")
def gappy(truth: xr.Dataset) -> xr.Dataset:
    return truth.where(xr.DataArray(_seen(), dims=("time", "lat", "lon")))


def _refuse(*args: object, **kwargs: object) -> None:
    raise RuntimeError("something was computed")


@pytest.mark.parametrize("name", NAMES)
def test_fills_every_gap_and_nothing_else(name: str, gappy: xr.Dataset) -> None:
    filled = BASELINES.create(name).fill(gappy)
    seen = np.isfinite(gappy["sst"].values)
    after = filled["sst"].values
    np.testing.assert_array_equal(
        after[seen].view(np.int32), gappy["sst"].values[seen].view(np.int32)
    )
    assert np.isnan(after[:, _land()]).all()
    assert np.isfinite(after[:, ~_land()]).all()
    assert filled["sst"].dims == gappy["sst"].dims and filled["sst"].dtype == np.float32
    assert filled["sst"].attrs["units"] == "degC"
    assert name in filled.attrs["history"]
    assert "sst_imputation_flag" in filled


@pytest.mark.parametrize("name", NAMES)
def test_recovers_a_smooth_field(name: str, gappy: xr.Dataset, truth: xr.Dataset) -> None:
    after = BASELINES.create(name).fill(gappy)["sst"].values
    hidden = np.isnan(gappy["sst"].values) & ~_land()
    error = (after - truth["sst"].values)[hidden]
    spread = truth["sst"].values[:, ~_land()].std()
    assert np.sqrt(np.mean(error**2)) < LIMITS.get(name, GOOD) * spread


@pytest.mark.parametrize("name", NAMES)
def test_kelvin_and_celsius_agree(name: str, gappy: xr.Dataset) -> None:
    kelvin = (gappy + np.float32(273.15)).assign_attrs(gappy.attrs)
    kelvin["sst"].attrs["units"] = "K"
    fixed = {"thin_plate": {"smoothing": 1.0, "time_scale": 3.0}}
    fixed["optimal_interpolation"] = {"length": 5.0, "time_scale": 3.0, "noise": 0.0}
    options = fixed.get(name, {})
    cold = BASELINES.create(name, **options).fill(gappy)["sst"].values
    warm = BASELINES.create(name, **options).fill(kelvin)["sst"].values
    np.testing.assert_allclose(warm - 273.15, cold, atol=5e-3)


@pytest.mark.parametrize("name", NAMES)
def test_result_does_not_depend_on_chunks(name: str, gappy: xr.Dataset) -> None:
    method = BASELINES.create(name).fit(gappy)
    eager = method.fill(gappy)["sst"].values
    afresh = BASELINES.create(name)
    for chunks, this in (
        ({"time": 1}, method),
        ({"time": 5, "lat": 7}, afresh),
        ({"lon": 9}, method),
    ):
        lazy = this.fill(gappy.chunk(chunks))["sst"]
        assert lazy.chunks is not None
        np.testing.assert_allclose(lazy.values, eager, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_of_frames_do_not_show(
    name: str, gappy: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = BASELINES.create(name).fit(gappy)
    whole = method.fill(gappy)["sst"].values
    monkeypatch.setattr("xdiffimpute.blockwise.BLOCK_FRAMES", 2)
    np.testing.assert_allclose(method.fill(gappy)["sst"].values, whole, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_computed_until_asked(name: str, gappy: xr.Dataset) -> None:
    lazy = gappy.chunk({"time": 4})
    method = BASELINES.create(name).fit(lazy)
    with dask.config.set(scheduler=_refuse):
        filled = method.fill(lazy)
    np.testing.assert_allclose(
        filled["sst"].values, method.fill(gappy)["sst"].values, rtol=1e-6, atol=1e-5
    )


@pytest.mark.parametrize("name", NAMES)
def test_one_frame_without_a_time_axis(name: str, gappy: xr.Dataset) -> None:
    one = gappy.isel(time=0, drop=True)
    after = BASELINES.create(name).fill(one)["sst"].values
    seen = np.isfinite(one["sst"].values)
    np.testing.assert_array_equal(after[seen], one["sst"].values[seen])
    np.testing.assert_array_equal(np.isfinite(after), seen)  # the only frame is the whole domain
    everywhere = xr.ones_like(one["sst"], dtype=bool)
    assert np.isfinite(BASELINES.create(name).fill(one, where=everywhere)["sst"].values).all()


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_frame_is_filled(
    name: str, gappy: xr.Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    holed = gappy.copy()
    holed["sst"] = gappy["sst"].where(gappy["time"] != gappy["time"][3])
    with caplog.at_level(logging.WARNING, logger="xdiffimpute"):
        after = BASELINES.create(name).fill(holed)["sst"].values
    assert np.isfinite(after[3][~_land()]).all()
    if name not in ("climatology", "temporal", "thin_plate", "optimal_interpolation"):
        assert f"{name} cannot fill" in caplog.text and "climatology" in caplog.text


@pytest.mark.parametrize("name", NAMES)
def test_where_asks_for_more(name: str, gappy: xr.Dataset) -> None:
    everywhere = xr.ones_like(gappy["sst"].isel(time=0, drop=True), dtype=bool)
    after = BASELINES.create(name).fill(gappy, where=everywhere)
    assert np.isfinite(after["sst"].values).all()


@pytest.mark.parametrize("name", NAMES)
def test_sees_across_the_date_line(name: str) -> None:
    lon = np.arange(0.0, 360.0, 15.0)
    wave = np.cos(np.radians(lon)) * np.ones((6, 10, 1))
    field = wave.astype(np.float32)
    field[:, 4:6, [0, -1]] = np.nan
    field[::2, 4:6, 5] = np.nan
    ds = xr.Dataset(
        {"v": (("time", "lat", "lon"), field)},
        coords={"time": np.arange(6), "lat": np.linspace(-45, 45, 10), "lon": lon},
    )
    everywhere = xr.ones_like(ds["v"], dtype=bool)
    after = BASELINES.create(name, statistics="variable").fill(ds, where=everywhere)["v"].values
    if name != "climatology":
        seam = after[:, 4:6, [0, -1]]
        np.testing.assert_allclose(
            seam, np.broadcast_to(wave[:, :2, [0, -1]], seam.shape), atol=0.15
        )


@pytest.mark.parametrize("name", NAMES)
def test_unknown_and_wrong_settings_are_named(name: str) -> None:
    with pytest.raises(ImputeError, match=rf"'{name}' has no setting 'sharpness'; its settings"):
        BASELINES.create(name, sharpness=3)
    for knob in BASELINES.get(name).knobs:
        with pytest.raises(ImputeError, match=f"{knob}=-1"):
            BASELINES.create(name, **{knob: -1})


@pytest.mark.parametrize("name", NAMES)
def test_given_settings_are_kept(name: str, gappy: xr.Dataset) -> None:
    given = {knob: tried[-1] for knob, tried in BASELINES.get(name).knobs.items()}
    fitted = BASELINES.create(name, **given).fit(gappy)
    assert fitted.fitted.methods[0].settings == given


def test_several_variables_and_levels(gappy: xr.Dataset) -> None:
    two = gappy.assign(other=gappy["sst"] * 2 + 1)
    levels = xr.concat([two, two + 1], dim="level")
    for extra in ("series", "channels"):
        filled = BASELINES.create("linear", extra_dims=extra).fill(levels)
        assert filled["other"].dims == levels["other"].dims
        assert np.isfinite(filled["other"].values[..., ~_land()]).all()


def test_complete_data_come_back_unchanged(truth: xr.Dataset) -> None:
    for lazy in (False, True):
        filled = BASELINES.create("nearest").fill(truth.chunk() if lazy else truth)
        for name in truth.data_vars:
            np.testing.assert_array_equal(filled[name], truth[name])
            assert not filled[f"{name}_imputation_flag"].any()


def test_other_data_are_refused(gappy: xr.Dataset) -> None:
    fitted = BASELINES.create("linear").fit(gappy)
    with pytest.raises(CompatibilityError, match=r"fitted on \['sst'\]"):
        fitted.fill(gappy.rename(sst="chl"))
    per_cell = BASELINES.create("linear", statistics="cell").fit(gappy)
    with pytest.raises(CompatibilityError, match="statistics='variable'"):
        per_cell.fill(gappy.isel(lat=slice(2, None)))
    pooled = BASELINES.create("linear", statistics="variable").fit(gappy)
    assert np.isfinite(pooled.fill(gappy.isel(lat=slice(6, None)))["sst"].values).all()


def test_missing_values_only_are_refused(gappy: xr.Dataset) -> None:
    with pytest.raises(ImputeError, match="no observed value"):
        BASELINES.create("nearest").fill(gappy * np.nan)


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'telea'"):
        BASELINES.create("teleia")


@pytest.mark.parametrize(
    "name, module", [("telea", "cv2"), ("navier_stokes", "cv2"), ("biharmonic", "skimage")]
)
def test_a_missing_library_is_named(
    name: str, module: str, gappy: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(wanted: str, *args: object, **kwargs: object) -> object:
        if wanted.split(".")[0] == module:
            raise ImportError(wanted)
        return real(wanted, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImputeError, match=r"pip install 'xdiffimpute\[baselines\]'"):
        BASELINES.create(name).fill(gappy)


def test_no_baseline_imports_torch() -> None:
    code = (
        "import sys; from xdiffimpute.baselines import BASELINES; "
        "[BASELINES.get(n) for n in BASELINES]; "
        "sys.exit(bool({'torch', 'cv2', 'skimage'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_another_grid_is_filled_lazily_too(gappy: xr.Dataset) -> None:
    pooled = BASELINES.create("linear", statistics="variable").fit(gappy)
    part = gappy.isel(lat=slice(3, None))
    with dask.config.set(scheduler=_refuse):
        lazy = pooled.fill(part.chunk(time=5))
    np.testing.assert_allclose(lazy["sst"].values, pooled.fill(part)["sst"].values, rtol=1e-6)


def test_tuning_prefers_what_is_better_and_is_seeded(gappy: xr.Dataset) -> None:
    """Noise with no tie between cells is guessed best by many neighbours, a slope by few."""
    rng = np.random.default_rng(0)
    noise, slope = gappy.copy(deep=True), gappy.copy(deep=True)
    holes = rng.random(gappy["sst"].shape) < 0.3
    y, x = np.mgrid[0:20, 0:24]
    noise["sst"].values[:] = np.where(holes, np.nan, rng.standard_normal(holes.shape))
    tilts = rng.standard_normal((12, 2, 1, 1)) * 5
    slope["sst"].values[:] = np.where(holes, np.nan, tilts[:, 0] * y + tilts[:, 1] * x)
    many, few = (
        BASELINES.create("inverse_distance", statistics="variable")
        .fit(ds)
        .fitted.methods[0]
        .settings
        for ds in (noise, slope)
    )
    assert many["neighbors"] > few["neighbors"] or many["power"] < few["power"]
    a, b = (BASELINES.create("inverse_distance", seed=3).fit(gappy).fitted for _ in range(2))
    assert a.methods[0].settings == b.methods[0].settings
    assert a.statistics.kind == b.statistics.kind
