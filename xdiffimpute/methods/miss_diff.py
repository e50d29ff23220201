"""MissDiff: everything observed is both context and query."""

from __future__ import annotations

from dataclasses import replace

from ..partition import Partition
from .base import Method

__all__ = ["MissDiff"]


class MissDiff(Method):
    """MissDiff with data matching, as the paper compares with it.

    No cell outside the context is ever queried, so by Theorem 1 the estimate at a gap is
    arbitrary but for what the network's smoothness makes of it.

    References
    ----------
    Ouyang et al. (2023), "MissDiff: training diffusion models on tabular data with missing
    values", arXiv:2307.00467; data matching as in Appendix H.3 of the paper.

    Examples
    --------
    >>> from xdiffimpute.masks import MASKS
    >>> found = Partition(MASKS.create("pixel"))
    >>> chosen = MissDiff().partition(found)
    >>> chosen.ratio, chosen.query
    (1.0, 'observed')
    """

    network = {"near_zero": 0.0, "guesses": False, "likelihood": False}
    coordinates = False
    samplers = {"single_pass": {}, "multi_step": {"members": 1}}
    candidates = ("single_pass",)

    def partition(self, found: Partition) -> Partition:
        """Context = query = observed."""
        return replace(found, ratio=1.0, query="observed", query_ratio=None, empty=0.0)
