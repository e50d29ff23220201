"""The first guesses that the denoiser starts from."""

import copy

import numpy as np
import pytest
import torch

from xdiffimpute.first_guess import FirstGuesses
from xdiffimpute.space_time import Stiffness

REACH = (3, 8, 8)


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
    guesses = FirstGuesses(1, REACH)
    guesses.tune([(x, context, 1.0 - context)])
    out = guesses(x, context)
    assert out.shape == (1, len(guesses.names), *x.shape[1:]) and len(guesses.names) == 3
    exact, kriged = out[:, :2] * context[:, None], out[:, 2] * context
    torch.testing.assert_close(exact, (x * context)[:, None].expand_as(exact))
    assert float((kriged - x * context).abs().max()) < 0.3 * float(x.std())  # but for noise


def test_what_stands_outside_the_context_is_ignored(window):
    x, context = window
    other = torch.where(context > 0, x, 99.0)
    guesses = FirstGuesses(1, REACH)
    torch.testing.assert_close(guesses(other, context), guesses(x, context))


def test_the_plate_follows_a_plane(window):
    x, context = window
    guesses = FirstGuesses(1)
    guesses.springs.copy_(torch.stack([torch.stack(Stiffness.free(1))] * 2))
    plate = guesses(x, context)[:, 1]
    assert float((plate - x).square().mean().sqrt()) < 0.05 * float(x.std())


def test_a_channel_without_observations_is_told_of_by_another():
    x = torch.randn(1, 2, 1, 16, 16, generator=torch.manual_seed(0))
    context = torch.zeros_like(x)
    context[:, 1] = 1.0
    guesses = FirstGuesses(2, (1, 4, 4))
    between = torch.tensor([[1.0, 0.9], [0.9, 1.0]])
    lags = torch.zeros_like(guesses.lags)
    lags[:, :, 0, 4, 4] = between
    guesses.lags.copy_(lags)
    guesses.noise.fill_(1e-6)
    kriged = guesses(x, context)[:, 2]
    torch.testing.assert_close(kriged[:, 0], 0.9 * x[:, 1], atol=1e-3, rtol=1e-3)


def test_extrapolation_is_limited():
    x = torch.zeros(1, 1, 1, 16, 16)
    x[..., :4] = torch.arange(4.0)
    context = torch.zeros_like(x)
    context[..., :4] = 1.0
    out = FirstGuesses(1, (1, 8, 8))(x, context)
    assert float(out.abs().max()) <= 4.5


def test_float32_inside_an_autocast(window):
    x, context = window
    guesses = FirstGuesses(1, REACH)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = guesses(x, context)
    torch.testing.assert_close(inside, guesses(x, context))


def test_tuned_guesses_are_not_worse_than_the_default(window):
    x, context = window
    tuned, default = FirstGuesses(1, REACH), FirstGuesses(1, REACH)
    tuned.tune([(x, context, 1.0 - context)])
    errors = [
        (guesses(x, context)[0] - x[0]).square().mul(1.0 - context[0]).sum(dim=(1, 2, 3, 4))
        for guesses in (tuned, default)
    ]
    assert (errors[0] <= errors[1] + 1e-6).all()


def test_a_new_covariance_is_taken_up_and_copies_hold_no_fields(window):
    """As when the weights of a checkpoint are loaded into a network that was used before."""
    x, context = window
    guesses, tuned = FirstGuesses(1, REACH), FirstGuesses(1, REACH)
    before = guesses(x, context)
    tuned.tune([(x, context, 1.0 - context)])
    guesses.load_state_dict(tuned.state_dict())
    after = guesses(x, context)
    assert torch.equal(after, tuned(x, context)) and not torch.equal(after, before)
    assert guesses._made and not copy.deepcopy(guesses)._made
    assert torch.equal(copy.deepcopy(guesses)(x, context), after)


def test_kriging_accounts_for_the_noise_of_diffusion(window):
    """Of white noise nothing is to be expected but the share of its own variance."""
    x, context = window
    guesses = FirstGuesses(1, REACH)  # knows of no correlation, and of observations half noise
    alpha, sigma = torch.tensor([0.8]), torch.tensor([0.6])
    clean, noisy = guesses(x, context), guesses(0.8 * x, context, levels=(alpha, sigma))
    share = 2.0 / (2.0 + (0.6 / 0.8) ** 2)
    torch.testing.assert_close(noisy[:, 2], share * clean[:, 2], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(noisy[:, :2], 0.8 * clean[:, :2], rtol=1e-3, atol=1e-4)
