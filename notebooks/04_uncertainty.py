# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How sure is a fill?
#
# Three things tell about uncertainty: the standard error beside each estimate, samples of the
# whole field, and `score()`. Here they are held against fields whose covariance is known, so
# that even the best possible answer is known.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import norm

import xdiffimpute  # registers ds.impute
from xdiffimpute.datasets import DATASETS
from xdiffimpute.masks import MASKS
from xdiffimpute.metrics import METRICS
from xdiffimpute.samplers import SAMPLERS

QUICK = os.environ.get("XDI_QUICK") == "1"  # the reduced form that the tests run
SAMPLES, SIDE, STEPS, DRAWS = (24, 12, 2, 3) if QUICK else (256, 24, 150, 6)

# %% [markdown]
# ## Fields whose best fill is known
#
# Gaussian fields of unit variance; 5 of 9 blocks are observed in each.

# %%
source = DATASETS.create("gaussian_field", samples=SAMPLES, shape=(SIDE, SIDE), length=SIDE / 6)
truth = source.open()
pattern = MASKS.create("block", grid=(3, 3), kept=5)
everywhere = np.ones((1, SAMPLES, SIDE, SIDE), dtype=bool)
observed = pattern(everywhere, np.random.default_rng(0))[0]
ds = truth.where(xr.DataArray(observed, dims=("sample", "y", "x")))

imputer = ds.impute.fit(steps=STEPS, seed=0, progress=False)
imputer

# %% [markdown]
# ## The standard error
#
# Zero where observed, and it grows into the gap. `fit` has two candidates for it, the variance that
# the network learned and the kriging variance, which follows from the covariance of the data and
# from where the observations are. It multiplies powers of the two, those that make the errors at
# withheld observations likeliest.

# %%
filled = ds.impute.fill(imputer, progress=False)
ds.impute.plot.comparison(filled, truth=truth, frame={"sample": 0})

# %% [markdown]
# For Gaussian fields the least possible error has a formula. What is claimed should not be much
# smaller than that, and should equal what is actual, but for what chance does in 32 fields:

# %%
judged = range(min(SAMPLES, 32))
known = [source.posterior(truth["field"].values[n], observed[n]) for n in judged]
least = np.sqrt(np.stack([variance for _, variance in known]))
claimed = filled["field_standard_error"].values[: len(known)]
actual = (filled["field"] - truth["field"]).values[: len(known)]
gap = ~observed[: len(known)]
for name, values in {"least possible": least, "claimed": claimed, "actual": actual}.items():
    print(f"{name:15s} {np.sqrt(np.mean(values[gap] ** 2)):.3f}  root mean square in the gaps")

# %% [markdown]
# ## Is it true cell by cell?
#
# Hidden cells are sorted by their standard error. If it is honest, the actual error in each group
# equals it, and an interval of 90% holds the truth in 90% of the cells.

# %%
hidden = ~observed
error = (filled["field"] - truth["field"]).values[hidden]
sigma = filled["field_standard_error"].values[hidden]
groups = np.array_split(np.argsort(sigma), 12)
levels = np.linspace(0.05, 0.95, 19)
held = [np.mean(np.abs(error) < norm.ppf((1 + level) / 2) * sigma) for level in levels]

figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.8), layout="constrained")
root = lambda v: np.sqrt(np.mean(v**2))
left.plot([root(sigma[g]) for g in groups], [root(error[g]) for g in groups], "o-")
top = 1.1 * max(root(error[g]) for g in groups)
left.plot([0, top], [0, top], color="grey", linewidth=1)
left.set(xlabel="standard error", ylabel="actual error", title="by group of cells", aspect="equal")
right.plot(100 * levels, 100 * np.array(held), "o-")
right.plot([0, 100], [0, 100], color="grey", linewidth=1)
right.set(
    xlabel="nominal (%)", ylabel="truth inside (%)", title="coverage of intervals", aspect="equal"
)
plt.show()

# %% [markdown]
# On the left, points on the line: cells that claim more doubt are wrong by more. On the right,
# above the line means that intervals are too wide, below it that they are too narrow.

