"""Ambient diffusion: the observations are corrupted further, and all of them are queried."""

from __future__ import annotations

from dataclasses import replace

from ..partition import Partition
from .base import Method

__all__ = ["AmbientDiff"]

KEPT = 0.9


class AmbientDiff(Method):
    """Ambient diffusion with a tenth of the observations (or one block) removed further.

    One corrupted mask, drawn once, conditions the whole of the sampling.

    References
    ----------
    Daras et al. (2023), "Ambient diffusion: learning clean distributions from corrupted data",
    arXiv:2305.19256; Appendix C.2 of the paper.

    Examples
    --------
    >>> from xdiffimpute.masks import MASKS
    >>> found = Partition(MASKS.create("pixel"))
    >>> chosen = AmbientDiff().partition(found)
    >>> chosen.ratio, chosen.query
    (0.9, 'observed')
    """

    network = {"near_zero": 0.0, "guesses": False, "likelihood": False}
    coordinates = False
    samplers = {"ensemble": {"members": 1}, "multi_step": {"members": 1, "context": "fixed"}}
    candidates = ("ensemble",)
    check = ("ensemble", {"members": 1})

    def partition(self, found: Partition) -> Partition:
        """A fixed further corruption; the query is everything observed."""
        ratio = None if found.name == "block" else KEPT
        return replace(found, ratio=ratio, query="observed", query_ratio=None, empty=0.0)
