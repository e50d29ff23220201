"""Climatology and anomalies from observed cells, in one pass."""

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xdiffimpute.calendar import read_clock
from xdiffimpute.exceptions import DataError, ImputeError
from xdiffimpute.transforms import Statistics

DIMS = ("series", "time", "channel", "y", "x")
SEASONAL = [("year", 1), ("year", 2)]


def clock_of(n, freq="D"):
    times = pd.date_range("2000-01-01", periods=n, freq=freq).values
    return read_clock(xr.Dataset(coords={"time": times}), "time")


def pack(values):
    return xr.DataArray(np.asarray(values, dtype=np.float32), dims=DIMS)


def make(n=1500, share=0.6, channels=2, series=1, shape=(4, 5), freq="D", seed=0):
    """Seasonal fields with noise and random gaps; cell (0, 0) is never observed."""
    rng = np.random.default_rng(seed)
    clock = clock_of(n, freq)
    angle = 2 * np.pi * clock.year_phase[:, None, None, None]
    size = (series, n, channels, *shape)
    mean = 20 + 5 * rng.normal(size=(channels, *shape))
    values = mean + 8 * np.cos(angle - 1) + rng.normal(size=size)
    values[rng.random(size) > share] = np.nan
    values[..., 0, 0] = np.nan
    return pack(values), clock


def test_seasonal_is_the_least_squares_of_each_cell():
    packed, clock = make(n=3000)
    found = Statistics.fit(packed, clock, kind="seasonal")
    assert found.harmonics == (("year", 1), ("year", 2))
    phi = clock.regressors(SEASONAL)
    for c, y, x in [(0, 1, 2), (1, 3, 4), (0, 0, 1)]:
        series = packed.values[0, :, c, y, x].astype(float)
        seen = np.isfinite(series)
        exact, *_ = np.linalg.lstsq(phi[seen], series[seen], rcond=None)
        # Shrinkage counts as 8 frames of about 1800.
        np.testing.assert_allclose(found.coefficients[:, c, y, x], exact, atol=0.05)


def test_without_shrinkage_it_is_numpy_to_rounding(monkeypatch):
    monkeypatch.setattr("xdiffimpute.regression.PRIOR_FRAMES", 0.0)
    packed, clock = make(n=800)
    found = Statistics.fit(packed, clock, kind="seasonal")
    phi = clock.regressors(SEASONAL)
    series = packed.values[0, :, 1, 2, 3].astype(float)
    seen = np.isfinite(series)
    exact, *_ = np.linalg.lstsq(phi[seen], series[seen], rcond=None)
    np.testing.assert_allclose(found.coefficients[:, 1, 2, 3], exact, rtol=2e-6, atol=2e-6)


def test_variable_is_the_mean_and_spread_of_each_channel():
    packed, clock = make(n=50)
    found = Statistics.fit(packed, clock, kind="variable")
    dims = ("series", "time", "y", "x")
    np.testing.assert_allclose(found.coefficients[0, :, 0, 0], packed.mean(dims), rtol=1e-5)
    np.testing.assert_allclose(found.scale[:, 0, 0], packed.std(dims), rtol=1e-5)
    assert found.coefficients.shape == (1, 2, 1, 1) and found.coefficients.dtype == np.float32
    np.testing.assert_array_equal(found.count, packed.notnull().sum(("series", "time")))
    assert not found.domain[:, 0, 0].any() and found.domain[:, 1:].all()


