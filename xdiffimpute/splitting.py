"""How the samples of a fit are split: the pattern of the gaps, as the method uses it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np

from ._typing import BoolArray, FloatArray
from .exposure import Exposure, exposure
from .masks import MaskPattern
from .methods import Method
from .partition import Partition
from .recognition import resolve

__all__ = ["Splitting", "choose_splitting", "find_partition"]

log = logging.getLogger("xdiffimpute")

SPLITS = 128
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
    unreachable : bool array, shape (C, H, W)
        Cells that the data's pattern never queries (Principle 1), or that are never observed.
    """

    found: Partition
    training: Partition
    reason: str
    density: float
    unreachable: BoolArray

    def beside(self, given: int) -> Splitting:
        """The same for samples whose last channels are covariates."""
        h, w = self.unreachable.shape[1:]
        none = np.zeros((given, h, w), dtype=bool)
        return replace(
            self, found=replace(self.found, given=given),
            training=replace(self.training, given=given),
            unreachable=np.concatenate([self.unreachable, none]),
        )  # fmt: skip


def find_partition(
    asked: str | MaskPattern | Partition, masks: BoolArray, seen: BoolArray
) -> tuple[Partition, str]:
    """The data's own pattern, or the one that was asked for, and why.

    Parameters
    ----------
    asked : str, MaskPattern or Partition
        As for :func:`xdiffimpute.recognition.resolve`.
    masks : bool array, shape (S, N, C, H, W)
        True where observed.
    seen : bool array, shape (C, H, W)
        Cells that are observed at least once.

    Returns
    -------
    Partition
    str

    Raises
    ------
    ImputeError
        If the pattern cannot split these data.
    """
    found, reason = resolve(asked, masks, seen)
    found.pattern.check(masks)
    return _with_empty_frames(found, masks), reason


def choose_splitting(
    asked: str | MaskPattern | Partition,
    method: Method,
    masks: BoolArray,
    share: FloatArray,
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
    share : float array, shape (C, H, W)
        How often each cell is observed, in all frames.
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
    found, reason = find_partition(asked, masks, share > 0)
    training = found if isinstance(asked, Partition) else method.partition(found)
    log.info("method: %s; partition: %s", method.name, reason)

    def exposed(partition: Partition) -> Exposure:
        rng = np.random.default_rng(seed)
        return exposure(partition, masks, share > 0, rng, window, splits=SPLITS, share=share)

    natural = exposed(found)
    _warn_of_exposure(natural if training is found else exposed(training), share > 0)
    density = _density(training, masks, window, seed)
    return Splitting(found, training, reason, density, natural.zero)


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


def _warn_of_exposure(found: Exposure, seen: BoolArray) -> None:
    if found.message is not None:
        reachable = bool((found.zero & seen).any()) or found.missing_share > 0
        log.log(logging.WARNING if reachable else logging.INFO, "%s", found.message)