# %%
print(f"error / standard error: {np.sqrt(np.mean((error / sigma) ** 2)):.2f} (1 if honest)")
for level in (0.5, 0.9):
    inside = np.mean(np.abs(error) < norm.ppf((1 + level) / 2) * sigma)
    print(f"the {level:.0%} interval holds {inside:.0%} of the hidden values")

# %% [markdown]
# ## Not for means
#
# The standard error describes one cell. Errors of neighbours are alike, so the error of a mean
# over a gap does not shrink with the number of cells. Here is the mean over all hidden cells of
# a field, with what one would claim if errors were independent:

# %%
where = ds["field"].isnull()
off = (filled["field"] - truth["field"]).where(where).mean(["y", "x"])
cells = where.sum(["y", "x"])
naive = np.sqrt((filled["field_standard_error"].where(where) ** 2).sum(["y", "x"])) / cells
print(f"actual error of the mean      {float(np.sqrt((off**2).mean())):.3f}")
print(f"claimed if cells were independent {float(np.sqrt((naive**2).mean())):.3f}")

# %% [markdown]
# ## Members
#
# For questions about more than one cell there are draws of whole fields, along CF's `realization`.
# Each agrees with the observations; their errors go together in space as those of the data do.

# %%
few = ds.isel(sample=slice(0, 8))
known = truth.isel(sample=slice(0, 8))
members = few.impute.fill(imputer, members=DRAWS, progress=False)

frame = xr.concat(
    [known["field"][0], *(members["field"][k, 0].drop_vars("realization") for k in range(3))],
    xr.Variable("field", ["truth", "member 0", "member 1", "member 2"]),
    coords="minimal", compat="override",
)  # fmt: skip
frame.plot(col="field", figsize=(11, 3), cmap="RdBu_r", vmin=-2.5, vmax=2.5)
plt.show()

# %% [markdown]
# The sampler `"multi_step"` draws members from the diffusion itself, in many steps each. By default
# its samples are drawn towards the mean estimate (`weight="t"`); `weight="all"` follows the
# diffusion alone.

# %%
drawn = {"members": members}
for weight in ("t", "all"):
    steps = SAMPLERS.create("multi_step", steps=4 if QUICK else 12, members=2, weight=weight)
    drawn[f"multi_step, weight {weight!r}"] = few.impute.fill(
        imputer, sampler=steps, members=DRAWS, progress=False
    )

# %% [markdown]
# The continuous ranked probability score judges value and spread together; lower is better. Spread
# and error should be the same, of cells and of the means over a gap.

# %%
crps, gaps = METRICS.create("crps"), few.isnull()
within = lambda field: field.where(gaps["field"]).mean(["y", "x"])
size = lambda values: float(np.sqrt((values**2).mean()))
estimate = filled.isel(sample=slice(0, 8))
rows = {"standard error": {"crps": float(crps(estimate, known, where=gaps)["field"])}}
for name, samples in drawn.items():
    field = samples["field"]
    off = field.mean("realization") - known["field"]
    rows[name] = {
        "crps": float(crps(samples[["field"]], known, where=gaps)["field"]),
        "error": size(off.where(gaps["field"])),
        "spread": size(field.std("realization", ddof=1).where(gaps["field"])),
        "error of gap means": size(within(off)),
        "spread of gap means": size(within(field).std("realization", ddof=1)),
    }
pd.DataFrame(rows).T.round(3)

# %% [markdown]
# Members have about the spread of their error, cell by cell. Means over a gap are eight numbers
# here, one a field, and say little; `recipes/benchmarks/members.py` judges them on many fields. A
# score of N members is higher by a share of 1/N than that of the distribution they are drawn from.
# Samples of the diffusion are too alike after a training as short as this one.
#
# ## What to rely on
#
# - Where gaps are like those that were withheld, the standard error is about right, near
#   observations and far from them.
# - Farther inside a gap than anything that was withheld, it is what the covariance says.
# - It knows nothing of the instrument's own error, nor of gaps that depend on the value itself.
# - For means and extremes take members, and hold their spread against observations that you hid.
