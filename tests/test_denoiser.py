"""The denoiser's loss is the paper's, and its minimiser is the conditional mean (Theorem 1)."""

import numpy as np
import pytest
import torch
from gaussian import draw, posterior

from xdiffimpute.denoiser import Denoiser, crop
from xdiffimpute.estimator import DELTA
from xdiffimpute.schedule import make_schedule


def batch(count=4, seed=0, shape=(2, 3, 8, 9)):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, *shape, generator=generator)
    observed = (torch.rand(x.shape, generator=generator) < 0.7).float()
    context = observed * (torch.rand(x.shape, generator=generator) < 0.6).float()
    return x * observed, context, observed - context, torch.zeros(count, 2, *shape[1:])


def test_loss_is_the_masked_square_error_of_equation_1():
    x, context, query, features = batch()
    denoiser = Denoiser(2, 2)
    t = torch.full((4,), 0.3)
    _, loss = denoiser.loss(x, context, query, features, t, torch.Generator().manual_seed(1))
    noisy = denoiser.noisy(x, t, torch.Generator().manual_seed(1))
    mean = denoiser(noisy, t, context, features).mean
    expected = ((query * (mean - x)) ** 2).sum() / query.sum()
    torch.testing.assert_close(loss, expected)


def test_nothing_outside_the_context_reaches_the_network():
    """Values outside the context may be anything: same answer, bit for bit."""
    x, context, _, features = batch()
    denoiser = Denoiser(2, 2).eval()
    t = torch.full((4,), DELTA)
    other = torch.where(context > 0, x, torch.full_like(x, 1e6))
    assert torch.equal(
        denoiser(x, t, context, features).mean, denoiser(other, t, context, features).mean
    )


def test_gradient_of_the_mean_is_zero_outside_the_query():
    """Theorem 1 (iii): a cell contributes to an update exactly when it is queried."""
    x, context, query, features = batch()
    denoiser = Denoiser(2, 2)
    t = torch.full((4,), DELTA)
    prediction = denoiser(x, t, context, features)
    mean = prediction.mean.detach().requires_grad_(True)
    loss = ((query * (mean - x)) ** 2).sum()
    (gradient,) = torch.autograd.grad(loss, mean)
    assert torch.equal(gradient != 0, (query > 0) & (mean != x))


def test_the_likelihood_does_not_move_the_mean():
    """The variance is learned without changing what the mean converges to."""
    x, context, query, features = batch(shape=(1, 1, 8, 8))
    features = features[:, :, :1]
    denoiser = Denoiser(1, 2)
    t = torch.full((4,), DELTA)
    objective, _ = denoiser.loss(x, context, query, features, t, torch.Generator().manual_seed(0))
    prediction = denoiser(
        denoiser.noisy(x, t, torch.Generator().manual_seed(0)), t, context, features
    )
    plain = ((prediction.mean - x).square() * query).sum() / query.sum()
    bias = denoiser.backbone.head.bias
    (whole,) = torch.autograd.grad(objective, bias)
    (data,) = torch.autograd.grad(plain, bias)
    torch.testing.assert_close(whole[:-1], data[:-1])
    assert whole[-1] != 0 and data[-1] == 0


def test_training_approaches_the_exact_conditional_mean():
    """On a Gaussian field the trained mean nears the posterior mean, far below climatology."""
    torch.manual_seed(0)
    truth = draw(512, seed=0)
    rng = np.random.default_rng(0)
    observed = rng.random(truth.shape) < 0.6
    denoiser = Denoiser(1, 1, near_zero=1.0)
    optimiser = torch.optim.AdamW(denoiser.parameters(), lr=3e-3)
    x = torch.from_numpy(truth * observed)
    features = torch.zeros(64, 1, *truth.shape[2:])
    generator = torch.Generator().manual_seed(0)
    for step in range(120):
        pick = rng.integers(0, len(truth), 64)
        keep = rng.random((64, *truth.shape[1:])) < 0.7
        context = torch.from_numpy((observed[pick] & keep).astype(np.float32))
        query = torch.from_numpy((observed[pick] & ~keep).astype(np.float32))
        t = torch.full((64,), DELTA)
        objective, _ = denoiser.loss(x[pick], context, query, features, t, generator)
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * (1 - step / 120)
        optimiser.zero_grad()
        objective.backward()
        optimiser.step()
    test, seen = draw(100, seed=1), np.random.default_rng(2).random((100, 1, 1, 6, 6)) < 0.5
    with torch.no_grad():
        mean = denoiser.eval()(
            torch.from_numpy(test * seen), torch.full((100,), DELTA),
            torch.from_numpy(seen.astype(np.float32)), torch.zeros(100, 1, 1, 6, 6),
        ).mean.numpy()  # fmt: skip
    exact = np.stack([posterior(v, s)[0] for v, s in zip(test, seen, strict=True)])
    hidden = ~seen
    bayes = np.mean((exact - test)[hidden] ** 2)
    ours = np.mean((mean - test)[hidden] ** 2)
    climatology = np.mean(test[hidden] ** 2)
    assert bayes < ours < 1.35 * bayes
    assert ours < 0.75 * climatology


