"""Maps on the globe, with cartopy: optional, and imported only where a projection is asked for."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterable
from typing import Any

from ._typing import FloatArray
from .exceptions import ImputeError, UnknownNameError
from .suggestion import did_you_mean

__all__ = ["add_coast", "in_degrees", "projected"]

log = logging.getLogger("xdiffimpute")


def projected(projection: Any, longitude: FloatArray, latitude: FloatArray) -> Any:
    """A projection of cartopy, by name or as it is.

    Parameters
    ----------
    projection : str or cartopy.crs.Projection
        A name, such as ``"Orthographic"``, is centred on the data.
    longitude, latitude : float array, degrees
        Of the data.

    Returns
    -------
    cartopy.crs.Projection

    Raises
    ------
    ImputeError
        If cartopy is missing, or this is no projection.
    UnknownNameError
        If no projection has that name.
    """
    try:
        import cartopy.crs as ccrs
    except ImportError as error:
        raise ImputeError(
            "projection= needs cartopy, which is not installed; type: pip install cartopy, or "
            "leave projection= out"
        ) from error
    if isinstance(projection, ccrs.Projection):
        return projection
    known = {n: c for n, c in vars(ccrs).items()
             if inspect.isclass(c) and issubclass(c, ccrs.Projection)}  # fmt: skip
    if not isinstance(projection, str) or projection not in known:
        raise UnknownNameError(
            f"projection={projection!r} is neither a projection of cartopy.crs nor its name, such "
            f"as 'PlateCarree', 'Robinson' or 'Orthographic'.{did_you_mean(projection, known)}"
        )
    centre = {
        "central_longitude": float(longitude.mean()),
        "central_latitude": float(latitude.mean()),
    }
    takes = inspect.signature(known[projection]).parameters
    try:
        return known[projection](**{k: v for k, v in centre.items() if k in takes})
    except TypeError as error:
        raise ImputeError(
            f"the projection {projection!r} needs settings ({error}); pass it set up, such as "
            f"projection=cartopy.crs.{projection}(...)"
        ) from error


def in_degrees() -> Any:
    """The reference system of longitudes and latitudes."""
    import cartopy.crs as ccrs

    return ccrs.PlateCarree()


def add_coast(axes: Iterable[Any]) -> None:
    """Coastlines, where cartopy has their data or can fetch them."""
    from cartopy.io import shapereader

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that something is downloaded
            shapereader.natural_earth("110m", "physical", "coastline")
    except OSError as error:
        log.info("no coastlines are drawn, since their data cannot be fetched (%s)", error)
        return
    for ax in axes:
        ax.coastlines("110m", linewidth=0.6)
