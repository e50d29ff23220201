"""What observations leave unknown of a Gaussian field: exact, and from those that matter most."""

from functools import partial

import numpy as np
import pytest
import torch
from stationary import dense, gaussian

from xdiffimpute import local_kriging as module
from xdiffimpute import neighbourhoods
from xdiffimpute.covariance import Covariance, from_torus, spectrum, taper
from xdiffimpute.kriging import GaussianField, Sizes
from xdiffimpute.local_kriging import kriging_variance, unit_errors


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
    monkeypatch.setattr(neighbourhoods, "LEAST_TILE", 2)
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
        monkeypatch.setattr(module, "NEAR_SIZES", Sizes(128, 64, 16))
        whole = kriging_variance(context, field_of, periodic=periodic)
        monkeypatch.setattr(module, "NEAR_SIZES", Sizes(32, 32, 16))
        pieces = kriging_variance(context, field_of, periodic=periodic)
        assert float((pieces / whole - 1).abs().max()) < 0.05
        assert float((pieces / whole - 1).abs().mean()) < 0.005
    rolled = kriging_variance(context.roll(11, -1), field_of, periodic=True).roll(-11, -1)
    assert float((rolled / whole - 1).abs().max()) < 0.05
    assert float(whole[context > 0].max()) < float(whole[context == 0].mean())


def smooth(noise: float, reach: int = 20, length: float = 6.0) -> partial[GaussianField]:
    y, x = torch.meshgrid(*(torch.arange(-reach, reach + 1.0),) * 2, indexing="ij")
    r = 3**0.5 * (y**2 + x**2).sqrt() / length
    lags = (1 + r) * torch.exp(-r) * taper((reach, reach), 1.5 * reach)
    return partial(GaussianField, Covariance(lags[None, None, None], torch.tensor(noise)))


def with_a_hole(side: int, hole: int) -> torch.Tensor:
    context = torch.ones(1, 1, 1, side, side)
    start = (side - hole) // 2
    context[..., start : start + hole, start : start + hole] = 0.0
    return context


@pytest.mark.parametrize("hole", [12, 24, 32])
def test_in_the_middle_of_a_hole_all_sides_are_known(hole: int) -> None:
    """Nearest observations alone lie on one side of a tile, and in a wide hole there are none."""
    context, field_of = with_a_hole(44, hole), smooth(0.01)
    exact = kriging_variance(context, field_of, periodic=False, neighbours=10**6)
    found = kriging_variance(context, field_of, periodic=False)
    inside = context == 0
    ratio = (found / exact)[inside]
    assert float(ratio.min()) > 0.999 and float(ratio.mean()) < 1.05 and float(ratio.max()) < 1.5
    middle = float(exact[0, 0, 0, 22, 22])
    assert float(found[0, 0, 0, 22, 22]) < 1.1 * middle and middle < 1.01


@pytest.mark.parametrize(
    ("shape", "periodic"),
    [((40, 60), False), ((20, 97), False), ((20, 128), True), ((129, 20), False)],
)
@pytest.mark.parametrize("noise", [1e-4, 0.05])
def test_draws_have_unit_variance_on_fields_of_any_size(
    shape: tuple[int, int], periodic: bool, noise: float
) -> None:
    """Under scattered gaps and in a hole, however many observations there are."""
    generator = torch.manual_seed(0)
    context = (torch.rand(1, 1, *shape, generator=generator) < 0.5).float()
    context[..., 4:16, 5:17] = 0.0
    draws = unit_errors(context, smooth(noise), np.random.default_rng(0), 150, periodic=periodic)
    assert draws.shape == (150, 1, 1, *shape)
    assert not draws[:, context > 0].any()
    deviation = draws.std(dim=0)[context == 0]
    assert float(deviation.square().mean().sqrt()) == pytest.approx(1.0, abs=0.03)
    assert float(deviation.quantile(0.02)) > 0.8 and float(deviation.quantile(0.98)) < 1.2
    few = unit_errors(context, smooth(noise), np.random.default_rng(0), 2, periodic=periodic)
    torch.testing.assert_close(few, draws[:2])


def test_draws_of_errors_go_together_as_the_exact_ones_do() -> None:
    """Two channels and frames, against the dense matrix of what is unknown."""
    height, width, frames = 5, 6, 2
    covariance = covariance_on_a_torus(height, width, 4, frames)
    generator = torch.manual_seed(1)
    context = (torch.rand(2, frames, height, width, generator=generator) < 0.4).float()
    rng = np.random.default_rng(0)
    draws = unit_errors(context, partial(GaussianField, covariance), rng, 4000, periodic=False)
    matrix = dense(covariance.lags.numpy(), height, width, frames)
    noise = 0.1 * np.repeat(covariance.variance.numpy(), frames * height * width)
    seen = context.numpy().ravel() > 0
    system = matrix[np.ix_(seen, seen)] + np.diag(noise[seen])
    left = matrix - matrix[:, seen] @ np.linalg.solve(system, matrix[seen])
    left = left[np.ix_(~seen, ~seen)]
    expected = left / np.sqrt(np.outer(np.diag(left), np.diag(left)))
    found = np.corrcoef(draws.flatten(1).numpy()[:, ~seen].T)
    np.testing.assert_allclose(found, expected, atol=0.08)


def test_what_was_not_asked_and_what_nobody_observed() -> None:
    context = torch.zeros(1, 1, 8, 8)
    asked = torch.zeros_like(context, dtype=torch.bool)
    asked[..., :3] = True
    rng = np.random.default_rng(0)
    draws = unit_errors(context, smooth(0.1), rng, 400, periodic=False, asked=asked)
    assert not draws[:, ~asked].any()
    assert float(draws.std(dim=0)[asked].mean()) == pytest.approx(1.0, abs=0.1)
    nothing = unit_errors(torch.ones_like(context), smooth(0.1), rng, 3, periodic=False)
    assert nothing.shape == (3, 1, 1, 8, 8) and not nothing.any()
