r"""The denoiser :math:`x_\theta(t, M_{ctx} \odot x_t, M_{ctx})` and its loss (Eq. 1, Algorithm 1).

The backbone sees the noisy context, the context mask, the first guesses made from
them (:mod:`xdiffimpute.first_guess`) and coordinates. For each cell it returns a weight
for each guess, a correction, and a log-variance:

.. math:: x_\theta = \sum_g \mathrm{softmax}(w)_g\, \hat x_g + s\, r, \qquad \hat x_0 = 0 .

The correction r is in units of s, the error of the mixture that training starts from, so that the
network starts as close to the guesses as they are to the truth.
Climatology (zero anomaly) is one of the guesses, so a gap wider than the correlation length
falls back on it instead of on an extrapolation. The data-matching loss trains the mean; a
Gaussian likelihood, through which no gradient reaches the mean, trains the variance.

For comparison with other methods the guesses can be left out, the backbone can predict the
noise instead (noise matching), and it can be shown the noisy query (Appendix D).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from .backbones import BACKBONES
from .estimator import DELTA, Prediction
from .exceptions import ImputeError
from .first_guess import FirstGuesses
from .mixture import Products, best_mixture
from .samples import Sample
from .schedule import Schedule, make_schedule

__all__ = ["Denoiser", "Target", "crop"]

Target = Literal["data", "noise"]

MIXED, REHEARSED, MIXED_CELLS = 12, 48, 300_000  # samples, windows and cells of these
# What the guesses share evenly at first, less where the error of their mixture is less than large,
# since even half a percent of climatology is much beside a hundredth.
LEAST, LARGE = 0.02, 0.2
UNITS = (1e-6, 1.0)  # squared
_LOG_VARIANCE = (-12.0, 4.0)
LEAST_ALPHA = 1e-4  # of a schedule that ends in nothing but noise, which is divided by


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
        Share of training steps at t = ``DELTA``, where single-step sampling happens; the
        rest is uniform in (0, 1). Zero is the paper's Algorithm 1.
    guesses : bool
        Whether the first guesses are inputs and the base of the estimate.
    reach : (int, int, int), optional
        Frames, and largest lags in rows and columns, of the guess by kriging; without them it is
        left out.
    target : {"data", "noise"}
        What the backbone predicts and the loss compares: the clean field, or the noise.
    queried : bool
        Whether the backbone also sees the noisy values of the query, and where it is, as in
        diffusion probabilistic fields (Algorithm 2).
    likelihood : bool
        Whether the objective has the likelihood that trains the variance; without it the loss of
        Eq. 1 is all there is, and the variance is one constant a channel.

    Raises
    ------
    ImputeError
        If ``target`` is neither of the two words.

    References
    ----------
    Algorithm 1 and Theorem 1 of the paper.

    Examples
    --------
    >>> denoiser = Denoiser(channels=1, features=2)
    >>> x = torch.zeros(4, 1, 3, 8, 8)
    >>> context, features = torch.ones_like(x), torch.zeros(4, 2, 3, 8, 8)
    >>> mean, variance = denoiser(x, torch.full((4,), 1e-3), context, features)
    >>> mean.shape == variance.shape == x.shape
    True
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
        guesses: bool = True,
        reach: tuple[int, int, int] | None = None,
        target: Target = "data",
        queried: bool = False,
        likelihood: bool = True,
    ) -> None:
        super().__init__()
        if target not in get_args(Target):
            raise ImputeError(f"target={target!r} must be one of {get_args(Target)}")
        self.channels, self.features = channels, features
        self.backbone_name, self.size = backbone, size
        self.schedule = schedule if schedule is not None else make_schedule("vp")
        self.periodic = periodic
        self.near_zero = near_zero
        self.guesses, self.target, self.queried = guesses, target, queried
        self.reach = None if reach is None else (reach[0], reach[1], reach[2])
        self.likelihood = likelihood
        self.first = FirstGuesses(channels, reach, periodic=periodic) if guesses else None
        count = 0 if self.first is None else len(self.first.names)
        self.outputs = (1 + count if guesses else 0, 1, 1)
        self.register_buffer("prior", torch.zeros(self.outputs[0], channels))
        self.prior: Tensor
        self.register_buffer("unit", torch.ones(channels))
        self.unit: Tensor
        self.backbone = BACKBONES.create(
            backbone,
            in_channels=channels * (2 + count + queried) + features,
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
            "guesses": self.guesses,
            "reach": self.reach,
            "target": self.target,
            "queried": self.queried,
            "likelihood": self.likelihood,
        }

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> Denoiser:
        """Rebuild from :meth:`to_dict`, with fresh weights."""
        config = dict(config)
        return cls(schedule=make_schedule(**config.pop("schedule")), **config)

    def guess(
        self,
        x: Tensor,
        context: Tensor,
        t: Tensor | None = None,
        *,
        periodic: bool | None = None,
    ) -> Tensor:
        """The first guesses, shape (B, G, C, T, H, W).

        Parameters
        ----------
        x : Tensor, shape (B, C, T, H, W)
            Values of the context, as noisy as at ``t``.
        context : Tensor, shape (B, C, T, H, W)
        t : Tensor, shape (B,), optional
            Up to ``DELTA``, as by default, the values count as clean.
        periodic : bool, optional
            Whether the last axis wraps around here; default: as in training.
        """
        if self.first is None:
            return x.new_zeros((x.shape[0], 0, *x.shape[1:]))
        levels = None
        if t is not None:
            alpha, sigma = self.schedule(t)
            noisy = t > DELTA
            levels = (
                torch.where(noisy, alpha.clamp(min=LEAST_ALPHA), 1.0),
                torch.where(noisy, sigma, 0.0),
            )
        guesses: Tensor = self.first(x, context, periodic, levels)
        return guesses

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        context: Tensor,
        features: Tensor,
        offsets: Sequence[tuple[int, int]] | None = None,
        query: Tensor | None = None,
        periodic: bool | None = None,
        guesses: Tensor | None = None,
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
        query : Tensor, shape (B, C, T, H, W), optional
            For a network that sees it; default: everything outside the context.
        periodic : bool, optional
            Whether the last axis wraps around here; default: as in training.
        guesses : Tensor, shape (B, G, C, T, H, W), optional
            If they have been made before.

        Returns
        -------
        Prediction
            Of the tile, (B, C, T, h, w).
        """
        asked = 1 - context if query is None else query
        if guesses is None:
            guesses = self.guess(x_t * context, context, t, periodic=periodic)
        size = (features.shape[-2], features.shape[-1])
        x_t, context, guesses, asked = (
            crop(part, offsets, size) for part in (x_t, context, guesses, asked)
        )
        return self.estimate(x_t, t, context, guesses, features, asked, periodic)

    def estimate(
        self,
        x_t: Tensor,
        t: Tensor,
        context: Tensor,
        guesses: Tensor,
        features: Tensor,
        query: Tensor | None = None,
        periodic: bool | None = None,
    ) -> Prediction:
        """The network's part of :meth:`forward`, the guesses (B, G, C, T, H, W) being given."""
        c = x_t.shape[1]
        inputs = [context, guesses.flatten(1, 2), features[:, : self.features]]
        if self.queried:
            query = 1 - context if query is None else query
            x_t = x_t * (context + query)
            inputs.append(query)
        else:
            x_t = x_t * context
        packed = torch.cat([x_t, *inputs], dim=1)
        around = self.periodic if periodic is None else periodic
        out = self.backbone(packed, t, periodic=around)
        out = out.unflatten(1, (sum(self.outputs), c)).float()
        logits, mean, log_variance = (part.squeeze(1) for part in out.split(self.outputs, dim=1))
        if self.guesses:
            logits = logits + self.prior[None, :, :, None, None, None]
            mean = self.unit[:, None, None, None] * mean
            mean = mean + (logits.softmax(dim=1)[:, 1:] * guesses).sum(dim=1)
        if self.target == "noise":
            alpha, sigma = self._levels(t)
            mean = (x_t - sigma * mean) / alpha.clamp(min=LEAST_ALPHA)
        low, high = _LOG_VARIANCE
        shift = 2.0 * self.unit.log()[:, None, None, None]
        return Prediction(mean, (log_variance.clamp(min=low) + shift).clamp(max=high).exp())

    def noisy(self, x: Tensor, t: Tensor, generator: torch.Generator | None) -> Tensor:
        """Sample x_t given x_0 (Eq. 9): alpha_t x + sigma_t eps."""
        alpha, sigma = self._levels(t)
        noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        return alpha * x + sigma * noise

    def _levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha and sigma, each of shape (B, 1, 1, 1, 1)."""
        alpha, sigma = self.schedule(t)
        return alpha.view(-1, 1, 1, 1, 1), sigma.view(-1, 1, 1, 1, 1)

    @torch.no_grad()
    def start_from(
        self,
        samples: Sequence[Sample],
        judged: Sequence[Tensor] | None = None,
        rehearsal: Sequence[Sample] = (),
    ) -> Tensor:
        """Tune the first guesses on data, and start from their best constant mixture.

        The guesses are tuned first (:meth:`~xdiffimpute.first_guess.FirstGuesses.tune`); the
        mixture comes from non-negative least squares on the first dozen of the samples, and on
        withheld cells.

        Parameters
        ----------
        samples : sequence of (x, context, query), each of shape (B, C, T, H, W)
        judged : sequence of bool Tensor, shape (B, T), optional
            Frames that the covariance of kriging is not made from, until the mixture is found.
        rehearsal : sequence of (x, context, query), each of shape (B, C, T, H, W), optional
            Cells that are withheld to judge covariances and the mixture, and what is shown about
            them.

        Returns
        -------
        Tensor, shape (1 + G, C)
            Weights of climatology and of each guess, which sum to one. The network's own
            weights act on top of them.
        """
        whole = None if self.first is None else self.first.tune(samples, judged, rehearsal)
        asked = samples[:MIXED]
        if judged is not None:
            own = [frames[:, None, :, None, None].to(self.prior) for frames in judged]
            alone = [(x, c, q * f) for (x, c, q), f in zip(asked, own, strict=False)]
            asked = alone if any(bool(q.any()) for *_, q in alone) else asked
        sets = [Products.of((self.guess(x, context), x, query) for x, context, query in asked)]
        if rehearsal:
            most = max(MIXED, MIXED_CELLS // rehearsal[0][0].numel())
            some = rehearsal[: min(REHEARSED, most)]
            sets.append(
                Products.of((self.guess(x, context), x, query) for x, context, query in some)
            )
        if self.first is not None and whole is not None:
            self.first.adopt(whole)
        weights, error = best_mixture(sets)
        mixture = torch.from_numpy(weights.astype(np.float32)).to(self.prior.device)
        wrong = np.sqrt(sets[-1].error(weights).clip(*UNITS)) / LARGE
        least = mixture.new_tensor(LEAST * wrong.clip(max=1.0))
        self.prior.copy_(((1.0 - least) * mixture + least / len(mixture)).log())
        self.unit.copy_(torch.from_numpy(np.sqrt(error.clip(*UNITS)).astype(np.float32)))
        return mixture

    def sample_time(self, size: int, generator: torch.Generator, device: Any) -> Tensor:
        """Diffusion times of a training batch, shape (size,)."""
        draw = torch.rand(2, size, generator=generator, device=device)
        uniform = draw[1].clamp(min=DELTA)  # at t = 0 there is no noise to match
        return torch.where(draw[0] < self.near_zero, torch.full_like(uniform, DELTA), uniform)

    def loss(
        self,
        x: Tensor,
        context: Tensor,
        query: Tensor,
        features: Tensor,
        t: Tensor,
        generator: torch.Generator | None = None,
        offsets: Sequence[tuple[int, int]] | None = None,
        weights: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        r"""Masked data-matching loss, :math:`\|M_{qry} \odot (x_\theta - x)\|^2` per queried cell.

        Noise matching weighs the same error by :math:`\alpha_t^2 / \sigma_t^2`, which makes it
        :math:`\|M_{qry} \odot (\epsilon_\theta - \epsilon)\|^2` where the query is an input.

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
        weights : Tensor, shape (B, C, T, H, W), optional
            What each queried cell counts; default: one.

        Returns
        -------
        objective : Tensor
            What to differentiate: the loss, plus the likelihood of the variance if asked for.
        loss : Tensor
            The loss of Eq. 1 divided by the number of queried cells, detached.
        """
        prediction = self(self.noisy(x, t, generator), t, context, features, offsets, query)
        size = (features.shape[-2], features.shape[-1])
        x, query = crop(x, offsets, size), crop(query, offsets, size)
        error = (prediction.mean - x).square()
        cells = query.sum().clamp(min=1.0)
        if weights is not None:
            query = query * crop(weights, offsets, size)
        weight: Tensor | float = 1.0
        if self.target == "noise":
            alpha, sigma = self._levels(t)
            weight = (alpha / sigma).square()
        loss = (weight * error * query).sum() / cells
        if not self.likelihood:
            return loss, loss.detach()
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
