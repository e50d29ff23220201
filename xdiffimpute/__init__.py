"""Fill gaps in Earth observations, learning from the gappy data alone.

Importing the package registers the ``.impute`` accessor on xarray objects; torch is imported
only when a network is fitted, loaded or applied.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from .accessor import ImputeDataArrayAccessor, ImputeDatasetAccessor
from .exceptions import ImputeError
from .tree import ImputeDataTreeAccessor

if TYPE_CHECKING:
    from .diffusion import DiffusionImputer

try:
    __version__ = version("xdiffimpute")
except PackageNotFoundError:
    __version__ = "0+unknown"

__all__ = [
    "DiffusionImputer",
    "ImputeDataArrayAccessor",
    "ImputeDataTreeAccessor",
    "ImputeDatasetAccessor",
    "ImputeError",
    "__version__",
    "load",
]


def load(path: str | os.PathLike[str]) -> DiffusionImputer:
    """Load a fitted imputer that ``imputer.save(path)`` wrote.

    Parameters
    ----------
    path : path
        A file; opening it cannot run code.

    Returns
    -------
    DiffusionImputer

    Raises
    ------
    xdiffimpute.exceptions.CheckpointError
        If the file is missing, truncated, of a newer version, or not an imputer.
    """
    from .diffusion import DiffusionImputer

    return DiffusionImputer.load(path)


def __getattr__(name: str) -> Any:
    if name == "DiffusionImputer":
        from .diffusion import DiffusionImputer

        return DiffusionImputer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
