"""The paper's own setting: Algorithm 1 to the letter, with Algorithm 5 or 6."""

from __future__ import annotations

from dataclasses import replace

from ..partition import Partition
from .base import Method

__all__ = ["Paper"]

RATIO = 0.7
ONE_BLOCK = 1e-3


class Paper(Method):
    """Uniform t, no first guess, independent context and query; an ensemble of ten contexts.

    Pixels: context and query ratios of 70%, the best row of the paper's Table 6. Blocks: all
    observed blocks but one are the context and one block, drawn by itself, is the query.
    Other patterns are split as pixels are: by their own pattern at those ratios.

    References
    ----------
    "Incomplete Data, Complete Dynamics: A Diffusion Approach", Algorithms 1, 4, 5 and 6.
    """

    network = {"near_zero": 0.0, "guesses": False, "likelihood": False}
    coordinates = False
    samplers = {"ensemble": {"members": 10}, "multi_step": {"members": 10}, "single_pass": {}}
    candidates = ("ensemble",)
    check = ("ensemble", {"members": 2})

    def partition(self, found: Partition) -> Partition:
        """Fixed ratios; the query is drawn from all observations."""
        if found.name == "block":
            return replace(found, ratio=None, query="observed", query_ratio=ONE_BLOCK)
        return replace(found, ratio=RATIO, query="observed", query_ratio=RATIO)
