# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Larger than memory
#
# A zarr store goes in, a zarr store comes out, and at no time is the whole in memory. So that
# this notebook is short, the store is small and the memory that `fit` may take for data is set
# to less than its size.

# %%
import os
import resource
import sys
import tempfile
import time

import dask.array as da
import numpy as np
import xarray as xr

import xdiffimpute  # registers ds.impute
import xdiffimpute.pool

QUICK = os.environ.get("XDI_QUICK") == "1"  # the reduced form that the tests run
FRAMES, SIDE, STEPS, CHUNK, MIB = (160, 12, 2, 20, 0.07) if QUICK else (8000, 32, 10, 200, 4)

# %% [markdown]
# What `fit` may hold of the data: 512 MiB by default. Data of up to that size are loaded once.

# %%
xdiffimpute.pool.POOL_BYTES = int(MIB * 2**20)

# %% [markdown]
# Memory is measured as the system sees it: the largest that this process ever was, with Python,
# torch and all.

# %%
begin = time.perf_counter()


def report(what):
    """Time, and the largest size of the process until now."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak /= 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB here
    print(f"{what}: {time.perf_counter() - begin:.0f} s, largest size so far {peak:.0f} MiB")
    return peak


# %% [markdown]
# ## A store
#
# Travelling waves under the swaths of a satellite, made chunk by chunk. Chunks hold all of space
# for some frames: a fill needs whole frames.

# %%
t = xr.DataArray(da.arange(FRAMES, chunks=CHUNK, dtype="float32"), dims="time")
y = xr.DataArray(np.arange(SIDE, dtype="float32"), dims="y")
x = xr.DataArray(np.arange(SIDE, dtype="float32"), dims="x")
rng = np.random.default_rng(0)
waves = 0
for _ in range(6):
    k, m, w = rng.normal(0, [0.12, 0.12, 0.15]).astype("float32")
    waves = waves + np.sin(k * x + m * y - w * t + np.float32(rng.uniform(0, 6)))
under_swath = (x + 0.3 * y + 17 * t) % 48 < 24
made = waves.where(under_swath).transpose("time", "y", "x").to_dataset(name="height")
made["height"].attrs["units"] = "m"
made = made.assign_coords(time=np.arange(FRAMES), y=y, x=x)

folder = tempfile.TemporaryDirectory()
made.to_zarr(
    f"{folder.name}/waves.zarr",
    consolidated=False,
    encoding={"height": {"dtype": "int16", "scale_factor": 1e-3, "_FillValue": -32768}},
)
ds = xr.open_zarr(f"{folder.name}/waves.zarr", consolidated=False)
height = ds["height"]
print(f"{height.nbytes / 2**20:.0f} MiB in memory, in chunks of {height.data.chunksize} cells")
size_written = report("written")

# %% [markdown]
# ## Fit, from the store
#
# Blocks are read by a thread in the background while the network trains on others. There are
# about two dozen passes over the data besides: checks, climatology, and the comparison at the
# end.
#
# A first fit on a quarter of the frames shows what the process needs for less data:

# %%
ds.isel(time=slice(0, FRAMES // 4)).impute.fit(steps=2, seed=0, progress=False)
size_part = report("fit on a quarter")

# %%
imputer = ds.impute.fit(steps=STEPS, seed=0, progress=False)
size_whole = report("fit on the store")
print(f"four times the data: {size_whole - size_part:.0f} MiB more")
imputer

# %% [markdown]
# ## Fill, to a store
#
# Nothing is computed until it is written. The result is the same under any chunks, any scheduler
# and any number of workers. Here a part is written; leave out `isel` for the whole.

# %%
filled = ds.impute.fill(imputer)
print("computed already:", filled["height"].chunks is None)
part = filled.isel(time=slice(0, 4 * CHUNK))
part.to_zarr(f"{folder.name}/filled.zarr", consolidated=False)
size_filled = report("filled")
print(f"{size_filled - size_whole:.0f} MiB more for {part.nbytes / 2**20:.0f} MiB of output")

# %% [markdown]
# ## The same, whatever the chunks

# %%
some = ds.isel(time=slice(0, CHUNK))
once = some.load().impute.fill(imputer, progress=False)
again = some.chunk(time=CHUNK // 3).impute.fill(imputer).compute()
print("equal, bit for bit:", once.equals(again))

# %% [markdown]
# ## One frame of the result

# %%
written = xr.open_zarr(f"{folder.name}/filled.zarr", consolidated=False)
truth = made.assign(height=waves.transpose("time", "y", "x"))
picture = ds.impute.plot.comparison(written, truth=truth, frame=CHUNK)
picture

# %%
folder.cleanup()

# %% [markdown]
# ## What it costs
#
# Read the sizes above as they are. Most of the process is not data: Python, torch, and what
# tuning and training need, over a GiB. With four times the data it grew by more than the data
# did, because pieces of the work (masks of the gaps, observations kept back, the pool) were not
# yet at their bounds, of tens to a hundred MiB each. The fill added nothing. So for a store of
# this size nothing is saved: all this is for data of many GiB, where the bounds are small beside
# them. Raise `FRAMES` and `MIB` to try.
#
# Time is not bounded: reading goes with the size, and a fit makes some two dozen passes.
# Training on a part and filling the whole is often the better bargain: `ds.isel(time=slice(0,
# 2000)).impute.fit(...)`.
