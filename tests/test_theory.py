"""The paper's theorems, as numbers that a Gaussian field makes exact."""

import numpy as np
import pytest
import torch
from gaussian import SIZE, Oracle, covariance, draw

from xdiffimpute.denoiser import Denoiser
from xdiffimpute.estimator import DELTA
from xdiffimpute.masks import MASKS
from xdiffimpute.partition import Partition
from xdiffimpute.samplers import SAMPLERS
from xdiffimpute.schedule import make_schedule

SPLITS = 4000


def splits(partition, density, seed=0):
    """Masks of observed pixels, their contexts and queries, each (SPLITS, cells)."""
    rng = np.random.default_rng(seed)
    observed = rng.random((SPLITS, 1, 1, 4, 5)) < density
    pairs = [partition.split(mask, rng) for mask in observed]
    return observed, np.stack([c for c, _ in pairs]), np.stack([q for _, q in pairs])


@pytest.mark.parametrize("ratio", [0.3, 0.8])
def test_gradients_scale_with_the_chance_of_being_queried(ratio):
    """Theorem 1 (ii), Eq. 4, and (iii), Eq. 5: p_i sets both size and frequency."""
    density = np.linspace(0.3, 0.95, 20).reshape(4, 5)
    partition = Partition(MASKS.create("pixel"), ratio=ratio)
    _, _, query = splits(partition, density)
    p = density * (1 - ratio)
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.standard_normal((4, 5)))
    gradient = gradients(x.float(), torch.from_numpy(query[:, 0, 0]).float())
    updated = (gradient != 0).mean(axis=0)
    error = 3 * np.sqrt(p * (1 - p) / SPLITS)
    assert (np.abs(updated - p) < 1.3 * error + 0.005).all()
    magnitude = (gradient**2).mean(axis=0)
    np.testing.assert_allclose(magnitude, 4 * updated * x.numpy() ** 2, rtol=1e-4)
    slope = np.polyfit(p.ravel(), (magnitude / (4 * x.numpy() ** 2)).ravel(), 1)[0]
    assert slope == pytest.approx(1.0, abs=0.15)


def gradients(x, query):
    """Of the denoiser's own loss by its answer, zero, in each split: shape (SPLITS, 4, 5)."""
    net = Denoiser(1, 0, guesses=False, likelihood=False)
    answer = torch.zeros(query.shape, requires_grad=True)

    class Answer(torch.nn.Module):
        def forward(self, packed, t, periodic=False):
            return torch.stack([answer, torch.zeros_like(answer)], dim=1)[:, :, None]

    net.backbone = Answer()
    field = x.expand(query.shape)[:, None, None]
    features = torch.zeros(len(query), 0, 1, 4, 5)
    t = torch.full((len(query),), DELTA)
    loss, _ = net.loss(field, torch.zeros_like(field), query[:, None, None], features, t)
    (loss * query.sum()).backward()
    return answer.grad.numpy()


def gain(seen):
    """The matrix that takes observed values to the conditional mean of all cells."""
    k = covariance()
    out = np.zeros_like(k)
    out[:, seen] = k[:, seen] @ np.linalg.inv(k[np.ix_(seen, seen)] + 1e-6 * np.eye(seen.sum()))
    return out


def test_the_ensembles_error_falls_as_one_over_k_to_the_predicted_floor():
    """Theorem 2, Eqs. 13 and 14: floor and slope follow from the covariance alone."""
    rng = np.random.default_rng(3)
    observed = rng.random((1, 1, SIZE, SIZE)) < 0.6
    partition = Partition(MASKS.create("pixel"), ratio=0.6)
    gains = np.stack([gain(partition.split(observed, rng)[0].ravel()) for _ in range(1500)])
    full, mean, k = gain(observed.ravel()), gains.mean(axis=0), covariance()
    hidden = ~observed.ravel()

    def error(a):
        return np.einsum("ij,jk,ik->i", a, k, a)[hidden].mean()

    floor = error(mean - full)
    variance = np.mean([error(each - mean) for each in gains[:400]])
    truth = draw(400, seed=5)
    exact = (full @ (truth * observed).reshape(400, -1).T).T
    x = torch.from_numpy(truth * observed)
    mask = torch.from_numpy(np.broadcast_to(observed, truth.shape).astype(np.float32))
    oracle, features = Oracle(make_schedule()), torch.zeros(400, 1, 1, SIZE, SIZE)
    for members in (1, 4, 16):
        sampler = SAMPLERS.create("ensemble", members=members)
        rngs = [np.random.default_rng([7, k]) for k in range(400)]
        out = sampler(oracle, x, mask, features, partition, rngs)
        measured = np.mean((out.mean.numpy().reshape(400, -1) - exact)[:, hidden] ** 2)
        assert measured == pytest.approx(floor + variance / members, rel=0.12), members
    assert floor > 0
