"""Query exposure: with what probability the missing cells are learned.

By Theorem 1 the network's output at cell i converges to the conditional mean only if
``p_i = P(query_i = 1 | context) > 0``, and p_i is the frequency with which i contributes to
an update. Conditioning on a whole context is out of reach, so it is replaced by two facts
about it: that i is not in it, and how far i is from the nearest cell that is,

    p(i, d) = P(query_i | i outside) P(query | outside, d) / P(query | outside),

where "outside" stands for "not in the context".
The first factor finds cells that are never observed or never queried. The second finds gaps
deeper than any query: the failure of Figure 1, where gaps of whole blocks are thinned by
single pixels, so that each query has a context at its side and no gap's centre does.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ._typing import AnyArray, BoolArray, FloatArray
from .exceptions import DataError
from .partition import Partition

__all__ = ["Exposure", "exposure"]

# Upper edges of the distance bins, in cells; the last bin holds frames without any context.
EDGES = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1e9])
BINS = len(EDGES) + 1
# Relative to the mean over all depths: a thousandth of the average is as good as never.
NEGLIGIBLE = 1e-3
# Observations of a cell that would have been queried, by the average, before "never" is believed.
EXPECTED_QUERIES = 10
MAX_SPLIT_CELLS = 6e7
MAX_DISTANCE_CELLS = 8e6


@dataclass(frozen=True)
class Exposure:
    """Where the data can teach anything.

    Parameters
    ----------
    probability : float array, shape (C, H, W)
        P(query | context) of each cell, averaged over the frames in which it is missing.
    zero : bool array, shape (C, H, W)
        True where the probability is zero; what is filled there would be arbitrary.
    missing_share : float
        Share of all missing values (of cells observed at least once) that are out of reach.
    message : str or None
        How many cells are zero and what to do about it, or None.

    Examples
    --------
    >>> from xdiffimpute.masks import MASKS
    >>> masks = np.random.default_rng(0).random((20, 1, 8, 8)) < 0.6
    >>> found = exposure(
    ...     Partition(MASKS.create("pixel")), masks, masks.any(axis=0), np.random.default_rng(0), 1
    ... )
    >>> found.probability.shape, found.zero.any(), found.message
    ((1, 8, 8), np.False_, None)
    """

    probability: FloatArray
    zero: BoolArray
    missing_share: float
    message: str | None


def exposure(
    partition: Partition,
    masks: BoolArray,
    domain: BoolArray,
    rng: np.random.Generator,
    window: int,
    splits: int = 256,
    share: FloatArray | None = None,
) -> Exposure:
    """Estimate the query exposure of a data set under a partition.

    Parameters
    ----------
    partition : Partition
    masks : bool array, shape (N, C, H, W) or (S, N, C, H, W)
        True where observed; N frames in time order (of S series).
    domain : bool array, shape (C, H, W)
        Cells that are observed at least once.
    rng : numpy.random.Generator
        The only source of randomness.
    window : int
        Frames of a training sample.
    splits : int
        Samples to split; fewer where frames are very large.
    share : float array, shape (C, H, W), optional
        How often each cell is observed, if ``masks`` are only a part of the data.

    Returns
    -------
    Exposure

    Raises
    ------
    DataError
        If the shapes do not fit.

    References
    ----------
    Theorem 1, Principle 1 and Figure 1 of "Incomplete Data, Complete Dynamics: A Diffusion
    Approach".

    Examples
    --------
    >>> from xdiffimpute.masks import MASKS
    >>> rng = np.random.default_rng(0)
    >>> masks = rng.random((40, 1, 16, 16)) < 0.5
    >>> found = exposure(
    ...     Partition(MASKS.create("pixel"), ratio=0.5), masks, masks.any(axis=0), rng, window=1
    ... )
    >>> bool(0.25 < np.median(found.probability) < 0.42), found.message
    (True, None)
    """
    if masks.ndim == 4:
        masks = masks[None]
    if masks.ndim != 5 or masks.shape[2:] != domain.shape or not masks.size:
        raise DataError(
            f"masks of shape {masks.shape} do not go with a domain of shape {domain.shape}; "
            "pass masks as (series, time, channel, y, x) and the domain as (channel, y, x)."
        )
    window = min(window, masks.shape[1])
    counts = _Counts.of(partition, masks, domain, rng, window, splits)
    by_cell = counts.by_cell(masks.mean(axis=(0, 1)) if share is None else share, domain)
    by_depth, overall = counts.by_depth()
    if overall > 0:
        by_depth = by_depth / overall
    reach, missing_share = _reach(masks, domain, by_depth, rng)
    zero = (by_cell == 0) | (reach <= NEGLIGIBLE)
    probability = np.where(zero, 0.0, np.clip(by_cell * reach, 0, 1))
    message = _message(zero, domain, missing_share, partition)
    return Exposure(probability, zero, missing_share, message)


@dataclass
class _Counts:
    """What the splits did: per cell (C, H, W) and per distance bin."""

    observed: AnyArray
    context: AnyArray
    query: AnyArray
    outside: AnyArray
    queried: AnyArray
    repeats: int  # frames of a sample that are split alike

    @classmethod
    def of(
        cls,
        partition: Partition,
        masks: BoolArray,
        domain: BoolArray,
        rng: np.random.Generator,
        window: int,
        splits: int,
    ) -> _Counts:
        """Split windows drawn at random."""
        shape = domain.shape
        cells = [np.zeros(shape, dtype=np.int64) for _ in range(3)]
        bins_of = [np.zeros(BINS, dtype=np.int64) for _ in range(2)]
        repeats = window if partition.pattern.static else 1
        counts = cls(cells[0], cells[1], cells[2], bins_of[0], bins_of[1], repeats)
        most = MAX_SPLIT_CELLS // (domain.size * window)
        number = int(np.clip(most, min(8, splits), splits))
        distances = np.clip(MAX_DISTANCE_CELLS // (domain.size * number), 1, window)
        for _ in range(number):
            series, start = rng.integers(len(masks)), rng.integers(masks.shape[1] - window + 1)
            sample = masks[series, start : start + window].swapaxes(0, 1) & domain[:, None]
            if not sample.any():
                continue
            context, query = partition.split(sample, rng)
            query = query & ~context
            counts.observed += sample.sum(axis=1)
            counts.context += context.sum(axis=1)
            counts.query += query.sum(axis=1)
            frames = rng.choice(window, size=int(distances), replace=False)
            for t, c in itertools.product(frames, range(shape[0])):
                bins = _bins(context[c, t])
                outside = ~context[c, t] & domain[c]
                counts.outside += np.bincount(bins[outside], minlength=BINS)
                counts.queried += np.bincount(bins[query[c, t]], minlength=BINS)
        return counts

    def by_cell(self, observed_share: FloatArray, domain: BoolArray) -> FloatArray:
        """P(query_i | i not in context), by Bayes from how often i is observed.

        P(query_i | observed) is counted and drawn towards its mean over all cells by one
        observation's worth, so that a cell which the splits happened not to meet is not
        taken for one that is never queried.
        """
        total = max(int(self.observed.sum()), 1)
        query, context = self.query.sum() / total, self.context.sum() / total
        queried = (self.query + query) / (self.observed + 1)
        enough = self.observed * query >= EXPECTED_QUERIES * self.repeats
        queried[(self.query == 0) & enough] = 0
        kept = (self.context + context) / (self.observed + 1)
        outside = 1 - observed_share * kept
        share = observed_share * queried / np.maximum(outside, 1e-12)
        return np.where(domain, np.minimum(share, 1.0), 0.0)

    def by_depth(self) -> tuple[FloatArray, float]:
        """P(query | not in context, distance bin), and over all distances."""
        share = self.queried / np.maximum(self.outside, 1)
        # A bin that no cell fell into between bins that were queried is like the next one.
        for k in range(BINS - 3, -1, -1):
            if self.outside[k] == 0:
                share[k] = share[k + 1]
        return share, float(self.queried.sum() / max(self.outside.sum(), 1))


def _reach(
    masks: BoolArray, domain: BoolArray, by_depth: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, float]:
    """Mean over its gaps of each cell's depth factor; share of the gaps where it is zero."""
    frames = masks.reshape(-1, *domain.shape)
    number = int(np.clip(MAX_DISTANCE_CELLS // domain.size, 8, 256))
    pick = np.sort(rng.choice(len(frames), size=min(number, len(frames)), replace=False))
    total, count = np.zeros(domain.shape), np.zeros(domain.shape, dtype=np.int64)
    lost = 0
    for frame in frames[pick]:
        for c in range(len(domain)):
            missing = ~frame[c] & domain[c]
            if not missing.any():
                continue
            factor = by_depth[_bins(frame[c] & domain[c])]
            total[c][missing] += factor[missing]
            count[c] += missing
            lost += int(np.count_nonzero(factor[missing] <= NEGLIGIBLE))
    share = lost / max(int(count.sum()), 1)
    return np.where(count > 0, total / np.maximum(count, 1), 1.0), share


def _bins(context: BoolArray) -> AnyArray:
    """Distance bin of each cell of a frame (H, W)."""
    if not context.any():
        return np.full(context.shape, BINS - 1)
    distance: FloatArray = ndimage.distance_transform_edt(~context)
    return np.searchsorted(EDGES, distance)


def _message(
    zero: BoolArray, domain: BoolArray, missing_share: float, partition: Partition
) -> str | None:
    parts = []
    unseen = int((~domain).sum())
    if unseen:
        parts.append(
            f"{unseen} of {zero.size} cells are never observed, as land is not: a fill leaves them "
            "missing, or takes those that where= names"
        )
    stuck = int((zero & domain).sum())
    if stuck:
        parts.append(
            f"{stuck} of {int(domain.sum())} cells that are observed at times have zero query "
            f"exposure under the partition {partition.name!r} (Principle 1)"
        )
    if missing_share > 0.01:
        parts.append(f"{missing_share:.0%} of the missing values lie deeper than any query")
    if (stuck or missing_share > 0.01) and partition.name != "empirical":
        parts.append("try partition='empirical', which thins the data by their own gaps")
    elif stuck or missing_share > 0.01:
        parts.append("try a longer window, or partition='block' with blocks as large as the gaps")
    return "; ".join(parts) + "." if parts else None
