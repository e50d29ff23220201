"""How good covariances are, by errors of kriging."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import torch

from .covariance import Covariance
from .kriging import MOST_FACTORED, QUICKLY_FACTORED, GaussianField, has_factors, krige
from .samples import Sample, first_cells

__all__ = ["CovarianceJudge", "affordable"]

FINAL = 2  # so many times the cells, but for a first choice
EXACT, EXACTLY = 8, 3  # so many times the work, for so many covariances that seem best
LEAST_WINDOWS = 2  # windows, however large
WORTH = 1.01  # factors are made where the error without them is more than so many times theirs
WAYS = (0, 128)  # from which windows of many observations are kriged; 0 is from all


class CovarianceJudge(NamedTuple):
    """Windows whose queries say how good a covariance is.

    Those of many observations are kriged as if these were very many: in less time than by
    factors, so that more windows judge.

    Parameters
    ----------
    few, more : list of Sample
        For a first choice, and for all others.
    exact : list of Sample
        Of the latter as many as there is time to make factors of.
    periodic : bool
        Whether the last axis wraps around.
    ways : tuple of int
        From how many neighbours windows of many observations may be kriged; 0 is from all. What
        fits a smooth covariance may not fit a rough one, so each is judged in that which suits it.

    Examples
    --------
    >>> x = torch.ones(1, 1, 1, 1, 3)
    >>> query = torch.tensor([0.0, 1.0, 0.0]).view_as(x)
    >>> judge = CovarianceJudge.of([(x, 1 - query, query)], 100, 1e6, periodic=False)
    >>> lags = torch.tensor([0.2, 0.5, 1.0, 0.5, 0.2]).view(1, 1, 1, 1, 5)
    >>> round(judge(Covariance(lags, torch.tensor(1e-6))), 3)  # (1 - (0.5 + 0.5) / (1 + 0.2))^2
    0.028
    """

    few: list[Sample]
    more: list[Sample]
    exact: list[Sample]
    periodic: bool
    ways: tuple[int, ...] = WAYS[:1]

    @classmethod
    def of(
        cls, samples: Sequence[Sample], cells: int, work: float, periodic: bool
    ) -> CovarianceJudge:
        """From samples: the first ones of so many cells, and so much work on factors."""
        few, more = (_first(samples, k * cells, k * LEAST_WINDOWS) for k in (1, FINAL))
        exact = affordable(_with_factors(_between(more, 0, MOST_FACTORED)), EXACT * work)
        ways = WAYS if _between(more, QUICKLY_FACTORED) else WAYS[:1]
        return cls(few, more, exact, periodic, ways)

    def __call__(self, covariance: Covariance, by: Sequence[Sample] = ()) -> float:
        """Mean over the channels of the squared error over the square of the values."""
        return min(self._errors(covariance, by or self.more))

    def _errors(self, covariance: Covariance, by: Sequence[Sample]) -> list[float]:
        """Of each way."""
        return [_error(covariance, by, self.periodic, way, QUICKLY_FACTORED) for way in self.ways]

    def by_factors(self, covariance: Covariance, by: Sequence[Sample] = ()) -> float:
        """The same of windows that are all factored, which leaves no choice of a way."""
        return _error(covariance, by or self.exact, self.periodic, 0, MOST_FACTORED)

    @property
    def large(self) -> list[Sample]:
        """Windows that may be worth a factor."""
        return _between(self.exact, QUICKLY_FACTORED)

    @property
    def neighbours(self) -> int:
        """From how many windows of many observations are kriged; 0 is from all."""
        return self.ways[0]

    def best(self, trials: Sequence[Covariance]) -> tuple[int, float]:
        """Which of some is best, in the way that suits it, and its error.

        Where windows are large, the few that seem best are compared by factors, as they would
        fill: neighbours and steps do not rank them as factors do.
        """
        errors = [self(trial) for trial in trials]
        ranked = sorted(range(len(trials)), key=errors.__getitem__)
        if self.large:
            own = {k: self.by_factors(trials[k]) for k in ranked[:EXACTLY]}
            ranked = sorted(own, key=own.__getitem__)
        return ranked[0], errors[ranked[0]]

    def settled(self, covariance: Covariance) -> CovarianceJudge:
        """With the one way of kriging windows of many observations that suits a covariance."""
        large = _between(self.more, QUICKLY_FACTORED)
        if len(self.ways) == 1 or not large:
            return self._replace(ways=self.ways[:1])
        return self._replace(ways=(self.ways[int(np.argmin(self._errors(covariance, large)))],))

    def worth_a_factor(self, covariance: Covariance) -> int:
        """Up to how many observations a factor is worth its time; also where none can judge."""
        large = self.large
        if not large:
            return MOST_FACTORED
        steps = self._replace(ways=WAYS[:1])(covariance, large)
        worth = steps > WORTH * self.by_factors(covariance, large)
        return MOST_FACTORED if worth else QUICKLY_FACTORED


def affordable(samples: Sequence[Sample], work: float) -> list[Sample]:
    """As many of the windows as can be kriged with so much work on factors, one at least.

    Parameters
    ----------
    samples : sequence of Sample
    work : float
        Cubes of the numbers of observations, as far as a matrix of so many is factored.

    Returns
    -------
    list of Sample

    Examples
    --------
    >>> x = torch.ones(3, 1, 1, 1, 10)
    >>> [len(context) for _, context, _ in affordable([(x, x, x), (x, x, x)], work=4000)]
    [3, 1]
    """
    kept: list[Sample] = []
    for x, context, query in samples:
        count = context.flatten(1).sum(dim=1)
        cost = torch.where(count <= MOST_FACTORED, count**3, 0.0 * count).double().cumsum(0)
        fits = max(int((cost <= work).sum()), 0 if kept else 1)
        if not fits:
            break
        kept.append((x[:fits], context[:fits], query[:fits]))
        work -= float(cost[fits - 1])
        if fits < len(x):
            break
    return kept


def _first(samples: Sequence[Sample], cells: int, least: int) -> list[Sample]:
    """Windows of so many cells together, or so many windows if that is more."""
    found = first_cells(samples, cells)
    if sum(len(x) for x, *_ in found) >= least:
        return found
    kept: list[Sample] = []
    for sample in samples:
        x, context, query = (field[:least] for field in sample)
        if least:
            kept.append((x, context, query))
        least -= len(x)
    return kept


def _between(samples: Sequence[Sample], few: int, most: float = torch.inf) -> list[Sample]:
    """The windows with more observations than few, up to most: there may be none."""
    found = []
    for sample in samples:
        count = sample[1].flatten(1).sum(dim=1)
        some = (count > few) & (count <= most)
        if some.any():
            x, context, query = (field[some] for field in sample)
            found.append((x, context, query))
    return found


def _with_factors(samples: Sequence[Sample]) -> list[Sample]:
    """The windows that are factored if they have few observations: there may be none."""
    found = []
    for sample in samples:
        _, channels, frames, *shape = sample[0].shape
        if has_factors(channels, frames, (shape[0], shape[1])):
            found.append(sample)
    return found


def _error(
    covariance: Covariance, samples: Sequence[Sample], periodic: bool, neighbours: int, many: int
) -> float:
    """Mean over the channels of the squared error at the query over the square of the values.

    Windows of so many observations are not factored.
    """
    dims = (0, 2, 3, 4)
    channels = samples[0][0].shape[1]
    wrong, whole = torch.zeros(channels), torch.zeros(channels)
    field_of = cache(partial(GaussianField, covariance, factored=many))
    for x, context, query in samples:
        guess = krige(
            x * context, context, field_of, periodic=periodic, neighbours=neighbours, many=many,
            asked=query > 0,
        )  # fmt: skip
        wrong += ((guess - x).square() * query).sum(dim=dims).cpu()
        whole += (x.square() * query).sum(dim=dims).cpu()
    asked = whole > 0
    return float((wrong[asked] / whole[asked]).mean()) if asked.any() else 0.0
