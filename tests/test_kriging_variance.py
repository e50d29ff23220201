"""What observations leave unknown of a Gaussian field: exact, and from those that matter most."""

from functools import partial

import numpy as np
import pytest
import torch
from stationary import dense, gaussian

from xdiffimpute import kriging_variance as module
from xdiffimpute.covariance import Covariance, from_torus, spectrum
from xdiffimpute.kriging import GaussianField
from xdiffimpute.kriging_variance import kriging_variance


def covariance_on_a_torus(height: int, width: int, reach: int, frames: int) -> Covariance:
    """One of two channels that a torus need not change."""
    lags = gaussian(height, width, reach, frames, channels=2)
    lags[1, 1] *= 2.0
    noise = torch.tensor(0.1)
    found = spectrum(Covariance(lags, noise), (height, width), frames, periodic=False)
    return Covariance(from_torus(found.matrices, found.size, (reach, reach), frames), noise)


@pytest.mark.parametrize(("neighbours", "tolerance"), [(10**6, 1e-5), (24, 0.06)])
@pytest.mark.parametrize("together", [27, 1])
def test_it_is_that_of_the_dense_matrix(
    neighbours: int, tolerance: float, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAST_TILE", 2)
    monkeypatch.setattr("xdiffimpute.covariance.MOST_TOGETHER", together)
    height, width, frames = 5, 6, 2
    covariance = covariance_on_a_torus(height, width, 4, frames)
    share = torch.tensor([0.0, 0.3, 0.9]).view(3, 1, 1, 1, 1)
    draw = torch.rand(3, 2, frames, height, width, generator=torch.manual_seed(0))
    context = (draw < share).float()
    found = kriging_variance(
        context, partial(GaussianField, covariance), periodic=False, neighbours=neighbours
    )
    lags = covariance.lags.clone()
    if together == 1:  # channels are taken one by one
        lags[0, 1] = lags[1, 0] = 0.0
    matrix = dense(lags.numpy(), height, width, frames)
    noise = 0.1 * np.repeat(covariance.variance.numpy(), frames * height * width)
    for seen, variance in zip(context.numpy() > 0, found.numpy(), strict=True):
        at = np.flatnonzero(seen)
        system = matrix[np.ix_(at, at)] + np.diag(noise[at])
        known = np.einsum("ij,ji->i", matrix[:, at], np.linalg.solve(system, matrix[at]))
        expected = np.diag(matrix) + noise - known
        np.testing.assert_allclose(variance.ravel(), expected, atol=tolerance)
        assert (variance.ravel() > expected - 1e-5).all()  # of fewer observations, not less


def test_pieces_of_a_large_field_agree_with_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Across the edge of the globe too: the same on fields that are rolled."""
    covariance = Covariance(gaussian(8, 8, 6), torch.tensor(0.1))
    field_of = partial(GaussianField, covariance)
    context = (torch.rand(1, 1, 1, 40, 70, generator=torch.manual_seed(0)) < 0.2).float()
    for periodic in (False, True):
        monkeypatch.setattr(module, "LARGEST", 128)
        whole = kriging_variance(context, field_of, periodic=periodic)
        monkeypatch.setattr(module, "LARGEST", 32)
        monkeypatch.setattr(module, "PIECE", 32)
        pieces = kriging_variance(context, field_of, periodic=periodic)
        assert float((pieces / whole - 1).abs().max()) < 0.05
        assert float((pieces / whole - 1).abs().mean()) < 0.005
    rolled = kriging_variance(context.roll(11, -1), field_of, periodic=True).roll(-11, -1)
    assert float((rolled / whole - 1).abs().max()) < 0.05
    assert float(whole[context > 0].max()) < float(whole[context == 0].mean())
