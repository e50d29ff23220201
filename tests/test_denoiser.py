"""The denoiser's loss is the paper's, and its minimiser is the conditional mean (Theorem 1)."""

import numpy as np
import pytest
import torch
from gaussian import draw, posterior

from xdiffimpute.denoiser import DELTA, Denoiser
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
