"""Fill gaps in Earth observations, learning from the gappy data alone.

Importing the package registers the ``.impute`` accessor on xarray objects (as soon as xarray is
imported, if it is not yet); torch is imported only when a network is fitted, loaded or applied.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from .deferral import after_import
from .exceptions import ImputeError

if TYPE_CHECKING:
    from .accessor import ImputeDataArrayAccessor, ImputeDatasetAccessor
    from .diffusion import DiffusionImputer
    from .example_data import example
    from .tree import ImputeDataTreeAccessor

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
    "example",
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

    Examples
    --------
    >>> import tempfile, xdiffimpute as xdi
    >>> ds = xdi.example(days=8)
    >>> imputer = xdi.DiffusionImputer(steps=1, window=1, progress=False, summary=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     imputer.fit(ds).save(folder + "/sst.imputer")
    ...     again = xdi.load(folder + "/sst.imputer")
    >>> int(again.fill(ds)["sst"].isnull().sum())
    0
    """
    from .diffusion import DiffusionImputer

    return DiffusionImputer.load(path)


def _register() -> None:
    from . import accessor, tree  # noqa: F401 - they register .impute


after_import("xarray", _register)

_HOMES = {
    "DiffusionImputer": "diffusion",
    "ImputeDataArrayAccessor": "accessor",
    "ImputeDataTreeAccessor": "tree",
    "ImputeDatasetAccessor": "accessor",
    "example": "example_data",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
