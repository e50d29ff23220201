# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Sea surface temperature under clouds
#
# Satellites measure the temperature of the sea where no cloud is in the way. Here five years of
# real temperatures in the tropical Pacific get real cloud shapes laid over them, and are filled.

# %%
import os
from importlib.resources import files

import numpy as np
import xarray as xr

import xdiffimpute  # registers ds.impute
from xdiffimpute.metrics import METRICS

QUICK = os.environ.get("XDI_QUICK") == "1"  # the reduced form that the tests run
FRAMES, WIDTH, STEPS = (12, 40, 2) if QUICK else (54, 144, 100)

# %% [markdown]
# ## The data, and what is real about them
#
# Both come with the package `iris-sample-data` (`pip install iris-sample-data`), under the Open
# Government Licence.
#
# - **Temperatures**: monthly means of the Met Office's OSTIA analysis, 2006 to 2010. They are an
#   analysis: gaps were filled before. So the truth under our clouds is known, and it is smooth.
# - **Clouds**: one infrared picture of Meteosat (source: EUMETSAT). What is colder than 277 K
#   counts as cloud, which is crude.
#
# The shapes are real and the temperatures are real; that they lie upon each other is not. A real
# instrument also adds noise, and its clouds prefer some waters to others.

# %%
folder = files("iris_sample_data") / "sample_data"
with xr.open_dataset(str(folder / "ostia_monthly.nc"), decode_timedelta=False) as file:
    sst = file["surface_temperature"].sel(longitude=slice(162, 282)).load()
sst = sst.drop_vars(["forecast_period", "forecast_reference_time"])[:FRAMES, :, -WIDTH:]
truth = (sst - 273.15).to_dataset(name="sst")
truth["sst"].attrs = {
    "standard_name": "sea_surface_temperature",
    "long_name": "sea surface temperature",
    "units": "degC",
}

with xr.open_dataset(str(folder / "toa_brightness_stereographic.nc")) as file:
    brightness = file["data"].load()
cloud = (brightness < 277).values[60:, :150]  # the North Atlantic

# %% [markdown]
# Every month gets a piece of the picture, from another place and turned another way.

# %%
rng = np.random.default_rng(0)
rows, columns = truth.sizes["latitude"], truth.sizes["longitude"]
hidden = []
for _ in truth["time"]:
    top = rng.integers(cloud.shape[0] - rows + 1)
    left = rng.integers(cloud.shape[1] - columns + 1)
    piece = cloud[top : top + rows, left : left + columns]
    hidden.append(piece[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])])
ds = truth.where(~xr.DataArray(np.stack(hidden), dims=("time", "latitude", "longitude")))

ds.impute.plot.gaps()

# %% [markdown]
# Islands and the coast are never observed. Nothing has to be declared: they stay NaN in the fill.
#
# ## Fit
#
# No pattern is named either. That the gaps are clouds rather than single pixels or blocks is
# found from the data, which are then thinned by the clouds of other months.

# %%
imputer = ds.impute.fit(steps=STEPS, seed=0, progress=False)
imputer

# %% [markdown]
# ## Fill
#
# One month, from top to bottom: what is true, what was seen, what was filled, how wrong that is,
# and how wrong the imputer believes it to be. The last two share their scale.

# %%
filled = ds.impute.fill(imputer, progress=False)
MONTH = 10
ds.impute.plot.comparison(filled, truth=truth, frame=MONTH)

# %% [markdown]
# ## How good is it?
#
# Under the clouds, where no method saw anything:

# %%
rmse = METRICS.create("rmse")
where = ds.isnull() & truth.notnull() & filled[["sst"]].notnull()
fills = {"diffusion": filled} | {
    name: ds.impute.fill(name)
    for name in ("thin_plate", "inverse_distance", "linear", "temporal", "climatology")
}
for name, fill in fills.items():
    print(f"{name:17s} {float(rmse(fill, truth, where=where)['sst']):.2f} °C")

# %% [markdown]
# By the distance to the next observation, as `score()` sees it from withheld observations alone:

# %%
ds.impute.plot.skill(imputer)

# %% [markdown]
# Gaps that are wider than those withheld are judged by neither; see
# [your own data](05_your_own_data.ipynb).
#
# ## Too smooth?
#
# Estimates are means over what may be there, so waves that are not seen come out too weak. At the
# shortest wavelengths the steps at the edges of clouds add variance that is not real, more so with
# linear interpolation.

# %%
ds.impute.plot.spectrum(imputer, "linear", truth=truth)
