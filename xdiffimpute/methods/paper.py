"""The paper's own setting: Algorithm 1 to the letter, with Algorithm 5 or 6."""

from __future__ import annotations

from dataclasses import replace

from ..partition import Partition
from .base import Method

__all__ = ["Paper"]

RATIO = 0.7


class Paper(Method):
    """Uniform t, no first guess, independent context and query; an ensemble of ten contexts.

    Pixels: context and query ratios of 70%, the best row of the paper's Table 6. Blocks: all
    observed blocks but one are the context, and 70% of the blocks, drawn by themselves, are the
    query. (Algorithm 6 leaves their number open; with the one of its example, one step in as many
    as there are blocks learns anything about a gap.) Other patterns are split as pixels are, by
    their own pattern at those ratios.

    References
    ----------
    "Incomplete Data, Complete Dynamics: A Diffusion Approach", Algorithms 1, 4, 5 and 6.

    Examples
    --------
    >>> from xdiffimpute.masks import MASKS
    >>> found = Partition(MASKS.create("pixel"))
    >>> chosen = Paper().partition(found)
    >>> chosen.ratio, chosen.query, chosen.query_ratio
    (0.7, 'observed', 0.7)
    """

    network = {"near_zero": 0.0, "guesses": False, "likelihood": False}
    coordinates = False
    samplers = {"ensemble": {"members": 10}, "multi_step": {"members": 10}, "single_pass": {}}
    candidates = ("ensemble",)
    check = ("ensemble", {"members": 2})

    def partition(self, found: Partition) -> Partition:
        """Fixed ratios; the query is drawn from all observations."""
        ratio = None if found.name == "block" else RATIO
        return replace(found, ratio=ratio, query="observed", query_ratio=RATIO)
