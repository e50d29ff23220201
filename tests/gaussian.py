"""A Gaussian field small enough that every conditional mean is known exactly."""

import numpy as np
import torch
from torch import nn

SIZE = 6


def covariance(length: float = 2.0) -> np.ndarray:
    """Exponential covariance of a SIZE x SIZE field, with unit variance."""
    grid = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij"), -1).reshape(-1, 2)
    distance = np.linalg.norm(grid[:, None] - grid[None], axis=-1)
    return np.exp(-distance / length)


def draw(count: int, seed: int) -> np.ndarray:
    """Samples, shape (count, 1, 1, SIZE, SIZE)."""
    factor = np.linalg.cholesky(covariance())
    noise = np.random.default_rng(seed).standard_normal((count, SIZE * SIZE))
    return (noise @ factor.T).reshape(count, 1, 1, SIZE, SIZE).astype(np.float32)


def posterior(values: np.ndarray, observed: np.ndarray, alpha: float = 1.0, sigma: float = 1e-3):
    """Mean and variance of x_0 given alpha x_0 + sigma eps on observed cells of one sample."""
    k = covariance()
    seen = np.flatnonzero(observed.ravel())
    gain = (
        alpha
        * k[:, seen]
        @ np.linalg.inv(alpha**2 * k[np.ix_(seen, seen)] + sigma**2 * np.eye(len(seen)))
    )
    mean = gain @ values.ravel()[seen]
    variance = np.diag(k) - alpha * np.einsum("ij,ij->i", gain, k[:, seen])
    return mean.reshape(observed.shape), variance.reshape(observed.shape)


class Oracle(nn.Module):
    """Stands in for a trained denoiser: the exact E[x_0 | context] (Eq. 3)."""

    def __init__(self, schedule) -> None:
        super().__init__()
        self.schedule = schedule

    def forward(self, x_t, t, context, features, offsets=None):
        from xdiffimpute.estimator import Prediction

        alpha, sigma = self.schedule(t)
        pairs = [
            posterior(x.numpy(), c.numpy() > 0, float(a), max(float(s), 1e-3))
            for x, c, a, s in zip(x_t, context, alpha, sigma, strict=True)
        ]
        mean, variance = (torch.tensor(np.stack(part), dtype=x_t.dtype) for part in zip(*pairs))
        return Prediction(mean, variance)
