"""Samplers driven by the exact denoiser of a Gaussian field: what they return is known."""

import numpy as np
import pytest
import torch
from gaussian import SIZE, Oracle, covariance, draw, posterior

from xdiffimpute.estimator import Prediction
from xdiffimpute.exceptions import ImputeError
from xdiffimpute.masks import MASKS
from xdiffimpute.partition import Partition
from xdiffimpute.samplers import SAMPLERS
from xdiffimpute.schedule import make_schedule

PARTITION = Partition(MASKS.create("pixel"), ratio=0.7)


@pytest.fixture(scope="module")
def case():
    truth = draw(24, seed=0)
    observed = np.random.default_rng(1).random(truth.shape) < 0.5
    exact = np.stack([posterior(v, o)[0] for v, o in zip(truth, observed, strict=True)])
    return truth, observed, exact


def run(name, case, seed=0, density=None, **options):
    truth, observed, _ = case
    sampler = SAMPLERS.create(name, **options)
    x = torch.from_numpy(truth * observed)
    features = torch.zeros(len(x), 1, 1, SIZE, SIZE)
    rngs = [np.random.default_rng([seed, k]) for k in range(len(x))]
    mask = torch.from_numpy(observed.astype(np.float32))
    return sampler(Oracle(make_schedule()), x, mask, features, PARTITION, rngs, density)


@pytest.mark.parametrize("name", SAMPLERS.names())
def test_close_to_the_conditional_mean_and_repeatable(name, case):
    truth, observed, exact = case
    out = run(name, case)
    hidden = ~observed
    assert out.mean.shape == out.variance.shape == truth.shape
    assert np.mean((out.mean.numpy() - exact)[hidden] ** 2) < 0.12
    assert (out.variance.numpy()[hidden] > 0).all()
    assert torch.equal(out.mean, run(name, case).mean)


