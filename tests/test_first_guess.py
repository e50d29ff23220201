"""The first guesses keep the data, reproduce what they should, and ignore the rest."""

import numpy as np
import pytest
import torch

from xdiffimpute.first_guess import GUESSES, first_guesses
from xdiffimpute.space_time import Stiffness, fill_space_time, tune


def guesses(values, context, periodic=False):
    x = torch.as_tensor(values, dtype=torch.float32)
    m = torch.as_tensor(context, dtype=torch.float32)
    out = first_guesses(x[None, None], m[None, None], Stiffness.default(1), periodic=periodic)[0, :, 0]
    return dict(zip(GUESSES, out.numpy(), strict=True))


@pytest.fixture
def plane():
    y, x = np.mgrid[0:24, 0:40]
    return np.stack([0.05 * y + 0.03 * x - 1.0 + 0.1 * t for t in range(3)])


def test_context_is_kept(plane):
    context = np.random.default_rng(0).random(plane.shape) < 0.4
    for name in ("membrane", "thin_plate"):
        np.testing.assert_allclose(
            guesses(plane, context)[name][context], plane[context], atol=1e-5
        )


def test_constants_are_exact_and_planes_nearly_so(plane):
    context = np.random.default_rng(1).random(plane.shape) < 0.3
    for field in guesses(np.full_like(plane, 0.7), context).values():
        np.testing.assert_allclose(field, 0.7, atol=1e-5)
    error = guesses(plane, context)["thin_plate"] - plane
    assert np.sqrt(np.mean(error**2)) < 0.05 * plane.std()


def test_thin_plate_beats_membrane_on_smooth_fields():
    y, x = np.mgrid[0:32, 0:32]
    field = (np.sin(x / 5.0) * np.cos(y / 6.0))[None]
    context = np.random.default_rng(2).random(field.shape) < 0.2
    found = guesses(field, context)
    error = {k: np.sqrt(np.mean((found[k] - field)[~context] ** 2)) for k in GUESSES[:2]}
    assert error["thin_plate"] < 0.7 * error["membrane"]


def test_wraps_around_when_periodic():
    lon = np.arange(36) * 10.0
    field = np.tile(np.cos(np.deg2rad(lon)), (1, 12, 1))
    context = np.ones(field.shape, dtype=bool)
    context[..., :3] = context[..., -3:] = False
    found = {p: guesses(field, context, p)["membrane"] for p in (False, True)}
    jump = {p: np.abs(f[..., 0] - f[..., -1]).max() for p, f in found.items()}
    assert jump[True] < 0.4 * jump[False]


def test_time_helps_where_a_cell_is_seen_in_another_frame():
    rng = np.random.default_rng(3)
    still = np.repeat(rng.normal(size=(1, 16, 16)), 4, axis=0)
    context = rng.random(still.shape) < 0.6
    found = guesses(still, context)
    rmse = {k: np.sqrt(np.mean((v - still)[~context] ** 2)) for k, v in found.items()}
    assert rmse["space_time"] < 0.6 * rmse["membrane"]


def test_empty_frames_are_zero_and_finite(plane):
    context = np.zeros(plane.shape, dtype=bool)
    for field in guesses(plane, context).values():
        assert np.all(field == 0)
    context[1] = True
    found = guesses(plane, context)
    assert np.all(found["thin_plate"][0] == 0) and np.isfinite(found["space_time"]).all()