@pytest.mark.parametrize("kind", ["variable", "cell", "seasonal"])
def test_the_same_under_any_chunks(kind):
    packed, clock = make(n=700, series=2)
    whole = Statistics.fit(packed, clock, kind=kind)
    for chunks in ({"time": 97}, {"time": 13, "y": 3, "x": 2}, {"series": 1, "channel": 1}):
        other = Statistics.fit(packed.chunk(chunks), clock, kind=kind)
        np.testing.assert_allclose(other.coefficients, whole.coefficients, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(other.scale, whole.scale, rtol=1e-6)
        np.testing.assert_array_equal(other.count, whole.count)


def test_each_chunk_is_read_once():
    packed, clock = make(n=600)
    reads = []

    def read(block, block_info=None):
        if block_info is not None:
            reads.append(block_info[0]["chunk-location"])
        return block

    lazy = da.from_array(packed.values, chunks=(1, 100, 2, 4, 5)).map_blocks(
        read, dtype=np.float32, meta=np.empty((0,) * 5, np.float32)
    )
    with dask.config.set(scheduler="synchronous"):
        Statistics.fit(packed.copy(data=lazy), clock)
    assert len(reads) == len(set(reads)) == 6


def test_auto_goes_by_what_the_record_can_resolve():
    def kind(**options):
        found = Statistics.fit(*make(**options))
        return found.kind, found.harmonics

    assert kind(n=900) == ("seasonal", (("year", 1), ("year", 2)))
    assert kind(n=120) == ("cell", ())
    assert kind(n=10) == ("variable", ())
    assert kind(n=900, share=0.01)[0] == "variable"
    hourly, harmonics = kind(n=240, freq="h")
    assert hourly == "seasonal" and harmonics == (("day", 1), ("day", 2))
    assert kind(n=60, freq="MS")[0] == "seasonal"


def test_few_observations_are_drawn_to_the_neighbourhood():
    rng = np.random.default_rng(0)
    clock = clock_of(800)
    values = 10 + rng.normal(size=(1, 800, 1, 12, 12))
    values[0, 2:, 0, 6, 6] = np.nan
    values[0, :2, 0, 6, 6] = 16.0
    found = Statistics.fit(pack(values), clock, kind="cell")
    mean = found.coefficients[0, 0, 6, 6]
    # Two frames at 16 beside eight of the neighbourhood at 10.
    np.testing.assert_allclose(mean, (2 * 16 + 8 * 10) / 10, atol=0.2)
    seasonal = Statistics.fit(pack(values), clock, kind="seasonal")
    assert seasonal.harmonics == (("year", 1), ("year", 2))
    drift = seasonal.climatology(clock.regressors(SEASONAL))[:, 0, 6, 6] - 10
    # The two frames weigh 2 (1/8 + 1/4 + 1/4) = 1.25 against 1 in their own season.
    assert np.abs(drift).max() < 6 * 1.25 / 2.25 + 0.3


def test_a_short_record_asked_for_seasons_gets_a_mean_and_is_told(caplog):
    packed, clock = make(n=100)
    with caplog.at_level("WARNING", logger="xdiffimpute"):
        found = Statistics.fit(packed, clock, kind="seasonal")
    assert found.harmonics == () and "too short" in caplog.text


def test_cells_never_observed_take_the_neighbourhood():
    packed, clock = make(n=900)
    for kind in ("cell", "seasonal"):
        found = Statistics.fit(packed, clock, kind=kind)
        assert np.isfinite(found.coefficients).all()
        assert 5 < found.coefficients[0, 0, 0, 0] < 35
        assert found.count[0, 0, 0] == 0


def test_a_cell_far_from_any_observation_takes_the_mean_of_all():
    values = np.full((1, 40, 1, 3, 60), np.nan)
    values[..., :3] = 7 + np.random.default_rng(0).normal(size=(1, 40, 1, 3, 3))
    found = Statistics.fit(pack(values), clock_of(40), kind="cell")
    np.testing.assert_allclose(found.coefficients[0, 0, :, -1], np.nanmean(values), atol=1e-3)


@pytest.mark.parametrize("kind", ["variable", "cell", "seasonal"])
@pytest.mark.parametrize("log", [None, [True, False]])
def test_inverse_undoes_forward(kind, log):
    packed, clock = make(n=500)
    packed = abs(packed)
    found = Statistics.fit(packed, clock, kind=kind, log=log)
    phi = clock.regressors(found.harmonics)[10:40]
    region = (slice(1, 4), slice(2, 5))
    values = packed.values[0, 10:40, :, 1:4, 2:5]
    z = found.forward(values, phi, region)
    assert z.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(z), np.isnan(values))
    np.testing.assert_allclose(found.inverse(z, phi, region), values, rtol=1e-4, atol=1e-4)
    every = found.forward(packed.values[0], clock.regressors(found.harmonics))
    tolerance = 0.02 if kind == "variable" else 0.2
    assert abs(np.nanmean(every)) < tolerance and abs(np.nanstd(every) - 1) < 0.05


def test_kelvin_and_celsius_have_the_same_anomalies():
    packed, clock = make(n=900)
    for kind in ("variable", "cell", "seasonal"):
        a = Statistics.fit(packed, clock, kind=kind)
        b = Statistics.fit(packed + 273.15, clock, kind=kind)
        phi = clock.regressors(a.harmonics)
        za, zb = a.forward(packed.values[0], phi), b.forward(packed.values[0] + 273.15, phi)
        np.testing.assert_allclose(za, zb, atol=1e-3)


def test_large_offsets_and_constant_channels():
    rng = np.random.default_rng(0)
    values = np.stack([101325 + rng.normal(size=(90, 4, 5)), np.full((90, 4, 5), 1e5)], axis=1)
    packed, clock = pack(values[None]), clock_of(90)
    for kind in ("variable", "cell"):
        found = Statistics.fit(packed, clock, kind=kind)
        np.testing.assert_allclose(found.scale[0], 1.0, atol=0.06)
        z = found.forward(packed.values[0], clock.regressors(()))
        assert np.isfinite(z).all()
        back = found.inverse(z, clock.regressors(()))
        np.testing.assert_allclose(back, packed.values[0], rtol=2e-7)


