# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own data
#
# What to look at before a fit, and how to judge it after, on data of which you do not know the
# truth: the gaps, the partition, the exposure and the score.

# %%
import logging
import os
import sys
import tempfile
import warnings
from importlib.resources import files

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

import xdiffimpute  # registers ds.impute

QUICK = os.environ.get("XDI_QUICK") == "1"  # the reduced form that the tests run
YEARS, EVERY, STEPS = (10, 3, 2) if QUICK else (60, 1, 80)

# %% [markdown]
# ## A file with gaps
#
# Put your own in place of this one: any netCDF or zarr with NaN, or a declared fill value, where
# nothing was observed. This one is made of yearly temperatures of a climate model over North
# America (`iris-sample-data`, Open Government Licence). Patches are taken out, others each year,
# and one corner for good.

# %%
source = str(files("iris_sample_data") / "sample_data" / "A1B_north_america.nc")
with xr.open_dataset(source, decode_timedelta=False) as file:
    temperature = file[["air_temperature"]].isel(time=slice(-YEARS, None)).load()
temperature = temperature.isel(
    latitude=slice(None, None, EVERY), longitude=slice(None, None, EVERY)
)
temperature = temperature.drop_vars(["forecast_period", "forecast_reference_time"], errors="ignore")

rng = np.random.default_rng(0)
patches = gaussian_filter(rng.standard_normal(temperature["air_temperature"].shape), (0, 3, 3))
patches = patches < np.quantile(patches, 0.4)
patches[:, :6, :9] = True

folder = tempfile.TemporaryDirectory()
temperature.where(~xr.DataArray(patches, dims=temperature["air_temperature"].dims)).to_netcdf(
    f"{folder.name}/yours.nc"
)

# %%
ds = xr.open_dataset(f"{folder.name}/yours.nc").load()
ds

# %% [markdown]
# ## Look at the gaps
#
# Two questions: is a part never observed? Are there times with hardly any observation?

# %%
ds.impute.plot.gaps()

# %% [markdown]
# ## Choose a partition
#
# The network learns by losing some of the observations and predicting them from the rest. The
# loss has to look like the gaps. Which pattern the gaps have is found from the data.

# %%
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    exposure = ds.impute.exposure()
print("partition:", exposure.attrs["partition"])
for warning in said:
    print("warning:", warning.message)

# %% [markdown]
# ## Read the exposure
#
# How probable it is that a cell is asked for. The size of the number matters little; what
# matters is where it is zero (hatched) and whether it is even. The hatched corner cannot be
# learned by any method, and will stay NaN.

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the same again
    figure = ds.impute.plot.exposure()
figure

# %% [markdown]
# ## A partition that does not fit
#
# Single pixels are the obvious choice for cross-validation, and here the wrong one: a pixel has
# neighbours that tell its value, the middle of a patch has none.

# %%
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    ds.impute.exposure(partition="pixel")
for warning in said:
    print("warning:", warning.message)

# %% [markdown]
# ## Fit
#
# The log tells what is chosen on the way, and why. For your own data give a limit in time, such
# as `max_time="10min"`.

# %%
logging.basicConfig(level="WARNING", format="%(message)s", stream=sys.stdout)
logging.getLogger("xdiffimpute").setLevel("INFO")

imputer = ds.impute.fit(steps=STEPS, seed=0, progress=False)

# %%
imputer

# %% [markdown]
# Where the curve at the left still falls at the end, more time helps. Here it turns up soon:
# sixty years teach little beyond the first guess that the network starts from, a thin plate
# stretched over the observations, and kriging. The state at the lowest point is kept.

# %%
ds.impute.plot.training(imputer)

# %% [markdown]
# ## Judge the score
#
# 1. **Does it beat both** climatology and linear interpolation?
# 2. **Over how many cells** is that, and is the bias small beside the error?
# 3. **How far from the next observation**, and in how large a gap?

# %%
skill = ds.impute.score(imputer)
skill["air_temperature"].to_pandas().round(3)

# %%
ds.impute.plot.skill(imputer)

# %% [markdown]
# Hollow points stand for few cells: do not read much into them. Gaps larger than the last one
# were not judged at all.
#
# Stronger simple methods come by name. As a rule, and not for certain, their tables are of the same
# observations, so compare each method with the linear interpolation of its own table.

# %%
logging.getLogger("xdiffimpute").setLevel("WARNING")
for table in (skill, ds.impute.score("thin_plate"), ds.impute.score("temporal")):
    rmse = table["air_temperature"].sel(metric="rmse")
    ratio = float(rmse[0] / rmse.sel(imputer="linear"))
    print(f"{str(rmse['imputer'].values[0]):12s} {ratio:.2f} of linear")

# %% [markdown]
# ## The fill

# %%
filled = ds.impute.fill(imputer, progress=False)
ds.impute.plot.comparison(filled)

# %% [markdown]
# ## When a simpler method wins
#
# Where neighbours in space and time say nothing about a cell, nothing can be learned from them.
# Here are the same gaps in values without any structure around their means:

# %%
mean = ds["air_temperature"].mean("time")
values = xr.zeros_like(ds["air_temperature"]) + mean + rng.standard_normal(patches.shape)
noise = ds.assign(air_temperature=values.astype("float32").where(ds["air_temperature"].notnull()))
hopeless = noise.impute.fit(steps=STEPS // 2, seed=0, progress=False)

# %% [markdown]
# The network falls back to the mean, so the table shows it close to climatology, and both close
# to the noise itself, of 1 K. A few per cent are not worth a network:
# `ds.impute.fill("climatology")` is faster and has nothing that can go wrong. Where a network
# loses to climatology or linear interpolation, `fit` says so in capitals.

# %%
print(hopeless)

# %%
folder.cleanup()
