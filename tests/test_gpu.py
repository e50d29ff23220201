"""A network on a CUDA device: the same answers as on the CPU, and the way back."""

from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr
from resumable import at_loss
from stationary import gaussian
from test_diffusion import fit, make

import xdiffimpute as xdi
from xdiffimpute.covariance import Covariance
from xdiffimpute.denoiser import Denoiser
from xdiffimpute.kriging import GaussianField, krige
from xdiffimpute.local_kriging import kriging_variance

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device"),
]


@pytest.fixture(scope="module")
def fitted():
    ds = make()
    return ds, fit(ds, steps=20, device="cuda")


@pytest.mark.parametrize("sampler", ["single_pass", "ensemble", "multi_step"])
def test_saved_there_and_loaded_here(fitted, tmp_path, sampler):
    ds, imputer = fitted
    imputer.save(tmp_path / "m.imputer")
    here, there = (xdi.load(tmp_path / "m.imputer", device=d) for d in ("cpu", "cuda"))
    a, b = (each.fill(ds, sampler=sampler)["sst"] for each in (here, there))
    xr.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_kriging_there(share):
    """Of windows with more observations than neighbours, and with more than have factors."""
    covariance = Covariance(gaussian(64, 64, 8), torch.tensor(1e-3))
    x = torch.randn(2, 1, 1, 64, 64, generator=torch.manual_seed(0))
    context = (torch.rand(x.shape, generator=torch.manual_seed(1)) < share).float()
    found = []
    for device in ("cpu", "cuda"):
        own = Covariance(covariance.lags.to(device), covariance.noise.to(device))
        field_of = partial(GaussianField, own)
        given = x.to(device), context.to(device)
        found.append(krige(*given, field_of, periodic=False, neighbours=128).cpu())
        found.append(kriging_variance(given[1], field_of, periodic=False).cpu())
    torch.testing.assert_close(found[2:], found[:2], rtol=1e-3, atol=1e-3)


def test_it_learns_there(fitted):
    ds, imputer = fitted
    assert next(imputer.fitted.denoiser.parameters()).device.type == "cuda"
    losses = [loss for _, loss in imputer.fitted.history.loss]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_a_training_goes_on_there(tmp_path, monkeypatch):
    """As on the CPU, but for the order in which a GPU adds up."""
    ds, settings = make(), {"steps": 12, "device": "cuda", "checkpoint": tmp_path / "run"}
    whole = fit(ds, steps=12, device="cuda").fitted
    with monkeypatch.context() as patched:
        patched.setattr(Denoiser, "loss", at_loss(8, lambda: 1 / 0))
        with pytest.raises(ZeroDivisionError):
            fit(ds, checkpoint_every=1e-9, **settings)
    resumed = fit(ds, resume=True, **settings).fitted
    assert resumed.history.steps == 12 and resumed.history.memory > 0
    errors = [[error for _, error in each.history.validation] for each in (whole, resumed)]
    np.testing.assert_allclose(*errors, rtol=0.05)


def test_lazy_fill_on_the_device(fitted):
    ds, imputer = fitted
    xr.testing.assert_allclose(imputer.fill(ds.chunk(time=5)).compute(), imputer.fill(ds))
