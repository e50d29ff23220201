"""The first guesses that the denoiser starts from."""

import numpy as np
import pytest
import torch

from xdiffimpute.first_guess import GUESSES, Springs, first_guesses, tune_guesses
from xdiffimpute.space_time import Stiffness


@pytest.fixture
def window():
    y, x = np.mgrid[0:24, 0:40]
    plane = np.stack([0.05 * y + 0.03 * x - 1.0 + 0.1 * t for t in range(3)])
    context = np.random.default_rng(0).random(plane.shape) < 0.4
    return (
        torch.as_tensor(plane, dtype=torch.float32)[None, None],
        torch.as_tensor(context, dtype=torch.float32)[None, None],
    )


def test_one_fill_for_each_name_that_keeps_the_context(window):
    x, context = window
    out = first_guesses(x, context, Springs.default(1), periodic=False)
    assert out.shape == (1, len(GUESSES), *x.shape[1:])
    torch.testing.assert_close(out * context[:, None], (x * context)[:, None].expand_as(out))


def test_what_stands_outside_the_context_is_ignored(window):
    x, context = window
    other = torch.where(context > 0, x, 99.0)
    springs = Springs.default(1)
    torch.testing.assert_close(
        first_guesses(other, context, springs, periodic=False),
        first_guesses(x, context, springs, periodic=False),
    )


def test_the_plate_follows_a_plane(window):
    x, context = window
    free = Springs(Stiffness.free(1), Stiffness.free(1))
    plate = first_guesses(x, context, free, periodic=False)[:, 1]
    assert float((plate - x).square().mean().sqrt()) < 0.05 * float(x.std())


def test_extrapolation_is_limited():
    x = torch.zeros(1, 1, 1, 16, 16)
    x[..., :4] = torch.arange(4.0)
    context = torch.zeros_like(x)
    context[..., :4] = 1.0
    out = first_guesses(x, context, Springs.default(1), periodic=False)
    assert float(out.abs().max()) <= 4.5


def test_float32_inside_an_autocast(window):
    x, context = window
    springs = Springs.default(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = first_guesses(x, context, springs, periodic=False)
    torch.testing.assert_close(inside, first_guesses(x, context, springs, periodic=False))


def test_tuned_guesses_are_not_worse_than_the_default(window):
    x, context = window
    springs = tune_guesses([(x, context, 1.0 - context)], periodic=False)
    errors = [
        (first_guesses(x, context, s, periodic=False)[0] - x[0]).square()
        .mul(1.0 - context[0]).sum(dim=(1, 2, 3, 4))
        for s in (springs, Springs.default(1))
    ]  # fmt: skip
    assert (errors[0] <= errors[1] + 1e-6).all()
