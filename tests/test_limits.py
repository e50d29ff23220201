"""What a short training reaches, against the least error that is possible; takes minutes."""

import numpy as np
import pytest
import xarray as xr

import xdiffimpute  # noqa: F401 - registers .impute
from xdiffimpute.datasets import DATASETS
from xdiffimpute.masks import MASKS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "pattern, settings, most",
    [("pixel", {"ratio": 0.3}, 1.2), ("block", {"grid": (3, 3), "kept": 5}, 1.1)],
)
def test_near_the_bayes_error_of_a_gaussian_field(pattern, settings, most):
    """One pass over fields not trained on, after 400 steps; ``most`` times the exact minimum."""
    source = DATASETS.create("gaussian_field", samples=1050, shape=(24, 24), length=5.0, seed=0)
    ds = source.open()
    name = next(iter(ds.data_vars))
    full = np.ones((1, *ds[name].shape), dtype=bool)
    seen = MASKS.create(pattern, **settings)(full, np.random.default_rng(1))[0]
    gappy = ds.assign({name: ds[name].where(xr.DataArray(seen, dims=ds[name].dims))})
    train, test = gappy.isel(sample=slice(50, None)), gappy.isel(sample=slice(50))
    imputer = train.impute.fit(steps=400, seed=0, statistics="variable", progress=False)
    filled = test.impute.fill(imputer, sampler="single_pass")[name].values
    truth, hidden = ds[name].values[:50], ~seen[:50]
    exact = np.stack([source.posterior(t, s)[0] for t, s in zip(truth, seen[:50], strict=True)])
    error, least = (np.mean((x - truth)[hidden] ** 2) for x in (filled, exact))
    assert 0.99 * least < error < most * least
