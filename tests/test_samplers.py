"""Samplers driven by the exact denoiser of a Gaussian field: what they return is known."""

import numpy as np
import pytest
import torch
from gaussian import SIZE, Oracle, draw, posterior

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
    rng = np.random.default_rng(seed)
    mask = torch.from_numpy(observed.astype(np.float32))
    return sampler(Oracle(make_schedule()), x, mask, features, PARTITION, rng, density)


@pytest.mark.parametrize("name", SAMPLERS.names())
def test_close_to_the_conditional_mean_and_repeatable(name, case):
    truth, observed, exact = case
    out = run(name, case)
    hidden = ~observed
    assert out.mean.shape == out.variance.shape == truth.shape
    assert np.mean((out.mean.numpy() - exact)[hidden] ** 2) < 0.12
    assert (out.variance.numpy()[hidden] > 0).all()
    assert torch.equal(out.mean, run(name, case).mean)


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
