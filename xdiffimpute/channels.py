"""What is learned: variables, and the fields that they consist of."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import xarray as xr

__all__ = ["Channel", "VariableSpec", "channels_of", "levels_of", "same_levels"]


@dataclass(frozen=True)
class VariableSpec:
    """Name, units and standard name of a variable."""

    name: str
    units: str | None
    standard_name: str | None


@dataclass(frozen=True)
class Channel:
    """One field: a variable, at a position along the dims that are channels."""

    variable: str
    position: tuple[tuple[str, int], ...]

    @property
    def label(self) -> str:
        """Such as ``"t[level=3]"``."""
        inside = ", ".join(f"{dim}={k}" for dim, k in self.position)
        return f"{self.variable}[{inside}]" if inside else self.variable


def channels_of(ds: xr.Dataset, name: str, channel_dims: tuple[str, ...]) -> list[Channel]:
    """The fields of a variable: one for each position along the channel dims that it has."""
    dims = [d for d in channel_dims if d in ds[name].dims]
    ranges = [range(ds.sizes[d]) for d in dims]
    return [
        Channel(name, tuple(zip(dims, position, strict=True)))
        for position in itertools.product(*ranges)
    ]


def levels_of(
    ds: xr.Dataset, channel_dims: tuple[str, ...]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Values of the coordinates along channel dims, where there are any."""
    return tuple((d, tuple(map(str, ds[d].values))) for d in channel_dims if d in ds.coords)


def same_levels(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether coordinate values, as text, are the same text or the same numbers.

    Examples
    --------
    >>> same_levels(("500", "850"), ("500.0", "850.0")), same_levels(("500", "850"), ("850", "500"))
    (True, False)
    """
    if one == other or len(one) != len(other):
        return one == other
    try:
        return bool(np.allclose(np.array(one, float), np.array(other, float), rtol=1e-5, atol=0))
    except ValueError:
        return False
