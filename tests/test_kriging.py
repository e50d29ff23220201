"""Covariances from gappy data, and conditional means that follow from them."""

from functools import partial

import numpy as np
import pytest
import torch
from stationary import dense, gaussian

from xdiffimpute import neighbourhoods as module
from xdiffimpute.covariance import Covariance, factor, from_torus, pair_sums, spectrum, taper
from xdiffimpute.datasets import DATASETS
from xdiffimpute.kriging import GaussianField, Sizes, krige
from xdiffimpute.matern import Matern, Model
from xdiffimpute.variography import estimate_covariance


@pytest.mark.parametrize(("most", "tolerance"), [(10**6, 1e-5), (0, 2e-3)])
def test_the_mean_is_that_of_the_dense_matrix(most: int, tolerance: float) -> None:
    """Two channels, two frames, by a factor and by steps: against the inverse of the matrix."""
    height, width, frames, reach = 5, 6, 2, 4
    lags = gaussian(height, width, reach, frames, channels=2)
    # a covariance that no torus has to change
    lags = from_torus(
        spectrum(Covariance(lags, torch.tensor(0.1)), (height, width), frames, periodic=False)
        .matrices, spectrum(Covariance(lags, torch.tensor(0.1)), (height, width), frames,
                            periodic=False).size, (reach, reach), frames)  # fmt: skip
    covariance = Covariance(lags, torch.tensor(0.1))
    generator = torch.manual_seed(0)
    x = torch.randn(3, 2, frames, height, width, generator=generator)
    context = (torch.rand(x.shape, generator=generator) < 0.4).float()
    field = GaussianField(covariance, (height, width), frames, False, factored=most)
    added = torch.tensor([0.0, 0.05, 0.5])  # noise of diffusion
    found = field.mean(x, context, steps=200, added=added)[..., :height, :width]
    matrix = dense(lags.numpy(), height, width, frames)
    noise = 0.1 * float(covariance.variance[0]) + added.numpy()
    windows = zip(x.numpy(), context.numpy() > 0, noise, found.numpy(), strict=True)
    for values, seen, variance, mean in windows:
        at = np.flatnonzero(seen)
        system = matrix[np.ix_(at, at)] + variance * np.eye(len(at))
        expected = matrix[:, at] @ np.linalg.solve(system, values.ravel()[at])
        np.testing.assert_allclose(mean.ravel(), expected, atol=tolerance)


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("together", [27, 1])
def test_factors_agree_with_steps(
    periodic: bool, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what leans in space and time and differs by channel; some windows hold nothing."""
    monkeypatch.setattr("xdiffimpute.covariance.MOST_TOGETHER", together)
    t, y, x = torch.meshgrid(
        torch.arange(2.0), torch.arange(-4, 5.0), torch.arange(-4, 5.0), indexing="ij"
    )
    squares = ((y - 1.5 * t) / 2.0) ** 2 + ((x + y + t) / 3.0) ** 2
    shape = torch.exp(-squares / 2.0) * torch.exp(-t / 2.0) * taper((4, 4), 6.0)
    joint = torch.tensor([[1.0, 0.5], [0.5, 2.0]])[:, :, None, None, None]
    covariance = Covariance(joint * shape, torch.tensor(0.3))
    generator = torch.manual_seed(0)
    values = torch.randn(6, 2, 2, 9, 11, generator=generator)
    share = torch.tensor([0.0, 0.1, 0.2, 0.5, 0.8, 1.0]).view(6, 1, 1, 1, 1)
    context = (torch.rand(values.shape, generator=generator) < share).float()
    found = []
    for most in (10**6, 100, 0):  # all by factors; some; none but the empty one
        field = GaussianField(covariance, (9, 11), 2, periodic, factored=most)
        found.append(field.mean(values, context, steps=60))
    assert not found[0][0].any() and found[0][1].any()
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], atol=2e-4, rtol=1e-3)
    monkeypatch.setattr("xdiffimpute.kriging.LARGEST_TABLE", 0)
    large = GaussianField(covariance, (9, 11), 2, periodic)
    torch.testing.assert_close(
        large.mean(values, context, steps=60), found[2], atol=2e-4, rtol=1e-3
    )


def test_pairs_across_gaps_and_across_the_edge_of_the_globe():
    generator = torch.manual_seed(0)
    x = torch.randn(1, 2, 2, 4, 7, generator=generator)
    known = (torch.rand(x.shape, generator=generator) < 0.6).float()
    for periodic in (False, True):
        products, pairs = pair_sums(x, known, (1, 2), periodic=periodic)
        total = count = 0.0
        for y in range(4):
            for column in range(7):
                v, u = y - 1, column + 2
                if 0 <= v < 4 and (periodic or u < 7):
                    both = known[0, 0, 0, y, column] * known[0, 1, 1, v, u % 7]
                    total += float(both * x[0, 0, 0, y, column] * x[0, 1, 1, v, u % 7])
                    count += float(both)
        assert float(products[0, 1, 1, 0, 4]) == pytest.approx(total, abs=1e-5)
        assert float(pairs[0, 1, 1, 0, 4]) == count


def test_draws_have_the_covariance():
    lags = gaussian(16, 16, 6, frames=2)
    covariance = Covariance(lags, torch.tensor(0.01))
    field = GaussianField(covariance, (16, 16), 2, False)
    drawn = field.draw(400, torch.Generator().manual_seed(0))
    products, pairs = pair_sums(
        drawn[..., :16, :16], torch.ones(400, 1, 2, 16, 16), (6, 6), periodic=False
    )
    np.testing.assert_allclose((products / pairs)[0, 0].numpy(), lags[0, 0].numpy(), atol=0.06)


def test_near_the_exact_answer_on_a_field_of_known_covariance():
    """Five of nine blocks observed; nobody tells the covariance."""
    source = DATASETS.create(
        "gaussian_field", samples=600, shape=(24, 24), length=4.0, smoothness=1.5, seed=0
    )
    ds = source.open()
    values = ds[next(iter(ds.data_vars))].values.astype(np.float32)
    rng = np.random.default_rng(0)
    blocks = np.stack([rng.permuted([1] * 5 + [0] * 4).reshape(3, 3) for _ in values])
    observed = blocks.repeat(8, 1).repeat(8, 2).astype(bool)
    x, known = (torch.from_numpy(a.astype(np.float32))[:, None, None] for a in (values, observed))
    kept = np.stack([rng.permuted([1] * 6 + [0] * 3).reshape(3, 3) for _ in values])
    kept = torch.from_numpy(kept.repeat(8, 1).repeat(8, 2).astype(np.float32))[:, None, None]
    split = kept * known
    samples = [
        (x[a : a + 100] * known[a : a + 100], split[a : a + 100], (known - split)[a : a + 100])
        for a in range(0, 500, 100)
    ]
    found = estimate_covariance(samples, (16, 16), periodic=False).whole
    field_of = partial(GaussianField, found)
    guess = krige(x[500:] * known[500:], known[500:], field_of, periodic=False)[:, 0, 0].numpy()
    hidden = ~observed[500:]
    exact = np.stack(
        [source.posterior(v, o)[0] for v, o in zip(values[500:], observed[500:], strict=True)]
    )
    ours, least = (np.mean((m - values[500:])[hidden] ** 2) for m in (guess, exact))
    assert ours < 1.15 * least


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("together", [27, 1])
def test_windows_of_many_observations_are_kriged_from_neighbours(
    periodic: bool, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearly as from all of them, where steps are still far off; of noise that was added too."""
    monkeypatch.setattr("xdiffimpute.covariance.MOST_TOGETHER", together)
    lags = gaussian(24, 30, 10, 2, channels=2)
    covariance = Covariance(lags, torch.tensor(1e-3))
    field_of = partial(GaussianField, covariance, factored=10**6)
    generator = torch.manual_seed(0)
    x = field_of((24, 30), 2, periodic).draw(3, generator)[..., :24, :30]
    context = (torch.rand(x.shape, generator=generator) < 0.3).float()
    context[0] *= torch.rand(x[0].shape, generator=generator) < 0.2  # few: by a factor anyway
    added = torch.tensor([0.0, 0.0, 0.02])
    exact = krige(x, context, field_of, periodic=periodic, added=added)
    near = krige(x, context, field_of, periodic=periodic, added=added, neighbours=128, many=300)
    steps = krige(x, context, partial(GaussianField, covariance, factored=0), periodic=periodic,
                  added=added)  # fmt: skip
    outside = context == 0
    torch.testing.assert_close(near[0], exact[0])
    for n in (1, 2):
        wrong = (near - exact)[n][outside[n]].square().mean()
        assert float(wrong) < 0.005 * float(x.var())
        if n == 1:  # steps do well where noise was added
            assert float(wrong) < float((steps - exact)[n][outside[n]].square().mean())
    torch.testing.assert_close(near[1:][~outside[1:]], x[1:][~outside[1:]])
    asked = torch.zeros_like(outside)
    asked[..., :5, :5] = True
    some = krige(
        x, context, field_of, periodic=periodic, added=added, neighbours=128, many=300, asked=asked
    )
    torch.testing.assert_close(some[asked], near[asked])
    assert not some[1:][(outside & ~asked)[1:]].any()


def test_neighbours_in_pieces_of_a_large_field(monkeypatch: pytest.MonkeyPatch) -> None:
    field_of = partial(GaussianField, Covariance(gaussian(60, 70, 6), torch.tensor(0.05)))
    generator = torch.manual_seed(0)
    x = field_of((60, 70), 1, False).draw(1, generator)[..., :60, :70]
    context = (torch.rand(x.shape, generator=generator) < 0.5).float()
    whole = krige(x, context, field_of, periodic=False, neighbours=128, many=300)
    monkeypatch.setattr("xdiffimpute.kriging.NEAR_SIZES", Sizes(50, 40, 16))
    pieces = krige(x, context, field_of, periodic=False, neighbours=128, many=300)
    assert float((pieces - whole).abs().max()) < 0.1 * float(x.std())


@pytest.mark.parametrize("periodic", [False, True])
def test_pieces_see_beyond_what_they_are_for(
    periodic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hole as wide as a piece is filled from its far edges too."""
    field_of = partial(GaussianField, Covariance(gaussian(30, 120, 12), torch.tensor(0.01)))
    generator = torch.manual_seed(0)
    x = field_of((30, 120), 1, periodic).draw(1, generator)[..., :30, :120]
    context = (torch.rand(x.shape, generator=generator) < 0.5).float()
    context[..., 50:74] = 0.0
    known = {"periodic": periodic, "neighbours": 128, "many": 300}
    whole = krige(x, context, field_of, **known)
    wrong = {}
    for halo in (0, 14):
        sizes = Sizes(50, 20 + 2 * halo, 4, halo=halo)
        monkeypatch.setattr("xdiffimpute.kriging.NEAR_SIZES", sizes)
        pieces = krige(x, context, field_of, **known)
        wrong[halo] = float((pieces - whole).abs().max()) / float(x.std())
    assert wrong[14] < 0.1 < 0.15 < wrong[0]


def test_neighbours_surround_a_cell_however_much_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a smooth field in many frames, those of a large tile are within it and not around it."""
    matern = Matern(Model("matern92", smooth=True), np.array([-1.8, -1.8, 0, -1.8, 0, 0, 1]))
    lags = torch.from_numpy(matern.covariance(np.ones((1, 1)), (6, 23, 23))).float()
    covariance = Covariance(lags, torch.tensor(1e-6), proper=True)
    field_of = partial(GaussianField, covariance, factored=10**6)
    drawn = GaussianField(covariance._replace(proper=False), (24, 24), 6, False)
    x = drawn.draw(1, torch.Generator().manual_seed(0))[..., :24, :24]
    context = torch.rand(1, 1, 1, 24, 24, generator=torch.manual_seed(1)) < 0.8
    context = context.float().expand(x.shape).contiguous()
    exact = krige(x, context, field_of, periodic=False)
    near = {"periodic": False, "neighbours": 128, "many": 300}
    wrong = []
    for share in (module.CROWDED, np.inf):
        monkeypatch.setattr(module, "CROWDED", share)
        found = krige(x, context, field_of, **near)
        wrong.append(float((found - exact)[context == 0].square().mean()))
        asked = torch.zeros_like(context, dtype=torch.bool)
        asked[..., 3:9, 5:14] = True
        some = krige(x, context, field_of, **near, asked=asked)
        torch.testing.assert_close(some[asked], found[asked])
    assert wrong[0] < 0.5 * wrong[1]


def test_a_covariance_on_the_plane_is_not_changed_where_its_lags_reach() -> None:
    """A torus of that size has no place for a smooth one of great length."""
    matern = Matern(Model("matern92", smooth=True), np.array([*2 * [-np.log(40.0)], *4 * [0], 1]))
    lags = torch.from_numpy(matern.covariance(np.ones((1, 1)), (1, 15, 15)))
    covariance = Covariance(lags, torch.tensor(1e-8), proper=True)
    kept = GaussianField(covariance, (16, 16), 1, False)
    torch.testing.assert_close(kept.table[0, 0, 0], lags[0, 0, 0])
    changed = GaussianField(covariance._replace(proper=False), (16, 16), 1, False)
    assert float((changed.table[0, 0, 0] - lags[0, 0, 0]).abs().max()) > 1e-3
    wider = GaussianField(covariance, (17, 17), 1, False)  # lags beyond are unknown
    assert float((wider.table[0, 0, 0, 1:-1, 1:-1] - lags[0, 0, 0]).abs().max()) > 1e-3
    y, x = np.mgrid[0:16, 0:16]
    values = torch.from_numpy(np.sin(x / 15 + y / 20)).float().view(1, 1, 1, 16, 16)
    context = (torch.rand(values.shape, generator=torch.manual_seed(0)) < 0.4).float()
    wrong = [
        float((field.mean(values, context)[..., :16, :16] - values).abs().max())
        for field in (kept, changed)
    ]
    assert wrong[0] < 1e-3 and wrong[0] < 0.1 * wrong[1]


def test_what_is_not_a_number_has_no_factor() -> None:
    with pytest.raises(torch.linalg.LinAlgError, match="not positive-definite"):
        module.cholesky(torch.full((2, 3, 3), torch.nan, dtype=torch.float64))


def test_large_tables_of_smooth_covariances_have_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their spectrum is kept in single precision, of which they are not made."""
    matern = Matern(Model("matern92", smooth=True), np.array([*2 * [-np.log(8.0)], *4 * [0], 1]))
    lags = torch.from_numpy(matern.covariance(np.ones((1, 1)), (1, 20, 20))).float()
    covariance = Covariance(lags, torch.tensor(1e-6))
    context = (torch.rand(1, 1, 1, 40, 40, generator=torch.manual_seed(0)) < 0.6).float()
    exact = GaussianField(covariance, (40, 40), 1, False)
    monkeypatch.setattr("xdiffimpute.kriging.LARGEST_TABLE", 0)
    large = GaussianField(covariance, (40, 40), 1, False)
    assert large.spectrum.matrices.dtype == torch.complex64 and large.table.equal(exact.table)
    x = exact.draw(1, torch.Generator().manual_seed(1))[..., :40, :40]
    fills = [field.near_mean(x, context, context == 0, 128) for field in (large, exact)]
    assert fills[0].equal(fills[1])
    krige(x, context, lambda *_: large, periodic=False)  # by steps: no window is factored


def test_rounding_does_not_decide() -> None:
    """Conjugate gradients that lose orthogonality multiply an error by thousands."""
    y, x = np.mgrid[0:24, 0:24]
    waves = np.stack([np.sin(x / 5 + k) + np.cos(y / 4 - k) for k in range(8)])
    values = torch.from_numpy(waves.astype(np.float32))[:, None, None]
    generator = torch.manual_seed(0)
    known = (torch.rand(values.shape, generator=generator) < 0.6).float()
    context = known * (torch.rand(values.shape, generator=generator) < 0.6)
    covariance = estimate_covariance(
        [(values * known, context, known - context)], (12, 12), periodic=False
    ).whole
    field = GaussianField(covariance, (24, 24), 1, False)
    nudge = 1e-5 * torch.randn(values.shape, generator=generator)
    difference = field.mean(values + nudge, known) - field.mean(values, known)
    assert float(difference.abs().max()) < 50 * 1e-5


def test_large_fields_are_kriged_in_pieces(monkeypatch):
    lags = gaussian(60, 70, 6)
    field_of = partial(GaussianField, Covariance(lags, torch.tensor(0.05)))
    generator = torch.manual_seed(0)
    x = field_of((60, 70), 1, False).draw(1, generator)[..., :60, :70]
    context = (torch.rand(x.shape, generator=generator) < 0.5).float()
    whole = krige(x, context, field_of, periodic=False)
    monkeypatch.setattr("xdiffimpute.kriging.SIZES", Sizes(50, 40, 16))
    pieces = krige(x, context, field_of, periodic=False)
    assert float((pieces - whole).abs().max()) < 0.1 * float(x.std())
    around = krige(x, context, field_of, periodic=True)
    turned = krige(x.roll(9, -1), context.roll(9, -1), field_of, periodic=True)
    assert float((turned - around.roll(9, -1)).abs().max()) < 0.1 * float(x.std())


def test_many_channels_are_taken_one_by_one(monkeypatch):
    lags = gaussian(8, 8, 4, channels=3)
    covariance = Covariance(lags, torch.tensor(0.05))
    together = spectrum(covariance, (8, 8), 1, periodic=False)
    monkeypatch.setattr("xdiffimpute.covariance.MOST_TOGETHER", 2)
    apart = spectrum(covariance, (8, 8), 1, periodic=False)
    assert together.matrices.shape[0] == 1 and apart.matrices.shape[0] == 3
    for c in range(3):
        own = together.matrices[0, ..., c, c].real
        torch.testing.assert_close(apart.matrices[c, ..., 0, 0].real, own, rtol=0.05, atol=0.3)
    field = GaussianField(covariance, (8, 8), 1, False)
    drawn = field.draw(5, torch.Generator().manual_seed(0))
    again = from_torus(field.power(drawn), field.spectrum.size, (4, 4), 1)
    assert again.shape == lags.shape and float(again[0, 1].abs().max()) == 0.0


def test_factors_are_those_of_matrices_that_have_them() -> None:
    generator = torch.manual_seed(0)
    root = torch.randn(5, 4, 4, dtype=torch.complex128, generator=generator)
    matrices = root @ root.mH
    found = factor(matrices)
    assert found is not None
    torch.testing.assert_close(found @ found.mH, matrices, rtol=1e-6, atol=1e-8)
    singular = root[..., :2] @ root[..., :2].mH
    assert factor(singular) is not None
    values = torch.linalg.eigvalsh(matrices[2])
    matrices[2] -= 1.01 * values[0] * torch.eye(4)
    assert factor(matrices) is None  # one with a negative part is enough
