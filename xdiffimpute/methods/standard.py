"""This toolkit's own settings: what measured best."""

from __future__ import annotations

from ..partition import Partition
from .base import Method

__all__ = ["Standard"]


class Standard(Method):
    """First guesses, varied contexts, most steps near t = 0; one pass or an ensemble.

    Examples
    --------
    >>> from xdiffimpute.masks import MASKS
    >>> found = Partition(MASKS.create("pixel"))
    >>> Standard().partition(found) == found
    True
    """

    samplers = {"single_pass": {}, "ensemble": {}, "multi_step": {}}
    candidates = ("single_pass", "ensemble")

    def partition(self, found: Partition) -> Partition:
        """As found: a context of any density, and the rest as the query."""
        return found
