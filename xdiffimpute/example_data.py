"""A small dataset with gaps, made up on the spot: for a first try, for examples and for tests."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy import ndimage

from .exceptions import ImputeError

__all__ = ["example"]

ROWS, COLUMNS = 12, 16
CLOUDY = (0.15, 0.55)


def example(days: int = 20, *, complete: bool = False, seed: int = 0) -> xr.Dataset:
    """A sea surface temperature under clouds, to try things on.

    Waves that travel east over a gradient, seen between clouds that cover 15% to 55% of a day.
    The values are invented; the metadata follow the CF conventions.

    Parameters
    ----------
    days : int
        Number of daily frames, 1 or more.
    complete : bool
        The same field without clouds, to compare a fill with.
    seed : int
        Of the clouds and of a little noise.

    Returns
    -------
    Dataset
        ``sst``, float32, degrees Celsius, dims (time, lat, lon) of ``days`` x 12 x 16 cells, NaN
        under clouds.

    Raises
    ------
    ImputeError
        If ``days`` is below one.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> ds = xdi.example()
    >>> dict(ds.sizes), round(float(ds["sst"].isnull().mean()), 2)
    ({'time': 20, 'lat': 12, 'lon': 16}, 0.37)
    >>> truth = xdi.example(complete=True)
    >>> bool((ds["sst"] == truth["sst"]).where(ds["sst"].notnull(), True).all())
    True
    """
    if days < 1:
        raise ImputeError(f"example(days={days!r}): one day or more is needed, such as days=20")
    rng = np.random.default_rng(seed)
    t, y, x = np.meshgrid(np.arange(days), np.arange(ROWS), np.arange(COLUMNS), indexing="ij")
    waves = 2 * np.sin(x / 3 - t / 4 + y / 5) + np.cos(y / 2 + t / 7)
    values = 14 - 0.3 * y + waves + 0.05 * rng.standard_normal(t.shape)
    noise = ndimage.gaussian_filter(rng.standard_normal(t.shape), (0, 2, 2))
    share = rng.uniform(*CLOUDY, days)
    clouds = np.stack([n > np.quantile(n, 1 - s) for n, s in zip(noise, share, strict=True)])
    if not complete:
        values[clouds] = np.nan
    ds = xr.Dataset(
        {"sst": (("time", "lat", "lon"), values.astype(np.float32))},
        coords={
            "time": np.datetime64("2024-06-01", "ns") + np.arange(days) * np.timedelta64(1, "D"),
            "lat": 36.0 + 0.5 * np.arange(ROWS),
            "lon": -12.0 + 0.5 * np.arange(COLUMNS),
        },
        attrs={"Conventions": "CF-1.8", "title": "Invented sea surface temperature under clouds"},
    )
    ds["sst"].attrs = {
        "standard_name": "sea_surface_temperature",
        "long_name": "sea surface temperature",
        "units": "degC",
    }
    ds["time"].attrs = {"standard_name": "time", "axis": "T"}
    ds["lat"].attrs = {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"}
    ds["lon"].attrs = {"standard_name": "longitude", "units": "degrees_east", "axis": "X"}
    return ds
