"""Diffusion probabilistic fields, as far as they are defined without complete data."""

from __future__ import annotations

from dataclasses import replace

from ..partition import Partition
from .base import Method

__all__ = ["ProbabilisticField"]


class ProbabilisticField(Method):
    """DPF: the network sees the noisy context and the noisy query, and predicts the noise.

    In training the query can only be drawn from what was observed, while sampling queries every
    cell: complete data would be needed to train for that. The gap between the two is part of
    the method's result here.

    References
    ----------
    Zhuang et al. (2023), "Diffusion probabilistic fields", ICLR; Algorithms 2 and 3 in Appendix D
    of the paper.

    Examples
    --------
    >>> from xdiffimpute.masks import MASKS
    >>> found = Partition(MASKS.create("pixel"))
    >>> chosen = ProbabilisticField().partition(found)
    >>> chosen.query, ProbabilisticField.network["queried"]
    ('complement', True)
    """

    network = {
        "near_zero": 0.0,
        "guesses": False,
        "likelihood": False,
        "target": "noise",
        "queried": True,
    }
    samplers = {
        "multi_step": {"members": 1, "weight": "all", "context": "observed"},
        "single_pass": {},
    }
    candidates = ("multi_step",)
    check = None

    def partition(self, found: Partition) -> Partition:
        """Context and query are disjoint, so that each cell has one noise."""
        return replace(found, query="complement", query_ratio=None, empty=0.0)
