"""What every imputer is: fitted on a Dataset, fills a Dataset."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Self

import xarray as xr

from .tiling import Stretches

__all__ = ["Imputer"]


class Imputer(ABC):
    """Base of the network and of all baselines.

    Attributes
    ----------
    name : str
        Public name, used in ``history`` and in tables.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> from xdiffimpute.baselines import BASELINES
    >>> isinstance(BASELINES.create("nearest"), Imputer), issubclass(xdi.DiffusionImputer, Imputer)
    (True, True)
    """

    name: ClassVar[str]

    @abstractmethod
    def fit(self, ds: xr.Dataset) -> Self:
        """Learn what is needed from the gappy data alone."""

    @abstractmethod
    def fill(self, ds: xr.Dataset, *, where: xr.DataArray | None = None) -> xr.Dataset:
        """Fill the gaps; observed cells are returned bit for bit."""

    @abstractmethod
    def stretches(self, ds: xr.Dataset, members: int = 0) -> Stretches:
        """What is computed at once when a dataset is filled; nothing is computed here."""

    @abstractmethod
    def checksum(self) -> str:
        """A line that is another for an imputer that fills otherwise."""