def test_members_are_batched_as_far_as_memory_should_hold(case, monkeypatch):
    """The estimate is the same whatever the size of the batches, and none is larger than asked."""
    whole, sizes = run("ensemble", case, members=7), []
    forward = Oracle.forward

    def counted(self, x_t, *rest):
        sizes.append(len(x_t))
        return forward(self, x_t, *rest)

    monkeypatch.setattr(Oracle, "forward", counted)
    limit = 3 * case[0].size
    monkeypatch.setattr("xdiffimpute.imputation.CELLS_AT_ONCE", (limit, limit))
    parts = run("ensemble", case, members=7)
    assert sizes == [72, 72, 24]
    torch.testing.assert_close(parts.mean, whole.mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(parts.variance, whole.variance, rtol=1e-5, atol=1e-6)


def test_single_pass_is_exact_with_the_exact_denoiser(case):
    np.testing.assert_allclose(run("single_pass", case).mean.numpy(), case[2], atol=1e-2)


def test_ensemble_error_falls_with_members_to_a_floor(case):
    """Theorem 2: error(K) = floor + c / K, above the single pass's zero."""
    _, observed, exact = case
    hidden = ~observed
    error = {
        k: np.mean(
            [
                np.mean(
                    (run("ensemble", case, seed=s, members=k).mean.numpy() - exact)[hidden] ** 2
                )
                for s in range(6)
            ]
        )
        for k in (1, 4, 16)
    }
    assert error[1] > error[4] > error[16] > 0
    slope = (error[1] - error[4]) / (1 - 1 / 4)
    predicted = error[1] - slope * (1 - 1 / 16)
    assert error[16] == pytest.approx(predicted, rel=0.25)


def test_density_sets_the_context_ratio(case):
    """Appendix H.5: contexts hold the share of cells that training contexts held."""
    few = run("ensemble", case, density=0.1).variance.mean()
    many = run("ensemble", case, density=0.45).variance.mean()
    assert few > 1.2 * many


class Conditioned(Oracle):
    """The denoiser that Eq. 28 approximates: exact E[x_0 | x_t, x_obs, M]."""

    def __init__(self, schedule, clean):
        super().__init__(schedule)
        self.clean = clean

    def forward(self, x_t, t, context, features, offsets=None):
        k = covariance()
        (alpha,), (sigma,) = (level.double().numpy() for level in self.schedule(t[:1].double()))
        seen = context[0].numpy().ravel() > 0
        state = np.where(seen, self.clean.ravel(), x_t.double().numpy().reshape(len(x_t), -1))
        slope = np.where(seen, 1.0, alpha)
        noise = np.diag(np.where(seen, 1e-8, sigma**2))
        gain = (slope[:, None] * k).T @ np.linalg.inv(slope[:, None] * k * slope + noise)
        mean = torch.from_numpy(state @ gain.T).to(x_t).reshape(x_t.shape)
        return Prediction(mean, torch.ones_like(mean))


def test_multi_step_with_the_exact_denoiser_draws_from_the_posterior():
    """Algorithm 4: mean and variance of many draws, within their Monte Carlo error."""
    count = 1500
    truth = draw(1, seed=3)
    observed = np.random.default_rng(1).random(truth.shape) < 0.3
    mean, variance = posterior(truth[0], observed[0], sigma=1e-4)
    x = torch.from_numpy(np.repeat(truth * observed, count, axis=0))
    mask = torch.from_numpy(np.repeat(observed, count, axis=0).astype(np.float32))
    sampler = SAMPLERS.create("multi_step", members=1, weight="all", context="observed")
    out = sampler(
        Conditioned(make_schedule(), truth[0]), x, mask, torch.zeros(count, 1, 1, SIZE, SIZE),
        PARTITION, [np.random.default_rng([0, k]) for k in range(count)],
    ).mean.numpy()  # fmt: skip
    hidden = ~observed[0]
    z = (out.mean(axis=0) - mean)[hidden] / np.sqrt(variance[hidden] / count)
    assert np.abs(z).max() < 4.5 and np.mean(z**2) < 2
    ratio = out.var(axis=0)[hidden] / variance[hidden]
    assert np.abs(ratio - 1).max() < 0.2 and ratio.mean() == pytest.approx(1, abs=0.04)
    assert np.array_equal(out[:, observed[0]], np.repeat(truth[observed][None], count, axis=0))


def test_multi_step_without_the_diffusion_term_is_the_imputation_expectation(case):
    truth, observed, _ = case
    ensemble = run("ensemble", case, members=4).mean.numpy()
    out = run("multi_step", case, members=4, weight="none", steps=5).mean.numpy()
    np.testing.assert_allclose(out[~observed], ensemble[~observed], atol=1e-4)
    assert np.array_equal(out[observed], truth[observed])


@pytest.mark.parametrize("context", ["random", "fixed"])
def test_multi_step_ends_near_the_imputation_expectation(case, context):
    """With weight t the diffusion term fades out: its error is that of the ensemble."""
    _, observed, exact = case
    errors = [
        np.mean((run(name, case, **options).mean.numpy() - exact)[~observed] ** 2)
        for name, options in (
            ("ensemble", {"members": 8}),
            ("multi_step", {"members": 8, "steps": 100, "context": context}),
        )
    ]
    assert errors[1] == pytest.approx(errors[0], rel=0.3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps=0.*at least 1"),
        ({"members": 0}, "members=0.*at least 1"),
        ({"weight": "t3"}, "'t3' is not one of .*'t2'"),
        ({"context": "none"}, "'none' is not one of .*'fixed'"),
    ],
)
def test_multi_step_settings_are_checked(options, message):
    with pytest.raises(ImputeError, match=message):
        SAMPLERS.create("multi_step", **options)


def test_an_ensemble_has_members():
    with pytest.raises(ImputeError, match="members=0"):
        SAMPLERS.create("ensemble", members=0)
