"""Patterns of a matrix with gaps, and DINEOF, against matrices whose patterns are known."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import xarray as xr

from xdiffimpute.baselines import BASELINES
from xdiffimpute.eofs import errors_by_modes, find_eofs
from xdiffimpute.exceptions import CompatibilityError, DataError, NotFittedError
from xdiffimpute.geometry import Geometry


def _low_rank(
    seed: int = 0, share: float = 0.3, noise: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """A matrix (40, 60) of rank 2, and the same with gaps."""
    rng = np.random.default_rng(seed)
    full = rng.normal(size=(40, 2)) * [3.0, 1.0] @ rng.normal(size=(2, 60))
    full = (full + noise * rng.normal(size=full.shape)).astype(np.float32)
    return full, np.where(rng.random(full.shape) < share, np.float32(np.nan), full)


def _record(matrix: np.ndarray) -> xr.Dataset:
    fields = matrix.reshape(len(matrix), 6, 10)
    axes = {"y": np.arange(6.0), "x": np.arange(10.0)}
    return xr.Dataset({"v": (("time", "y", "x"), fields)}, coords=axes)


def test_a_complete_matrix_has_its_singular_vectors() -> None:
    full, _ = _low_rank(noise=0.1)
    found = find_eofs(full, 2)
    _, s, v = np.linalg.svd(full, full_matrices=False)
    np.testing.assert_allclose(found.variance, s[:2] ** 2 / len(full), rtol=1e-3)
    for ours, theirs in zip(found.patterns[:2], v[:2]):
        assert abs(float(ours @ theirs)) == pytest.approx(1.0, abs=1e-3)
    assert found.noise == pytest.approx(float((s[2:] ** 2).sum()) / full.size, rel=1e-2)


def test_gaps_of_a_matrix_of_low_rank_are_recovered() -> None:
    full, gappy = _low_rank()
    found = find_eofs(gappy, 2)
    ours = np.stack([found.amplitudes(frame) for frame in gappy]) @ found.patterns
    hidden = np.isnan(gappy)
    assert np.sqrt(np.mean((ours - full)[hidden] ** 2)) < 0.03 * full.std()


def test_amplitudes_are_the_fixed_point_of_the_replacements() -> None:
    _, gappy = _low_rank(noise=0.1)
    found = find_eofs(gappy, 2)
    frame, seen = gappy[3], np.isfinite(gappy[3])
    amplitudes = np.zeros(2)
    for _ in range(2000):
        whole = np.where(seen, np.nan_to_num(frame), amplitudes @ found.patterns)
        amplitudes = found.patterns @ whole
    np.testing.assert_allclose(found.amplitudes(frame), amplitudes, atol=0.01)


def test_with_noise_they_are_the_fixed_point_of_shrunk_replacements() -> None:
    full, gappy = _low_rank(noise=0.3)
    found = find_eofs(gappy, 4, noise=0.5)
    frame, seen = gappy[3], np.isfinite(gappy[3])
    shrink, amplitudes = found.variance / (found.variance + 0.5), np.zeros(4)
    for _ in range(2000):
        whole = np.where(seen, np.nan_to_num(frame), amplitudes @ found.patterns)
        amplitudes = shrink * (found.patterns @ whole)
    np.testing.assert_allclose(found.amplitudes(frame), amplitudes, atol=1e-3)


def test_amplitudes_that_a_frame_does_not_determine_stay_small() -> None:
    _, gappy = _low_rank(noise=0.3)
    found = find_eofs(gappy, 8)
    frame = np.full(60, np.nan, np.float32)
    frame[7] = 2.0
    assert np.abs(found.amplitudes(frame) / np.sqrt(found.variance)).max() < 3.0


def test_cross_validation_finds_the_rank() -> None:
    _, gappy = _low_rank(noise=0.3)
    held = np.isfinite(gappy) & (np.random.default_rng(5).random(gappy.shape) < 0.05)
    errors = errors_by_modes(gappy, held, (1, 2, 3, 4, 5, 6))
    assert min(errors, key=errors.__getitem__) == 2


def test_frames_and_cells_without_observations_do_no_harm() -> None:
    full, gappy = _low_rank()
    gappy[4], gappy[:, 9] = np.nan, np.nan
    found = find_eofs(gappy, 2)
    np.testing.assert_allclose(found.patterns[:, 9], 0.0, atol=1e-6)
    assert np.isfinite(found.patterns).all()


def test_dineof_fills_frames_that_were_no_part_of_the_fit() -> None:
    full, gappy = _low_rank(share=0.4)
    fitted = BASELINES.create("dineof", modes=2, statistics="variable").fit(_record(gappy[::2]))
    after = fitted.fill(_record(gappy))["v"].values.reshape(full.shape)
    hidden = np.isnan(gappy)
    hidden[::2] = False
    assert np.sqrt(np.mean((after - full)[hidden] ** 2)) < 0.2 * full.std()


def test_dineof_chooses_modes_by_variable() -> None:
    _, gappy = _low_rank(noise=0.3)
    rng = np.random.default_rng(2)
    other = np.where(np.isnan(gappy), np.nan, rng.normal(size=gappy.shape)).astype("float32")
    ds = _record(gappy).assign(w=_record(other)["v"])
    low, noise = BASELINES.create("dineof", statistics="variable").fit(ds).fitted.methods
    assert low.settings["modes"] == 2
    assert noise.settings["modes"] < 4


def test_few_frames_get_the_climatology_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    _, gappy = _low_rank()
    two = _record(gappy[:2])
    with caplog.at_level(logging.WARNING, logger="xdiffimpute"):
        after = BASELINES.create("dineof").fill(two)
    assert "at least 3 frames and there are 2" in caplog.text
    expected = BASELINES.create("climatology").fill(two)
    np.testing.assert_allclose(after["v"].values, expected["v"].values, atol=1e-5)


def test_a_record_too_large_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xdiffimpute.baselines.dineof.MOST_VALUES", 1000)
    _, gappy = _low_rank()
    with pytest.raises(DataError, match=r"2,400 values.*slice\(None, None, 3\)"):
        BASELINES.create("dineof").fill(_record(gappy).chunk(time=5))


def test_the_modes_belong_to_their_grid() -> None:
    _, gappy = _low_rank()
    fitted = BASELINES.create("dineof", modes=2, statistics="variable").fit(_record(gappy))
    with pytest.raises(CompatibilityError, match="'dineof' was fitted on a grid of"):
        fitted.fill(_record(gappy).isel(y=slice(2, None)))


def test_cells_never_observed_take_the_modes_of_their_neighbours() -> None:
    y, x = np.indices((6, 10)) / 10.0
    waves = np.stack([np.cos(y + x), np.sin(y - x)]).reshape(2, -1)
    full = (np.random.default_rng(0).normal(size=(30, 2)) @ waves).astype("float32")
    gappy = full.copy()
    gappy[:, 23] = np.nan
    where = xr.DataArray(np.ones((6, 10), bool), dims=("y", "x"))
    filled = BASELINES.create("dineof", modes=2).fill(_record(gappy), where=where)
    after = filled["v"].values.reshape(full.shape)
    assert np.sqrt(np.mean((after - full)[:, 23] ** 2)) < 0.1 * full.std()


def test_dineof_has_no_modes_before_the_fit() -> None:
    frames, domain = np.full((1, 4, 4), np.nan, np.float32), np.ones((4, 4), bool)
    with pytest.raises(NotFittedError, match=r"call fit\(ds\) first"):
        BASELINES.create("dineof").interpolate(frames, domain, Geometry.of((4, 4)), slice(0, 1))
