r"""The denoiser :math:`x_\theta(t, M_{ctx} \odot x_t, M_{ctx})` and its loss (Eq. 1, Algorithm 1).

The backbone sees the noisy context, the context mask, the first guesses made from
them (:mod:`xdiffimpute.first_guess`) and coordinates. For each cell it returns a weight
for each guess, a correction, and a log-variance:

.. math:: x_\theta = \sum_g \mathrm{softmax}(w)_g\, \hat x_g + r, \qquad \hat x_0 = 0 .

Climatology (zero anomaly) is one of the guesses, so a gap wider than the correlation length
falls back on it instead of on an extrapolation. The data-matching loss trains the mean; a
Gaussian likelihood, through which no gradient reaches the mean, trains the variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor, nn

from ._typing import FloatArray
from .backbones import BACKBONES
from .first_guess import GUESSES, Springs, first_guesses, tune_guesses
from .schedule import Schedule, make_schedule
from .space_time import Stiffness

__all__ = ["DELTA", "Denoiser", "Estimator", "Prediction", "crop"]

DELTA = 1e-3
"""The small diffusion time of single-step sampling (Eq. 9)."""

_LOG_VARIANCE = (-12.0, 4.0)


class Prediction(NamedTuple):
    """Mean and variance of the clean field, each of shape (B, C, T, H, W)."""

    mean: Tensor
    variance: Tensor


class Estimator(Protocol):
    """What samplers call: a denoiser, or one spread over a larger field."""

    @property
    def schedule(self) -> Schedule:
        """Noise levels."""
        ...

    def __call__(self, x_t: Tensor, t: Tensor, context: Tensor, features: Tensor) -> Prediction:
        """Estimate the clean field; shapes as in :meth:`Denoiser.forward`."""
        ...


class Denoiser(nn.Module):
    """Backbone, schedule and loss.

    Parameters
    ----------
    channels : int
        Number of fields, C.
    features : int
        Number of coordinate channels, F.
    backbone, size : str
        Name and size of the network.
    schedule : Schedule, optional
        Default: variance preserving, beta 0.1 to 20.
    periodic : bool
        Whether the last axis wraps around the globe.
    near_zero : float
        Share of training steps at t = :data:`DELTA`, where single-step sampling happens; the
        rest is uniform in (0, 1). Zero is the paper's Algorithm 1.

    References
    ----------
    Algorithm 1 and Theorem 1 of the paper.
    """

    def __init__(
        self,
        channels: int,
        features: int,
        *,
        backbone: str = "unet",
        size: str = "small",
        schedule: Schedule | None = None,
        periodic: bool = False,
        near_zero: float = 0.8,
    ) -> None:
        super().__init__()
        self.channels, self.features = channels, features
        self.backbone_name, self.size = backbone, size
        self.schedule = schedule if schedule is not None else make_schedule("vp")
        self.periodic = periodic
        self.near_zero = near_zero
        guesses = len(GUESSES)
        self.outputs = (1 + guesses, 1, 1)
        self.register_buffer("prior", torch.zeros(1 + guesses, channels))
        self.prior: Tensor
        self.register_buffer("_springs", _stack(Springs.default(channels)))
        self._springs: Tensor
        self.backbone = BACKBONES.create(
            backbone,
            in_channels=channels * (2 + guesses) + features,
            out_channels=channels * sum(self.outputs),
            size=size,
        )

    def to_dict(self) -> dict[str, Any]:
        """Constructor arguments that JSON can hold."""
        return {
            "channels": self.channels,
            "features": self.features,
            "backbone": self.backbone_name,
            "size": self.size,
            "schedule": self.schedule.to_dict(),
            "periodic": self.periodic,
            "near_zero": self.near_zero,
        }

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> Denoiser:
        """Rebuild from :meth:`to_dict`, with fresh weights."""
        config = dict(config)
        return cls(schedule=make_schedule(**config.pop("schedule")), **config)

    @property
    def springs(self) -> Springs:
        """Stiffness of the guesses, found by :meth:`start_from`."""
        return Springs(*(Stiffness(*part) for part in self._springs))

    def guess(self, x: Tensor, context: Tensor, *, periodic: bool | None = None) -> Tensor:
        """The first guesses, shape (B, G, C, T, H, W); on a periodic grid if the network's is."""
        around = self.periodic if periodic is None else periodic
        return first_guesses(x, context, self.springs, periodic=around)

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        context: Tensor,
        features: Tensor,
        offsets: Sequence[tuple[int, int]] | None = None,
    ) -> Prediction:
        """Estimate the clean field.

        The values may cover the surroundings of a tile: the first guesses are made from all
        of them, the backbone works on the tile.

        Parameters
        ----------
        x_t : Tensor, shape (B, C, T, H, W)
            Noisy standardised values; anything outside the context is ignored.
        t : Tensor, shape (B,)
            Diffusion time in [0, 1].
        context : Tensor, shape (B, C, T, H, W)
            1 inside the context, 0 outside.
        features : Tensor, shape (B, F, T, h, w)
            Coordinates of the tile.
        offsets : sequence of (int, int), optional
            First row and column of each sample's tile in the values; default: all of them.

        Returns
        -------
        Prediction
            Of the tile, (B, C, T, h, w).
        """
        x_t = x_t * context
        guesses = self.guess(x_t, context)
        size = (features.shape[-2], features.shape[-1])
        x_t, context, guesses = (crop(a, offsets, size) for a in (x_t, context, guesses))
        return self.estimate(x_t, t, context, guesses, features)

    def estimate(
        self, x_t: Tensor, t: Tensor, context: Tensor, guesses: Tensor, features: Tensor
    ) -> Prediction:
        """The network's part of :meth:`forward`, the guesses (B, G, C, T, H, W) being given."""
        c = x_t.shape[1]
        packed = torch.cat([x_t, context, guesses.flatten(1, 2), features], dim=1)
        out = self.backbone(packed, t, periodic=self.periodic)
        out = out.unflatten(1, (sum(self.outputs), c)).float()
        logits, correction, log_variance = out.split(self.outputs, dim=1)
        logits = logits + self.prior[None, :, :, None, None, None]
        weights = logits.softmax(dim=1)[:, 1:]
        mean = (weights * guesses).sum(dim=1) + correction[:, 0]
        return Prediction(mean, log_variance[:, 0].clamp(*_LOG_VARIANCE).exp())

    def noisy(self, x: Tensor, t: Tensor, generator: torch.Generator | None) -> Tensor:
        """Sample x_t given x_0 (Eq. 9): alpha_t x + sigma_t eps."""
        alpha, sigma = (level.view(-1, 1, 1, 1, 1) for level in self.schedule(t))
        noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        return alpha * x + sigma * noise

    @torch.no_grad()
    def start_from(self, samples: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
        """Tune the first guesses on data, and start from their best constant mixture.

        The stiffness of the guesses comes from a search on the first of the samples, the
        mixture from non-negative least squares on all.

        Parameters
        ----------
        samples : sequence of (x, context, query), each of shape (B, C, T, H, W)

        Returns
        -------
        Tensor, shape (1 + G, C)
            Weights of climatology and of each guess, which sum to one. The network's own
            weights act on top of them.
        """
        found = tune_guesses(samples, periodic=self.periodic)
        self._springs.copy_(_stack(found))
        count = len(GUESSES)
        gram = np.zeros((self.channels, count, count))
        right = np.zeros((self.channels, count))
        for x, context, query in samples:
            guesses = self.guess(x, context) * query[:, None]
            gram += torch.einsum("bgcthw,bkcthw->cgk", guesses, guesses).cpu().double().numpy()
            right += torch.einsum("bgcthw,bcthw->cg", guesses, x).cpu().double().numpy()
        weights = np.full((1 + count, self.channels), 1.0 / (1 + count))
        for c in range(self.channels):
            scale = np.trace(gram[c])
            if scale > 0:
                weights[:, c] = _mixture(gram[c] / scale, right[c] / scale)
        mixture = torch.from_numpy(weights.astype(np.float32)).to(self.prior.device)
        self.prior.copy_((0.9 * mixture + 0.1 / (1 + count)).log())
        return mixture

    def sample_time(self, size: int, generator: torch.Generator, device: Any) -> Tensor:
        """Diffusion times of a training batch, shape (size,)."""
        draw = torch.rand(2, size, generator=generator, device=device)
        return torch.where(draw[0] < self.near_zero, torch.full_like(draw[1], DELTA), draw[1])

    def loss(
        self,
        x: Tensor,
        context: Tensor,
        query: Tensor,
        features: Tensor,
        t: Tensor,
        generator: torch.Generator | None = None,
        offsets: Sequence[tuple[int, int]] | None = None,
    ) -> tuple[Tensor, Tensor]:
        r"""Masked data-matching loss, :math:`\|M_{qry} \odot (x_\theta - x)\|^2` per queried cell.

        Parameters
        ----------
        x : Tensor, shape (B, C, T, H, W)
            Standardised values, zero where not observed.
        context, query : Tensor, shape (B, C, T, H, W)
            1 inside, 0 outside.
        features : Tensor, shape (B, F, T, h, w)
        t : Tensor, shape (B,)
        generator : torch.Generator, optional
        offsets : sequence of (int, int), optional
            As in :meth:`forward`; the loss is taken in the tile.

        Returns
        -------
        objective : Tensor
            What to differentiate: the loss plus the likelihood of the variance.
        loss : Tensor
            The loss of Eq. 1 divided by the number of queried cells, detached.
        """
        prediction = self(self.noisy(x, t, generator), t, context, features, offsets)
        size = (features.shape[-2], features.shape[-1])
        x, query = crop(x, offsets, size), crop(query, offsets, size)
        error = (prediction.mean - x).square()
        cells = query.sum().clamp(min=1.0)
        loss = (error * query).sum() / cells
        likelihood = prediction.variance.log() + error.detach() / prediction.variance
        objective = loss + 0.05 * (likelihood * query).sum() / cells
        return objective, loss.detach()


def crop(field: Tensor, offsets: Sequence[tuple[int, int]] | None, size: tuple[int, int]) -> Tensor:
    """Each sample's tile of a field (B, ..., H, W): (B, ..., h, w)."""
    if offsets is None or tuple(field.shape[-2:]) == size:
        return field
    h, w = size
    tiles = [part[..., y : y + h, x : x + w] for part, (y, x) in zip(field, offsets, strict=True)]
    return torch.stack(tiles)


def _stack(springs: Springs) -> Tensor:
    """As one array of shape (2, 3, C)."""
    return torch.stack([torch.stack(part) for part in springs])


def _mixture(gram: FloatArray, right: FloatArray) -> FloatArray:
    """Weights of climatology (zero) and the guesses, at least zero and one in sum."""
    count = len(right)
    values, vectors = np.linalg.eigh(gram)
    root = np.sqrt(np.maximum(values, 1e-9))
    design = np.concatenate([root[:, None] * vectors.T, np.full((1, count), 1e3)])
    design = np.concatenate([np.append(np.zeros(count), 1e3)[:, None], design], axis=1)
    target = np.append((vectors.T @ right) / root, 1e3)
    weights, _ = nnls(design, target)
    return np.asarray(weights / weights.sum())