def test_the_mean_of_a_logarithm_with_doubt_is_above_its_median():
    rng = np.random.default_rng(0)
    rain = np.exp(rng.normal(1.0, 0.8, size=(1, 4000, 1, 2, 2)))
    clock = clock_of(4000)
    found = Statistics.fit(pack(rain), clock, kind="variable", log=[True])
    regressors = clock.regressors(())[:1]
    nothing = np.zeros((1, 1, 2, 2), dtype=np.float32)
    median = found.inverse(nothing, regressors)
    mean = found.inverse(nothing, regressors, spread=np.ones_like(nothing))
    assert median.mean() == pytest.approx(np.median(rain), rel=0.05)
    assert mean.mean() == pytest.approx(rain.mean(), rel=0.05)
    wild = found.inverse(nothing, regressors, spread=np.full_like(nothing, 50.0))
    assert wild.max() < 5 * rain.mean()


@pytest.mark.parametrize("doubt", [0.1, 1.0, 1.4, 4.0])
def test_the_error_of_a_logarithm_is_that_of_draws_in_the_logarithm(doubt):
    """However large, and of values for which the mean is trusted no further."""
    rng = np.random.default_rng(0)
    rain = np.exp(rng.normal(1.0, 0.8, size=(1, 400, 1, 2, 2)))
    found = Statistics.fit(pack(rain), clock_of(400), kind="variable", log=[True])
    regressors = clock_of(400).regressors(())[:1]
    z = np.full((1, 1, 1, 1), 0.5, dtype=np.float32)
    spread = np.full_like(z, doubt) / found.scale
    nodes, weights = np.polynomial.hermite_e.hermegauss(50)
    weights /= weights.sum()
    trusted = found.trusted(spread)
    draws = np.array([found.inverse(z + trusted * n, regressors).item() for n in nodes])
    mean = weights @ draws
    assert found.inverse(z, regressors, spread=spread).item() == pytest.approx(mean, rel=0.02)
    deviation = np.sqrt(weights @ (draws - mean) ** 2)
    error = found.inverse_spread(spread, z, regressors).item()
    assert error == pytest.approx(deviation, rel=0.02)


def test_the_logarithm_tames_skew_and_never_goes_below_zero():
    rng = np.random.default_rng(0)
    rain = rng.gamma(0.3, 5.0, size=(1, 200, 1, 6, 6))
    rain[rng.random(rain.shape) < 0.3] = 0.0
    clock = clock_of(200)
    found = Statistics.fit(pack(rain), clock, kind="cell", log=[True])
    phi = clock.regressors(())
    z = found.forward(rain[0].astype(np.float32), phi)
    assert np.abs(z).max() < 5
    assert found.inverse(z - 10.0, phi).min() >= 0.0
    spread = found.inverse_spread(np.full_like(z, 0.01), z, phi)
    numerical = (found.inverse(z + 0.01, phi) - found.inverse(z - 0.01, phi)) / 2
    wet = rain[0] > 0.1
    np.testing.assert_allclose(spread[wet], numerical[wet], rtol=2e-2)
    with pytest.raises(DataError, match=r"values down to -1; a logarithm needs.*log=\[...\]"):
        Statistics.fit(pack(np.where(rain > 20, -1.0, rain)), clock, log=[True])


def test_a_spread_is_a_difference():
    packed, clock = make(n=60)
    found = Statistics.fit(packed + 273.15, clock, kind="variable")
    z = found.forward(packed.values[0] + 273.15, clock.regressors(()))
    spread = found.inverse_spread(np.ones_like(z), z, clock.regressors(()))
    np.testing.assert_allclose(spread, np.broadcast_to(found.scale, z.shape))


def test_a_single_frame():
    packed, _ = make(n=5)
    clock = read_clock(xr.Dataset(), None)
    found = Statistics.fit(packed.isel(time=[0]), clock)
    assert found.kind == "variable"
    z = found.forward(packed.values[0, :1], clock.regressors(()))
    np.testing.assert_allclose(np.nanmean(z), 0, atol=1e-5)


def test_saved_and_rebuilt():
    found = Statistics.fit(abs(make(n=900)[0]), clock_of(900), log=[True, False])
    arrays, small = found.to_arrays()
    again = Statistics.from_arrays(arrays, small)
    assert (again.kind, again.harmonics) == (found.kind, found.harmonics)
    for name in ("coefficients", "scale", "log", "floor", "count"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))


def test_an_unknown_kind_is_named():
    with pytest.raises(ImputeError, match="statistics='weekly' is not one of 'auto'"):
        Statistics.fit(*make(n=5), kind="weekly")
