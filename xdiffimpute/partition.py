"""Context and query: how a partly observed sample is split for training.

A sample observed at M is split into a context, which the network sees, and a query, at which
the loss is taken; both are subsets of M. The context is M thinned by a mask pattern, so that
it looks like a mask of the data itself, and every cell outside it may have been a query:
P(query_i = 1 | context) > 0 (Principle 1). The query is what the thinning removed
(``complement``) or, as in the paper, anything observed (``observed``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from ._typing import BoolArray
from .exceptions import ImputeError
from .masks import MASKS, MaskPattern

__all__ = ["Partition", "Ratio"]

Ratio: TypeAlias = float | tuple[float, float] | None
Query: TypeAlias = Literal["complement", "observed"]

ATTEMPTS = 6
LAST_RATIO = 0.7


@dataclass(frozen=True)
class Partition:
    """A mask pattern, and how the query is chosen.

    Parameters
    ----------
    pattern : MaskPattern
        What thins the observations into the context.
    ratio : float in (0, 1], (float, float) or None
        Share of the observations (or of the blocks) in the context; a pair is the range
        from which each sample draws its own, ``None`` the pattern's own choice. One, with
        ``query="observed"``, is a context of everything that is observed.
    query : {"complement", "observed"}
        The query is drawn from the observations outside the context, or from all of them.
    query_ratio : float in (0, 1), optional
        Thin the query as well, by an independent draw of the same pattern: with
        ``query="observed"`` this is Algorithm 5 (pixels) or 6 (whole blocks) to the letter.
    empty : float in [0, 1)
        Probability that a run of frames is left out of the context as a whole, for data in which
        frames hold no observation at all.
    given : int
        How many of the last channels are covariates: always in the context, never in the query.

    Raises
    ------
    ImputeError
        If a ratio is out of range, if nothing is left to query, or if ``query`` is not one of
        the two words.

    References
    ----------
    Section 3.2 and Appendix H.2 of "Incomplete Data, Complete Dynamics: A Diffusion Approach".

    Examples
    --------
    >>> from xdiffimpute.masks import MASKS
    >>> partition = Partition(MASKS.create("pixel"), ratio=0.5)
    >>> observed = np.ones((1, 1, 8, 8), dtype=bool)
    >>> context, query = partition.split(observed, np.random.default_rng(0))
    >>> bool((context ^ query).all())
    True
    """

    pattern: MaskPattern
    ratio: Ratio = (0.35, 0.95)
    query: Query = "complement"
    query_ratio: float | None = None
    empty: float = 0.0
    given: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.ratio, list | tuple):
            object.__setattr__(self, "ratio", tuple(float(r) for r in self.ratio))
        low, high = _bounds(self.ratio)
        share = 0.5 if self.query_ratio is None else self.query_ratio
        whole = low == 1 and self.query == "observed"
        if not (0 < low <= high and (high < 1 or whole) and 0 < share < 1):
            raise ImputeError(
                f"Partition(ratio={self.ratio!r}, query_ratio={self.query_ratio!r}): ratios must "
                "lie strictly between 0 and 1, such as ratio=0.7 or ratio=(0.35, 0.95); ratio=1 "
                "(everything in the context) needs query='observed'."
            )
        if not 0 <= self.empty < 1:
            raise ImputeError(
                f"Partition(empty={self.empty!r}): a probability below 1 is needed, such as "
                "empty=0.1."
            )
        if self.query not in get_args(Query):
            raise ImputeError(
                f"Partition(query={self.query!r}): query must be one of {get_args(Query)}."
            )

    def split(
        self, observed: BoolArray, rng: np.random.Generator, ratio: float | None = None
    ) -> tuple[BoolArray, BoolArray]:
        """Split one sample.

        Parameters
        ----------
        observed : bool array, shape (C, T, H, W)
            True where observed.
        rng : numpy.random.Generator
            The only source of randomness.
        ratio : float in (0, 1), optional
            Context ratio of this split, in place of the partition's own.

        Returns
        -------
        context, query : bool arrays, shape (C, T, H, W)
            Subsets of ``observed``. Neither is empty if at least two cells are observed:
            where the pattern cannot split them, single cells are drawn instead. A sample
            of a single cell is all context.
        """
        if self.given:
            fields, covariates = observed[: -self.given], observed[-self.given :]
            context, query = replace(self, given=0).split(fields, rng, ratio)
            return (
                np.concatenate([context, covariates]),
                np.concatenate([query, np.zeros_like(covariates)]),
            )
        for attempt in range(ATTEMPTS):
            share = self._draw_ratio(rng, ratio)
            if share is None and attempt >= ATTEMPTS // 2:
                share = LAST_RATIO  # the pattern's own choice keeps all or nothing
            context = observed.copy() if share == 1 else self.pattern(observed, rng, share)
            if self.empty and ratio is None and rng.random() < self.empty:
                context = _without_frames(context, rng)
            query = self._query(observed, context, rng)
            if context.any() and query.any():
                return context, query
            if not observed.any():
                break
        return self._split_cells(observed, rng, self._draw_ratio(rng, ratio))

    def _draw_ratio(self, rng: np.random.Generator, ratio: float | None) -> float | None:
        if ratio is not None:
            return ratio
        if isinstance(self.ratio, tuple):
            return float(rng.uniform(*self.ratio))
        return self.ratio

    def _query(
        self, observed: BoolArray, context: BoolArray, rng: np.random.Generator
    ) -> BoolArray:
        pool = observed if self.query == "observed" else observed & ~context
        return (
            pool.copy() if self.query_ratio is None else self.pattern(pool, rng, self.query_ratio)
        )

    def _split_cells(
        self, observed: BoolArray, rng: np.random.Generator, ratio: float | None
    ) -> tuple[BoolArray, BoolArray]:
        """The last resort: single cells, at least one of each kind where there are two."""
        cells = rng.permutation(np.flatnonzero(observed))
        number = round((0.5 if ratio is None else ratio) * len(cells))
        number = min(max(number, 1), max(len(cells) - 1, 1))
        context = np.zeros(observed.shape, dtype=bool)
        context.reshape(-1)[cells[:number]] = True
        return context, observed.copy() if self.query == "observed" else observed & ~context

    @property
    def name(self) -> str:
        """Public name of the pattern, such as ``"pixel"``."""
        return type(self.pattern).__module__.rpartition(".")[2]

    @property
    def library(self) -> BoolArray | None:
        """The masks that an empirical pattern draws from, shape (N, H, W), or None."""
        library: BoolArray | None = getattr(self.pattern, "library", None)
        return library

    def to_dict(self) -> dict[str, Any]:
        """All that JSON can hold; an empirical pattern's library is left out."""
        return {
            "pattern": self.name,
            "options": self.pattern.to_dict(),
            "ratio": list(self.ratio) if isinstance(self.ratio, tuple) else self.ratio,
            "query": self.query,
            "query_ratio": self.query_ratio,
            "empty": self.empty,
            "given": self.given,
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any], library: BoolArray | None = None) -> Partition:
        """Rebuild from :meth:`to_dict`.

        Parameters
        ----------
        saved : dict
        library : bool array, shape (N, H, W), optional
            Masks for an empirical pattern.

        Raises
        ------
        UnknownNameError
            If the pattern's name is not known here.
        """
        options = dict(saved["options"])
        if library is not None:
            options["library"] = library
        pattern = MASKS.create(saved["pattern"], **options)
        ratio = saved["ratio"]
        return cls(
            pattern,
            ratio=tuple(ratio) if isinstance(ratio, list) else ratio,
            query=saved["query"],
            query_ratio=saved["query_ratio"],
            empty=saved["empty"],
            given=saved["given"],
        )


def _without_frames(context: BoolArray, rng: np.random.Generator) -> BoolArray:
    """The context (C, T, H, W) without a run of frames, as when an instrument fails."""
    frames = context.shape[1]
    length = int(rng.integers(1, frames + 1))
    start = int(rng.integers(frames - length + 1))
    thinned = context.copy()
    thinned[:, start : start + length] = False
    return thinned if thinned.any() else context


def _bounds(ratio: Ratio) -> tuple[float, float]:
    if ratio is None:
        return 0.5, 0.5
    return ratio if isinstance(ratio, tuple) else (ratio, ratio)
