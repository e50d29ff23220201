"""How the samples of a fit are split: the pattern of the gaps, as the method uses it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np

from ._typing import BoolArray
from .exposure import exposure
from .masks import MaskPattern
from .methods import Method
from .partition import Partition
from .recognition import resolve

__all__ = ["Splitting", "choose_splitting"]

log = logging.getLogger("xdiffimpute")

SPLITS_FOR_DENSITY = 64


@dataclass(frozen=True)
class Splitting:
    """The partitions of a fit.

    Parameters
    ----------
    found : Partition
        With the pattern of the data's gaps, for withholding.
    training : Partition
        What the method makes of it.
    reason : str
    density : float
        Share of all cells that a dense training context holds (Appendix H.5).
    """

    found: Partition
    training: Partition
    reason: str
    density: float


def choose_splitting(
    asked: str | MaskPattern | Partition,
    method: Method,
    masks: BoolArray,
    *,
    window: int,
    seed: int,
) -> Splitting:
    """Decide how to split, and warn of cells that no split exposes.

    Parameters
    ----------
    asked : str, MaskPattern or Partition
        As for :func:`xdiffimpute.recognition.resolve`; a Partition is taken as it is, whatever the
        method.
    method : Method
    masks : bool array, shape (S, N, C, H, W)
        True where observed.
    window : int
    seed : int

    Returns
    -------
    Splitting

    Raises
    ------
    ImputeError
        If the pattern cannot split these data.
    """
    seen: BoolArray = np.any(masks, axis=(0, 1))
    found, reason = resolve(asked, masks, seen)
    found.pattern.check(masks)
    found = _with_empty_frames(found, masks)
    training = found if isinstance(asked, Partition) else method.partition(found)
    log.info("method: %s; partition: %s", method.name, reason)
    _warn_of_exposure(training, masks, seen, window, seed)
    return Splitting(found, training, reason, _density(training, masks, window, seed))


def _density(partition: Partition, masks: BoolArray, window: int, seed: int) -> float:
    """The share alpha r_train of Appendix H.5: the 80th percentile over splits.

    Ensembles profit from contexts as full as those the network knows.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 6]))
    shares = []
    for _ in range(SPLITS_FOR_DENSITY):
        s = int(rng.integers(masks.shape[0]))
        t = int(rng.integers(masks.shape[1] - min(window, masks.shape[1]) + 1))
        observed = masks[s, t : t + window].transpose(1, 0, 2, 3)
        if observed.any():
            shares.append(float(partition.split(observed, rng)[0].mean()))
    return float(np.quantile(shares, 0.8)) if shares else 0.0


def _with_empty_frames(partition: Partition, masks: BoolArray) -> Partition:
    """Contexts with empty frames, where the data have such: so that they are learned too."""
    empty = 1.0 - float(masks.any(axis=(2, 3, 4)).mean())
    if empty == 0.0 or partition.empty or masks.shape[1] < 2:
        return partition
    log.info(
        "%.1f%% of the frames hold no observation: some contexts leave out whole frames",
        100 * empty,
    )
    return replace(partition, empty=float(np.clip(empty, 0.05, 0.25)))


def _warn_of_exposure(
    partition: Partition, masks: BoolArray, seen: BoolArray, window: int, seed: int
) -> None:
    found = exposure(partition, masks, seen, np.random.default_rng(seed), window, splits=32)
    if found.message is not None:
        reachable = bool((found.zero & seen).any()) or found.missing_share > 0
        log.log(logging.WARNING if reachable else logging.INFO, "%s", found.message)
