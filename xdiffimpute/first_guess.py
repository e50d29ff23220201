r"""Cheap linear fills that the denoiser starts from.

A membrane and a thin plate are stretched over the context, held together through time with a
stiffness that was tuned on the data (:mod:`xdiffimpute.space_time`). Kriging gives the expected
values of a stationary Gaussian field whose covariance between channels, frames and places was
found on the data (:mod:`xdiffimpute.variography`).

They are given to the backbone as inputs and as terms of a weighted base
(:mod:`xdiffimpute.denoiser`); being linear in the data, but for a limit on extrapolation, they
change nothing of what the training loss converges to (Theorem 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .covariance import Covariance
from .kriging import MOST_FACTORED, GaussianField, krige
from .local_kriging import kriging_variance, unit_errors
from .samples import Sample
from .space_time import Stiffness, fill_space_time, tune
from .variography import estimate_covariance

__all__ = ["FirstGuesses"]

ORDERS = {"membrane": 1, "thin_plate": 2}
OVERSHOOT, DEVIATIONS = 1.5, 4.0
MOST_KEPT = 4


class FirstGuesses(nn.Module):
    """A fill by each of the cheap methods.

    Parameters
    ----------
    channels : int
        Number of fields, C.
    reach : (int, int, int), optional
        Frames T, and largest lags in rows and in columns, that kriging knows of; without them
        there is no kriging.
    periodic : bool
        Whether the last axis wraps around the globe.

    Examples
    --------
    >>> guesses = FirstGuesses(channels=1)
    >>> x, context = torch.ones(1, 1, 1, 4, 4), torch.zeros(1, 1, 1, 4, 4)
    >>> context[..., 1] = 1.0
    >>> guesses.names, guesses(x, context).shape
    (('membrane', 'thin_plate'), torch.Size([1, 2, 1, 1, 4, 4]))
    """

    def __init__(
        self, channels: int, reach: tuple[int, int, int] | None = None, *, periodic: bool = False
    ) -> None:
        super().__init__()
        self.periodic = periodic
        self.reach = None if reach is None else (reach[1], reach[2])
        stiffness = Stiffness.default(channels)
        self.register_buffer("springs", torch.stack([torch.stack(stiffness)] * len(ORDERS)))
        self.springs: Tensor
        self.lags: Tensor
        self.noise: Tensor
        self.factored: Tensor
        self.neighbours: Tensor
        self.proper: Tensor
        if reach is not None:
            frames, rows, columns = reach
            shape = (channels, channels, frames, 2 * rows + 1, 2 * columns + 1)
            self.register_buffer("lags", torch.zeros(shape, dtype=torch.float64))
            self.register_buffer("proper", torch.tensor(False))
            self.register_buffer("noise", torch.ones(()))
            self.register_buffer("factored", torch.tensor(MOST_FACTORED))
            self.register_buffer("neighbours", torch.tensor(0))
            with torch.no_grad():
                self.lags[:, :, 0, rows, columns] = torch.eye(channels)  # as of white noise
        self._made: dict[tuple[object, ...], tuple[Covariance, GaussianField]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the G guesses."""
        return (*ORDERS, *(() if self.reach is None else ("kriging",)))

    @torch.no_grad()
    def forward(
        self,
        x: Tensor,
        context: Tensor,
        periodic: bool | None = None,
        levels: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """All guesses of a batch, in float32 whatever the surrounding autocast.

        Parameters
        ----------
        x : Tensor, shape (B, C, T, H, W)
            Standardised values; whatever stands outside the context is ignored.
        context : Tensor, shape (B, C, T, H, W)
            1 where the value is given, 0 elsewhere.
        periodic : bool, optional
            Whether the last axis wraps around here; default: as it was said.
        levels : (Tensor, Tensor), each of shape (B,), optional
            Of the signal and of the noise in the values, which kriging accounts for; default: no
            noise.

        Returns
        -------
        Tensor, shape (B, G, C, T, H, W)
            One fill for each of the names, nowhere beyond 1.5 times the largest anomaly of its
            window and channel; that of kriging may be as far off as four times the spread, since
            other channels can tell it of what none was observed of.
        """
        around = self.periodic if periodic is None else periodic
        with torch.autocast(x.device.type, enabled=False):
            x = x * context
            guesses = [
                fill_space_time(x, context, Stiffness(*springs), order=order, periodic=around)
                for order, springs in zip(ORDERS.values(), self.springs, strict=True)
            ]
            limit = OVERSHOOT * x.abs().amax(dim=(-3, -2, -1), keepdim=True)
            guesses = [_within(guess, limit) for guess in guesses]
            if self.reach is not None:
                most = torch.maximum(limit, DEVIATIONS * self._spread.view(-1, 1, 1, 1))
                guesses.append(_within(self._krige(x, context, around, levels), most))
            return torch.stack(guesses, dim=1)

    @property
    def _spread(self) -> Tensor:
        """Of each channel as kriging knows it, shape (C,)."""
        rows, columns = self.lags.shape[-2] // 2, self.lags.shape[-1] // 2
        return self.lags[:, :, 0, rows, columns].diagonal().clamp(min=0.0).sqrt().float()

    def _krige(
        self, x: Tensor, context: Tensor, periodic: bool, levels: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """The clean field that is to be expected."""
        clean, added = x, None
        if levels is not None:
            alpha, sigma = levels
            clean, added = x / alpha.view(-1, 1, 1, 1, 1), (sigma / alpha).square()
        return krige(
            clean, context, self._field, periodic=periodic, added=added,
            neighbours=int(self.neighbours),
        )  # fmt: skip

    @torch.no_grad()
    def variance(
        self, context: Tensor, periodic: bool | None = None, asked: Tensor | None = None
    ) -> Tensor | None:
        """Variance that kriging expects of its errors, and of those of observation.

        Parameters
        ----------
        context : Tensor, shape (B, C, T, H, W)
            1 where the value is given, 0 elsewhere.
        periodic : bool, optional
            As for the guesses.
        asked : bool Tensor, shape (B, C, T, H, W), optional
            Where it is wanted; default: everywhere.

        Returns
        -------
        Tensor, shape (B, C, T, H, W), or None
            Of standardised values; None where kriging is left out.
        """
        if self.reach is None:
            return None
        around = self.periodic if periodic is None else periodic
        with torch.autocast(context.device.type, enabled=False):
            return kriging_variance(context.float(), self._field, periodic=around, asked=asked)

    def draw_errors(
        self,
        context: Tensor,
        rng: np.random.Generator,
        count: int,
        periodic: bool | None = None,
        asked: Tensor | None = None,
    ) -> Tensor:
        """Draws of errors of kriging over their deviation: :func:`.unit_errors`.

        Parameters
        ----------
        context : Tensor, shape (C, T, H, W)
        rng : numpy.random.Generator
        count : int
            N, draws.
        periodic : bool, optional
            As for the guesses.
        asked : bool Tensor, shape (C, T, H, W), optional

        Returns
        -------
        Tensor, shape (N, C, T, H, W)
        """
        around = self.periodic if periodic is None else periodic
        field_of = partial(self._field, drawn=True)
        return unit_errors(context, field_of, rng, count, periodic=around, asked=asked)

    @torch.no_grad()
    def tune(
        self,
        samples: Sequence[Sample],
        judged: Sequence[Tensor] | None = None,
        rehearsal: Sequence[Sample] = (),
    ) -> Covariance | None:
        """Find what fills best.

        Parameters
        ----------
        samples : sequence of (x, context, query), each of shape (B, C, T, H, W)
            The stiffness comes from a search on the first of them, the covariance from all.
        judged : sequence of bool Tensor, shape (B, T), optional
            Frames that judge covariances. Kriging is left with one that was not made from these,
            so that its errors there are nearly those to expect.
        rehearsal : sequence of (x, context, query), each of shape (B, C, T, H, W), optional
            Judges covariances in place of the samples.

        Returns
        -------
        Covariance, optional
            That of all frames, to :meth:`adopt` in the end.
        """
        for springs, order in zip(self.springs, ORDERS.values(), strict=True):
            springs.copy_(torch.stack(tune(samples, order=order, periodic=self.periodic)))
        if self.reach is None:
            return None
        found = estimate_covariance(
            samples, self.reach, periodic=self.periodic, judged=judged, rehearsal=rehearsal
        )
        self.factored.fill_(found.factored)
        self.neighbours.fill_(found.neighbours)
        self.adopt(found.apart)
        return found.whole

    @torch.no_grad()
    def adopt(self, covariance: Covariance) -> None:
        """Krige with a covariance from now on."""
        self.lags.copy_(covariance.lags)
        self.noise.copy_(covariance.noise)
        self.proper.fill_(covariance.proper)
        self._made.clear()

    def describe(self, labels: Sequence[str], mixture: Tensor) -> list[str]:
        """What the tuning found, as lines of text: one for each channel.

        Parameters
        ----------
        labels : sequence of str
            Of the C channels.
        mixture : Tensor, shape (1 + G, C)
            Shares of climatology and of the guesses that training starts from.

        Returns
        -------
        list of str

        Examples
        --------
        >>> shares = torch.tensor([[0.1], [0.0], [0.9]])
        >>> FirstGuesses(channels=1).describe(["sst"], shares)[0]
        'sst starts from 10% climatology, 90% thin plate (coupling 0.001, screening 0.001, ...)'
        """
        lines = []
        for c, label in enumerate(labels):
            parts = [] if mixture[0, c] < 0.005 else [f"{float(mixture[0, c]):.0%} climatology"]
            for k, (share, name) in enumerate(
                zip(mixture[1:, c].tolist(), self.names, strict=True)
            ):
                if share >= 0.005:
                    parts.append(f"{share:.0%} {name.replace('_', ' ')} ({self._settings(k, c)})")
            lines.append(f"{label} starts from {', '.join(parts)}")
        return lines

    def _settings(self, guess: int, channel: int) -> str:
        """In words."""
        if guess >= len(ORDERS):
            return f"noise {float(self.noise):.1g}"
        pairs = zip(Stiffness._fields, self.springs[guess, :, channel].tolist(), strict=True)
        return ", ".join(f"{name} {value:.1g}" for name, value in pairs)

    def _field(
        self, shape: tuple[int, int], frames: int, periodic: bool, *, drawn: bool = False
    ) -> GaussianField:
        """Kept from call to call, as long as the covariance stays the same.

        What is drawn has a covariance on the torus.
        """
        proper = bool(self.proper) and not drawn
        key = (*shape, frames, periodic, int(self.factored), proper, self.lags.device)
        made = self._made.get(key)
        same = made is not None and all(map(torch.equal, made[0][:2], (self.lags, self.noise)))
        if made is None or not same:
            while len(self._made) >= MOST_KEPT:
                self._made.pop(next(iter(self._made)))
            covariance = Covariance(self.lags.clone(), self.noise.clone(), proper)
            field = GaussianField(covariance, shape, frames, periodic, int(self.factored))
            self._made[key] = made = (covariance, field)
        return made[1]

    def __getstate__(self) -> dict[str, Any]:
        """Without what can be made again."""
        return self.__dict__ | {"_made": {}}


def _within(guess: Tensor, limit: Tensor) -> Tensor:
    return torch.maximum(torch.minimum(guess, limit), -limit)
