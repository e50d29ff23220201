"""What every sampler is: from observations to members of the filled field."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from torch import Tensor

from ..estimator import Estimator, Prediction
from ..partition import Partition

__all__ = ["Sampler"]


class Sampler(ABC):
    """Estimates the field given everything that was observed.

    Attributes
    ----------
    in_place : bool
        Whether estimates are put back among the values, and must cover the same cells.
    draws : bool
        Whether contexts are drawn, as the partition says; if not, the denoiser is called once, with
        all that was observed.
    guided : bool
        Whether it takes a ``guide``, a penalty that pulls the estimate towards a law.

    Examples
    --------
    >>> from xdiffimpute.samplers import SAMPLERS
    >>> SAMPLERS.names()
    ['ensemble', 'multi_step', 'single_pass']
    >>> SAMPLERS.create("ensemble", members=20).members
    20
    """

    in_place: ClassVar[bool] = False
    draws: ClassVar[bool] = True
    guided: ClassVar[bool] = False

    @abstractmethod
    def __call__(
        self,
        denoiser: Estimator,
        x: Tensor,
        observed: Tensor,
        features: Tensor,
        partition: Partition,
        rngs: Sequence[np.random.Generator],
        density: float | None = None,
        noise: Tensor | None = None,
    ) -> Prediction:
        """Estimate.

        Parameters
        ----------
        denoiser : Estimator
        x : Tensor, shape (B, C, T, H, W)
            Standardised values, zero where not observed.
        observed : Tensor, shape (B, C, T, H, W)
            1 where observed.
        features : Tensor, shape (B, F, T, h, w)
            Coordinates.
        partition : Partition
            How contexts were drawn in training.
        rngs : sequence of numpy.random.Generator
            One for each sample: the only sources of randomness.
        density : float, optional
            Share of all cells that a training context held. Contexts are thinned to it, so
            that the network works in the range it learned (Appendix H.5); ``None`` thins
            by the ratio used in training.
        noise : Tensor, shape (B, C, T, H, W), optional
            Standard normal: where a sampler that starts from noise is to start.

        Returns
        -------
        Prediction
            Mean and variance, each (B, C, T, h, w): of the values' cells, or of the tile that the
            estimator cuts from them.
        """
