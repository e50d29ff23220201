"""Covariances of pairs of known values of gappy data, and models fitted to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ._typing import BoolArray, FloatArray
from .covariance import pair_sums, taper
from .matern import MODELS, Matern, Model, fit_matern
from .samples import Sample, known_cells

__all__ = ["EDGES", "PairCovariance"]

EDGES = (np.inf, 3.0, 1.5)  # of the taper of fitted models, over the reach


class PairCovariance(NamedTuple):
    """Covariances of pairs of known values, and how many pairs each rests on.

    Parameters
    ----------
    lags : Tensor, shape (C, C, T, 2 Y + 1, 2 X + 1)
        As of :class:`~xdiffimpute.covariance.Covariance`.
    pairs : Tensor, shape (C, C, T, 2 Y + 1, 2 X + 1)
    asked : bool array, shape (C,)
        Channels that are to be filled.

    Examples
    --------
    >>> x = torch.tensor([1.0, -1.0, 1.0, -1.0]).view(1, 1, 1, 1, 4)
    >>> found = PairCovariance.of([(x, torch.ones_like(x), 0 * x)], (0, 1), periodic=False)
    >>> found.lags.flatten().tolist(), found.pairs.flatten().tolist()
    ([-1.0, 1.0, -1.0], [3.0, 4.0, 3.0])
    """

    lags: Tensor
    pairs: Tensor
    asked: BoolArray

    @classmethod
    def of(
        cls, samples: Sequence[Sample], reach: tuple[int, int], *, periodic: bool
    ) -> PairCovariance:
        """From samples, each (x, context, query) of shape (B, C, T, H, W)."""
        products: Tensor | float = 0.0
        pairs: Tensor | float = 0.0
        asked: Tensor | bool = False
        for x, context, query in samples:
            found = pair_sums(x, known_cells(context, query), reach, periodic=periodic)
            products, pairs = products + found[0], pairs + found[1]
            asked = asked | (query > 0).any(dim=4).any(dim=3).any(dim=2).any(dim=0)
        count = torch.as_tensor(pairs)
        some = torch.as_tensor(asked).cpu().numpy()
        lags = torch.as_tensor(products) / count.clamp(min=1.0)
        return cls(lags, count, some if some.any() else ~some)

    @property
    def models(self) -> list[Model]:
        """Those that differ; of a single frame there is no smoothness in time."""
        return [model for model in MODELS if model.smooth or self.lags.shape[2] > 1]

    def fitted(self, model: Model) -> Matern:
        """The model's fit to the pairs."""
        return fit_matern(self.lags.cpu().numpy(), self.pairs.cpu().numpy(), model, self.asked)

    def modelled(self, fit: Matern, edge: float = EDGES[0]) -> Tensor:
        """The covariance of a fit with the variances of the pairs.

        Errors of observation are what a channel has at lag zero, and not between channels. A fit
        that reaches far is cut off where lags end, and what that makes negative in its spectrum is
        lost, as under noise; a taper takes it to zero instead.

        Parameters
        ----------
        fit : Matern
        edge : float
            Where the taper is zero, over the reach.
        """
        _, _, frames, *size = self.lags.shape
        y, x = size[0] // 2, size[1] // 2
        between = self.lags[:, :, 0, y, x].cpu().numpy().copy()
        own = np.arange(len(between))
        whole = between[own, own].copy()
        between[own, own] *= fit.share
        between = _nearest_covariance(between)
        lags = torch.from_numpy(fit.covariance(between, (frames, y, x))).to(self.lags)
        lags = lags * self._taper(edge)
        if fit.share < 1.0:
            lags[own, own, 0, y, x] = torch.from_numpy(whole).to(lags)
        return lags

    def mixed(self, width: float, fit: Matern, share: float, edge: float = EDGES[0]) -> Tensor:
        """Those of the pairs, damped by a taper as wide as so many times the reach, and a fit.

        Parameters
        ----------
        width : float
            Of the taper, over the reach.
        fit : Matern
        share : float
            Of the fit; at 1 it is all there is.
        edge : float
            Of the taper of the fit.
        """
        if share == 1.0:
            return self.modelled(fit, edge)
        return (self.lags * self._taper(width)).lerp(self.modelled(fit, edge), share)

    def _taper(self, width: float) -> Tensor:
        reach = self.lags.shape[-2] // 2, self.lags.shape[-1] // 2
        return taper(reach, width * max(1, *reach), self.lags.device)


def _nearest_covariance(between: FloatArray) -> FloatArray:
    """Variances and covariances of channels (C, C) without what no fields can have in common.

    Those of pairs rest on other cells for each two channels, and errors of observation have been
    taken out of the variances alone. The variances stay.
    """
    values, vectors = np.linalg.eigh((between + between.T) / 2)
    if values[0] >= 0.0:
        return between
    found = (vectors * values.clip(min=0.0)) @ vectors.T
    size = np.sqrt(between.diagonal().clip(min=0.0) / found.diagonal().clip(min=1e-30))
    return np.asarray(found * np.outer(size, size))
