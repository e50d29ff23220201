"""MissDiff as published: noise matching."""

from __future__ import annotations

from dataclasses import replace

from ..partition import Partition
from .base import Method

__all__ = ["MissDiffNoise"]


class MissDiffNoise(Method):
    """MissDiff with its original noise matching, which the paper reports to fail on fields.

    Near t = 0 the noise says nothing about a gap, so a single pass answers with climatology.

    References
    ----------
    Ouyang et al. (2023), arXiv:2307.00467; Appendix H.3 of the paper.

    Examples
    --------
    >>> from xdiffimpute.masks import MASKS
    >>> found = Partition(MASKS.create("pixel"))
    >>> chosen = MissDiffNoise().partition(found)
    >>> chosen.ratio, MissDiffNoise.network["target"]
    (1.0, 'noise')
    """

    network = {"near_zero": 0.0, "guesses": False, "likelihood": False, "target": "noise"}
    coordinates = False
    samplers = {"single_pass": {}, "multi_step": {"members": 1, "weight": "all"}}
    candidates = ("single_pass",)
    check = None

    def partition(self, found: Partition) -> Partition:
        """Context = query = observed."""
        return replace(found, ratio=1.0, query="observed", query_ratio=None, empty=0.0)
