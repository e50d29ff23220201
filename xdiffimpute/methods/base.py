"""What a method of learning from incomplete data decides; everything else is common to all.

The backbone, the data, the optimisation and the way skill is measured are the same for every
method, so a comparison compares the methods alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from ..partition import Partition

__all__ = ["Method"]


class Method(ABC):
    """Base of all methods.

    Attributes
    ----------
    network : mapping
        Arguments of :class:`xdiffimpute.denoiser.Denoiser` in which the method differs.
    coordinates : bool
        Whether the network is told where and when it is.
    samplers : mapping of str to mapping
        Samplers that suit the method, with the settings it gives them; the first is the
        default.
    candidates : tuple of str
        Those among them that ``fit`` compares on withheld observations to choose from.
    check : (str, mapping) or None
        Sampler and settings that training is watched with; None: the loss is watched instead.

    Examples
    --------
    >>> from xdiffimpute.methods import METHODS
    >>> method = METHODS.create("paper")
    >>> method.name, list(method.samplers)
    ('paper', ['ensemble', 'multi_step', 'single_pass'])
    """

    network: ClassVar[Mapping[str, Any]] = {}
    coordinates: ClassVar[bool] = True
    samplers: ClassVar[Mapping[str, Mapping[str, Any]]]
    candidates: ClassVar[tuple[str, ...]]
    check: ClassVar[tuple[str, Mapping[str, Any]] | None] = ("single_pass", {})

    @property
    def name(self) -> str:
        """Public name, such as ``"paper"``."""
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def partition(self, found: Partition) -> Partition:
        """How samples are split in training.

        Parameters
        ----------
        found : Partition
            With the pattern of the data's gaps.

        Returns
        -------
        Partition
        """
