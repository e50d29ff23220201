"""Where data come from: simulators and archives alike answer ``open()`` with a Dataset."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import xarray as xr

from .._typing import FloatArray
from ..exceptions import ImputeError

__all__ = ["Source", "check_at_least", "check_shape", "metres_along"]


class Source(ABC):
    """Base of all sources.

    A source is configured by its constructor and does its work in :meth:`open`. Two sources
    with equal settings open equal data.

    Examples
    --------
    >>> from xdiffimpute.datasets import DATASETS
    >>> source = DATASETS.create("gaussian_field", samples=2, shape=(8, 8))
    >>> dict(source.open().sizes)
    {'sample': 2, 'y': 8, 'x': 8}
    """

    @abstractmethod
    def open(self) -> xr.Dataset:
        """The data, complete, with CF attributes on every variable and axis."""


def check_at_least(low: int, **counts: int) -> None:
    """Require whole numbers no less than ``low``.

    Raises
    ------
    ImputeError
        Naming the first argument that is not.
    """
    for name, count in counts.items():
        whole = isinstance(count, int) and not isinstance(count, bool)
        if not whole or count < low:
            raise ImputeError(
                f"{name}={count!r} is not a whole number of {low} or more; "
                f"pass for example {name}={max(low, 32)}."
            )


def check_shape(shape: tuple[int, int], least: int) -> tuple[int, int]:
    """Require rows and columns of a grid, each no less than ``least``.

    Returns
    -------
    tuple of int
        Rows and columns.

    Raises
    ------
    ImputeError
        If there are not two of them, or either is too small.
    """
    sizes = tuple(shape)
    if len(sizes) != 2:
        raise ImputeError(
            f"shape={shape!r} is not the (rows, columns) of a grid; pass for example "
            "shape=(32, 32)."
        )
    rows, columns = sizes
    check_at_least(least, rows=rows, columns=columns)
    return rows, columns


def metres_along(name: str, count: int, spacing: float) -> tuple[str, FloatArray, dict[str, str]]:
    """A horizontal coordinate: dim, centres of cells in metres, shape (count,), and attributes."""
    attributes = {
        "axis": name.upper(),
        "standard_name": f"projection_{name}_coordinate",
        "long_name": f"distance along {name}",
        "units": "m",
    }
    return name, (np.arange(count) + 0.5) * spacing, attributes
