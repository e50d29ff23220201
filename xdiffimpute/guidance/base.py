"""What every guidance is: from data to a number that says how far fields are from a law."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
import xarray as xr
from torch import Tensor

from ..exceptions import DataError
from ..fields import FieldSpec

__all__ = ["Guidance", "Penalty", "channels_of"]


class Penalty(ABC):
    """How far fields are from a law.

    Examples
    --------
    >>> import torch
    >>> class Steady(Penalty):
    ...     frames = 2
    ...     def __call__(self, fields, series):
    ...         return fields.diff(dim=1).square().mean()
    >>> float(Steady()(torch.tensor([1.0, 3.0]).view(1, 2, 1, 1), 0))
    4.0
    """

    frames: ClassVar[int] = 1
    """Fewest consecutive frames that it can be taken of."""

    @abstractmethod
    def __call__(self, fields: Tensor, series: int) -> Tensor:
        """Mean square residual.

        Parameters
        ----------
        fields : Tensor, shape (C, T, H, W)
            Consecutive frames, in the units of the data.
        series : int
            Which series of the data they are of.

        Returns
        -------
        Tensor, shape ()
            Differentiable.
        """


class Guidance(ABC):
    """A law that fields obey.

    Examples
    --------
    >>> from xdiffimpute.guidance import GUIDANCES
    >>> GUIDANCES.names()
    ['divergence_free', 'shallow_water']
    """

    @abstractmethod
    def read(self, ds: xr.Dataset, spec: FieldSpec) -> Penalty:
        """Find what is needed in the data: spacing, steps, parameters.

        Parameters
        ----------
        ds : Dataset
        spec : FieldSpec

        Returns
        -------
        Penalty

        Raises
        ------
        DataError
            If something is missing.
        """


def channels_of(spec: FieldSpec, names: Sequence[str], law: str) -> list[int]:
    """Places of variables among the channels.

    Raises
    ------
    DataError
        If one is missing, or has several channels.
    """
    labels = [channel.label for channel in spec.channels]
    lacking = [name for name in names if name not in labels]
    if lacking:
        raise DataError(
            f"guidance={law!r} needs the variables {list(names)}, and {lacking} are not among "
            f"{labels}; say which they are with GUIDANCES.create({law!r}, ...), or rename them "
            "before the fit"
        )
    return [labels.index(name) for name in names]


def beside(field: Tensor, axis: int, cells: int) -> Tensor:
    """The values so many cells further along an axis that wraps around."""
    return torch.roll(field, -cells, dims=axis)
