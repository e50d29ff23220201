# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Quickstart
#
# Hide parts of simulated fields, fill them without ever showing the network a complete field, and
# see how good the result is. It takes two or three minutes on two cores.

# %%
import os
import tempfile

import numpy as np
import xarray as xr

import xdiffimpute as xdi  # registers ds.impute
from xdiffimpute.datasets import DATASETS
from xdiffimpute.masks import MASKS
from xdiffimpute.metrics import METRICS

QUICK = os.environ.get("XDI_QUICK") == "1"  # the reduced form that the tests run
SAMPLES, SIDE, FRAMES, STEPS = (3, 12, 5, 2) if QUICK else (40, 24, 10, 150)

# %% [markdown]
# ## Fields with gaps
#
# The simulator solves the linear rotating shallow-water equations: two velocities `u` and `v` and
# the surface height `h`, in independent samples.

# %%
truth = DATASETS.create("shallow_water", samples=SAMPLES, shape=(SIDE, SIDE), frames=FRAMES).open()
truth

# %% [markdown]
# Of each frame, 4 of 9 blocks are hidden. From here on `ds` is all there is: NaN means "not
# observed". The truth is kept aside, for the end.

# %%
pattern = MASKS.create("block", grid=(3, 3), kept=5)
rng = np.random.default_rng(0)
everywhere = np.ones((1, FRAMES, SIDE, SIDE), dtype=bool)
observed = np.stack([pattern(everywhere, rng)[0] for _ in truth["sample"]])
ds = truth.where(xr.DataArray(observed, dims=("sample", "time", "y", "x")))

ds.impute.plot.gaps()

# %% [markdown]
# ## Can these data teach anything?
#
# The network learns to predict observations it is not shown from observations it is. A cell that
# is never among those to be predicted cannot be learned. The map shows how probable it is for
# each cell to be among them: here it is positive everywhere.

# %%
ds.impute.plot.exposure(variables=["h"])

# %% [markdown]
# ## Fit
#
# The three variables are learned together, because they are in one dataset. With your own data, a
# limit in time is handier than a number of steps: `ds.impute.fit(max_time="10min")`.

# %%
imputer = ds.impute.fit(steps=STEPS, seed=0, progress=False)
imputer

# %% [markdown]
# The table is the error at observations that `fit` had set aside before it began, beside two
# simple methods. They also told which state of the network to keep:

# %%
ds.impute.plot.training(imputer)

# %% [markdown]
# ## Fill
#
# What was observed comes back unchanged, bit for bit. Each estimate has a standard error, and a
# flag that tells it from an observation.

# %%
filled = ds.impute.fill(imputer, progress=False)
same = (filled["h"] == ds["h"]).where(ds["h"].notnull(), True)
print("observed values unchanged:", bool(same.all()))
print("values still missing:", int(filled["h"].isnull().sum()))

# %%
ds.impute.plot.comparison(filled, truth=truth, frame={"sample": 0, "time": FRAMES // 2})

# %% [markdown]
# ## Against the truth
#
# Simulated data have a truth, so the fill can be judged where nobody observed: root mean square
# error at hidden cells, beside methods that need no training.

# %%
rmse = METRICS.create("rmse")
fills = {"diffusion": filled} | {
    name: ds.impute.fill(name) for name in ("thin_plate", "linear", "climatology")
}
table = {name: rmse(fill, truth, where=ds.isnull()) for name, fill in fills.items()}
xr.concat(table.values(), xr.Variable("method", list(table))).to_dataframe().round(4)

# %% [markdown]
# ## Keep it
#
# The file of an imputer holds weights and JSON; opening it runs no code.

# %%
with tempfile.TemporaryDirectory() as folder:
    imputer.save(f"{folder}/waves.imputer")
    again = xdi.load(f"{folder}/waves.imputer")
    print(f"{os.path.getsize(f'{folder}/waves.imputer') / 2**20:.1f} MiB")
print(again)

# %% [markdown]
# Next: [real temperatures under clouds](02_sst_under_clouds.ipynb), or
# [your own data](05_your_own_data.ipynb).