@pytest.mark.parametrize("name", ["vp", "cosine"])
def test_configuration_round_trip(name):
    denoiser = Denoiser(2, 3, schedule=make_schedule(name), periodic=True, near_zero=0.5)
    again = Denoiser.from_dict(denoiser.to_dict())
    assert again.to_dict() == denoiser.to_dict()
    again.load_state_dict(denoiser.state_dict())


def test_guesses_are_weighed_by_least_squares():
    """Smooth fields: the thin plate; noise: climatology. The weights sum to one."""
    y, x = np.mgrid[0:24, 0:24]
    waves = np.stack([np.sin(x / 5 + k) * np.cos(y / 6 - k) for k in range(6)])
    smooth = torch.tensor(waves, dtype=torch.float32)[:, None, None]
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(smooth.shape, generator=generator)
    both = torch.cat([smooth, noise], dim=1)
    context = (torch.rand(smooth.shape, generator=generator) < 0.3).float().repeat(1, 2, 1, 1, 1)
    denoiser = Denoiser(2, 1)
    weights = denoiser.start_from([(both, context, 1 - context)])
    torch.testing.assert_close(weights.sum(dim=0), torch.ones(2))
    assert weights[2, 0] > 0.8 and weights[0, 1] > 0.8
    mean = denoiser(both, torch.full((6,), DELTA), context, torch.zeros(6, 1, 1, 24, 24)).mean
    error = ((mean - both) ** 2 * (1 - context)).sum(dim=(0, 2, 3, 4)) / (1 - context).sum() * 2
    assert error[0] < 0.02 and error[1] < 1.1
    torch.testing.assert_close(denoiser.unit.square(), error.clamp(max=1.0), rtol=0.2, atol=1e-3)


def test_a_correction_is_in_units_of_the_error_of_the_guesses():
    """Where guesses are good the same network changes little, and is as sure of itself."""
    x, context, query, features = batch(shape=(1, 2, 12, 12))
    denoiser = Denoiser(1, 2).eval()
    with torch.no_grad():
        for weights in denoiser.backbone.parameters():
            weights.add_(0.02)
    t, guesses = torch.full((4,), DELTA), denoiser.guess(x, context)
    found = {}
    for unit in (1.0, 0.01):
        denoiser.unit.fill_(unit)
        with torch.no_grad():
            found[unit] = denoiser.estimate(x, t, context, guesses, features)
    base = (100 * found[0.01].mean - found[1.0].mean) / 99  # the part without a unit
    assert float((found[1.0].mean - base).abs().max()) > 0.01
    torch.testing.assert_close(
        100 * (found[0.01].mean - base), found[1.0].mean - base, rtol=1e-3, atol=1e-4
    )
    torch.testing.assert_close(1e4 * found[0.01].variance, found[1.0].variance)


def test_values_up_to_delta_count_as_clean():
    x, context, *_ = batch(shape=(1, 2, 12, 12))
    denoiser = Denoiser(1, 2, reach=(2, 4, 4))
    times = torch.tensor([DELTA, DELTA, 0.5, 1.0])
    alone, found = denoiser.guess(x, context), denoiser.guess(x, context, times)
    torch.testing.assert_close(found[:2], alone[:2])
    sizes = found[:, 2].square().mean(dim=(1, 2, 3, 4))
    assert sizes[3] < sizes[2] < 0.5 * float(alone[:, 2].square().mean())


def test_surroundings_reach_the_guesses_and_not_the_answer_size():
    x, context, query, _ = batch(shape=(1, 2, 12, 12))
    features = torch.zeros(4, 2, 2, 6, 6)
    denoiser = Denoiser(1, 2).eval()
    t, offsets = torch.full((4,), DELTA), [(0, 0), (3, 3), (6, 6), (2, 5)]
    mean = denoiser(x, t, context, features, offsets).mean
    assert mean.shape == (4, 1, 2, 6, 6)
    assert torch.equal(crop(x, offsets, (6, 6))[1], x[1, ..., 3:9, 3:9])
    empty = context.clone()
    empty[0, ..., :6, :6] = 0
    assert denoiser(x, t, empty, features, offsets).mean[0].abs().max() > 0
