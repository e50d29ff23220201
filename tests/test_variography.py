"""Covariances from few gappy data: models fitted to pairs, and what judges them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from xdiffimpute.covariance import Covariance, pair_sums
from xdiffimpute.covariance_judge import CovarianceJudge
from xdiffimpute.datasets import DATASETS
from xdiffimpute.kriging import MOST_FACTORED, QUICKLY_FACTORED, GaussianField, krige
from xdiffimpute.matern import CORRELATIONS, MODELS, Matern, Model, fit_matern
from xdiffimpute.pair_covariance import PairCovariance
from xdiffimpute.variography import _apart, estimate_covariance, judged_frames

REACH = (10, 12)


def model_lags(model: Model, frames: int = 3) -> np.ndarray:
    """Lengths of 3 and 5 cells, turned, carried along by (0.5, -1) cells a frame, for 4 frames."""
    t, y, x = np.meshgrid(
        np.arange(frames), np.arange(-10, 11), np.arange(-12, 13), indexing="ij", sparse=True
    )
    dy, dx = y - 0.5 * t, x + 1.0 * t
    squares = ((dy + 0.5 * dx) / 3.0) ** 2 + (dx / 5.0) ** 2
    shape = CORRELATIONS[model.shape]
    if model.smooth:
        return np.asarray(shape(np.sqrt(squares + (t / 4.0) ** 2)))
    return np.asarray(shape(np.sqrt(squares)) * np.exp(-t / 4.0))


def fitted(lags: np.ndarray, pairs: np.ndarray, model: Model) -> np.ndarray:
    """The covariance of the fit, with the variances of the pairs."""
    found = fit_matern(lags, pairs, model)
    return found.covariance(lags[:, :, 0, 10, 12], (lags.shape[2], 10, 12))


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_model_is_found_again_from_noisy_covariances(model: Model) -> None:
    between = np.array([[2.0, 0.6], [0.6, 1.0]])[:, :, None, None, None]
    lags = between * model_lags(model)
    rng = np.random.default_rng(0)
    noisy = lags * (1 + 0.02 * rng.standard_normal(lags.shape))
    found = fitted(noisy, np.full(lags.shape, 1e4), model)
    np.testing.assert_allclose(found, lags, atol=0.08)


def test_near_lags_of_few_pairs_do_not_lead_the_fit_astray() -> None:
    """A hundredth of the cells seen: few pairs at near lags, some above the variance by chance."""
    lags = model_lags(MODELS[2], frames=1)[None, None]
    y, x = np.ogrid[-10:11, -12:13]
    pairs = np.broadcast_to(60.0 + 20.0 * np.hypot(y, x), lags.shape)
    wrong = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        noisy = lags + rng.standard_normal(lags.shape) / np.sqrt(pairs)
        noisy[0, 0, 0, 10, 12] = 1.0
        noisy = (noisy + noisy[..., ::-1, ::-1]) / 2
        found = fitted(noisy, pairs, MODELS[2])
        wrong.append(float(abs(found - lags).mean()))
    assert max(wrong) < 0.05


def test_models_are_told_apart() -> None:
    for model in MODELS:
        lags = model_lags(model)[None, None]
        fits = {m: fitted(lags, np.ones(lags.shape), m) for m in MODELS}
        wrong = {m: float(abs(fit - lags).mean()) for m, fit in fits.items()}
        assert min(wrong, key=lambda m: wrong[m]) == model
        assert wrong[model] < 0.1 * sorted(wrong.values())[1]


def test_errors_of_observation_are_no_part_of_the_model() -> None:
    lags = model_lags(MODELS[2], frames=1)[None, None]
    seen = lags.copy()
    seen[0, 0, 0, 10, 12] += 0.2  # white noise adds to lag zero alone
    found = fit_matern(seen, np.ones(lags.shape), MODELS[2])
    assert found.share == pytest.approx(1 / 1.2, abs=0.01)
    np.testing.assert_allclose(found.covariance(np.ones((1, 1)), (1, 10, 12)), lags, atol=0.01)


def test_errors_of_observation_are_no_part_of_what_channels_share() -> None:
    """Two instruments, correlated 0.6, each with errors of its own."""
    between = np.array([[1.0, 0.6], [0.6, 1.0]])[:, :, None, None, None]
    clean = between * model_lags(MODELS[2], frames=1)
    seen = clean.copy()
    seen[[0, 1], [0, 1], 0, 10, 12] += 0.3
    pairs = PairCovariance(torch.from_numpy(seen), torch.ones(seen.shape), np.ones(2, dtype=bool))
    found = pairs.modelled(pairs.fitted(MODELS[2])).numpy()
    near = slice(8, 13), slice(10, 15)  # the taper of models is one here
    np.testing.assert_allclose(found[0, 1, 0][near], clean[0, 1, 0][near], atol=0.03)
    np.testing.assert_allclose(found[0, 0, 0, 10, 12], 1.3, atol=1e-6)
    np.testing.assert_allclose(found[0, 0, 0, 10, 13], clean[0, 0, 0, 10, 13], atol=0.03)


def test_channels_have_no_more_in_common_than_fields_can() -> None:
    """Correlations of 0.9, 0.9 and -0.9, each of other cells; variances stay."""
    between = np.array([[1.0, 0.9, 0.9], [0.9, 2.0, -0.9], [0.9, -0.9, 1.0]])
    seen = between[:, :, None, None, None] * model_lags(MODELS[2], frames=1)
    pairs = PairCovariance(torch.from_numpy(seen), torch.ones(seen.shape), np.ones(3, dtype=bool))
    found = pairs.modelled(pairs.fitted(MODELS[2]).clean()).numpy()[:, :, 0, 10, 12]
    assert np.linalg.eigvalsh(between)[0] < -0.1 < -1e-9 < np.linalg.eigvalsh(found)[0]
    np.testing.assert_allclose(found.diagonal(), between.diagonal(), atol=1e-6)


def test_what_is_given_does_not_lead_what_is_asked_for() -> None:
    """A static field that is seen everywhere beside a rough one that is seen here and there."""
    asked = model_lags(MODELS[0])
    lags = np.zeros((2, 2, *asked.shape))
    lags[0, 0], lags[1, 1] = asked, 1.0
    pairs = np.ones(lags.shape)
    pairs[1, 1] = 12.0
    alone = fit_matern(lags[:1, :1], pairs[:1, :1], MODELS[0])
    found = fit_matern(lags, pairs, MODELS[0], np.array([True, False]))
    np.testing.assert_allclose(found.parameters, alone.parameters, atol=1e-6)


def fields(count: int, seed: int) -> Tensor:
    """Independent fields with a length of three cells."""
    generator = torch.Generator().manual_seed(seed)
    white = torch.randn(count, 1, 1, 28, 28, generator=generator)
    smooth = torch.nn.functional.avg_pool2d(white[:, 0], 5, stride=1)[:, None]
    return smooth / smooth.std()


def split(x: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand(x.shape, generator=generator)
    return x * (draw < 0.5), (draw < 0.3).float(), ((draw >= 0.3) & (draw < 0.5)).float()


def test_what_judges_is_not_known_to_what_is_judged() -> None:
    """Frames of a series come in several windows, and are known to one side in all of them."""
    x = fields(60, seed=0).view(2, 30, 24, 24)
    places = torch.tensor([[s, t] for s in range(2) for t in range(27)])
    windows = torch.stack([x[s, t : t + 3] for s, t in places.tolist()])[:, None]
    sample = split(windows, seed=1)
    judged = judged_frames([places], window=3, frames=30)
    (learned,), (others,) = _apart([sample], judged, rehearsed=False)
    own = judged[0][:, None, :, None, None]
    assert 0.2 < float(judged[0].float().mean()) < 0.5
    assert not ((learned[1] + learned[2]) * own).any() and not (learned[0] * own).any()
    assert float(others[2].sum()) == float((sample[2] * own).sum()) > 0
    frames = {(s, t + k) for (s, t), row in zip(places.tolist(), judged[0], strict=True)
              for k in range(3) if row[k]}  # fmt: skip
    for (s, t), row in zip(places.tolist(), judged[0], strict=True):
        assert all(((s, t + k) in frames) == bool(row[k]) for k in range(3))


def test_one_frame_judges_itself() -> None:
    sample = split(fields(4, seed=0), seed=1)
    judged = judged_frames([torch.zeros(4, 2, dtype=torch.long)], window=1, frames=1)
    learned, others = _apart([sample], judged, rehearsed=False)
    assert learned == [sample] and others == [sample]


def test_what_a_rehearsal_judges_is_not_learned_even_where_no_query_would_judge() -> None:
    """Cells of its frames stay out, unless there are no others."""
    x, context, query = split(fields(6, seed=0), seed=1)
    own = torch.tensor([[False]] * 4 + [[True]] * 2)
    query[4:] = 0.0
    (learned,), others = _apart([(x, context, query)], [own], rehearsed=True)
    assert not others and not learned[1][4:].any() and learned[1][:4].equal(context[:4])
    sample = (x[4:], context[4:], query[4:])
    assert _apart([sample], [own[4:]], rehearsed=True) == ([sample], [sample])


def test_windows_are_counted_and_not_the_batches_they_come_in() -> None:
    """Without a rehearsal they come by the dozen, and a few of them judge."""
    samples = [split(fields(8, seed=k), seed=k) for k in range(2)]
    judge = CovarianceJudge.of(samples, 24 * 24, 1e9, periodic=False)
    assert [len(x) for x, *_ in judge.few] == [2] and [len(x) for x, *_ in judge.more] == [4]
    alone = [tuple(part[[n]] for part in samples[0]) for n in range(8)]
    judge = CovarianceJudge.of(alone, 24 * 24, 1e9, periodic=False)  # type: ignore[arg-type]
    assert len(judge.few) == 2 and len(judge.more) == 4


def test_windows_that_are_never_factored_judge_by_no_factors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the table of their covariances would be too large."""
    x, context, query, _ = dense_windows(0.0)
    assert CovarianceJudge.of([(x, context, query)], 150_000, 3e10, periodic=False).large
    monkeypatch.setattr("xdiffimpute.kriging.LARGEST_TABLE", 0)
    judge = CovarianceJudge.of([(x, context, query)], 150_000, 3e10, periodic=False)
    assert not judge.exact and not judge.large
    trial = Covariance(torch.ones(1, 1, 1, 1, 1), torch.tensor(0.1))
    assert judge.worth_a_factor(trial) == MOST_FACTORED


def test_few_data_lead_to_a_covariance_near_the_truth() -> None:
    """Of 20 fields the pairs alone are noise at far lags; 2000 whole ones are the truth."""
    many = fields(2000, seed=7)
    products, pairs = pair_sums(many, torch.ones_like(many), REACH, periodic=False)
    truth = (products / pairs)[0, 0, 0]
    few = fields(20, seed=3)
    samples = [split(few[a : a + 4], seed=a) for a in range(0, 20, 4)]
    known = [(x, context + query) for x, context, query in samples]
    sums = [pair_sums(x, seen, REACH, periodic=False) for x, seen in known]
    alone = sum(s[0] for s in sums) / sum(s[1] for s in sums).clamp(min=1.0)
    places = [torch.tensor([[n, 0] for n in range(a, a + 4)]) for a in range(0, 20, 4)]
    judged = judged_frames(places, window=1, frames=1)
    found = estimate_covariance(samples, REACH, periodic=False, judged=judged).whole.lags
    wrong, crude = (float((lags[0, 0, 0] - truth).square().mean()) for lags in (found, alone))
    assert wrong < 0.5 * crude


def dense_windows(noise: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Generator]:
    """Values, context and query of twelve windows with some 780 observations; a generator."""
    source = DATASETS.create("gaussian_field", samples=12, shape=(36, 36), length=6.0, seed=0)
    clean = torch.from_numpy(next(iter(source.open().data_vars.values())).values)
    x = clean.float().reshape(-1, 1, 1, 36, 36)
    generator = torch.manual_seed(0)
    x = x + noise * torch.randn(x.shape, generator=generator)
    context = (torch.rand(x.shape, generator=generator) < 0.6).float()
    query = (torch.rand(x.shape, generator=generator) < 0.3) * (1 - context)
    return x, context, query, generator


@pytest.mark.parametrize(("noise", "factored"), [(0.0, MOST_FACTORED), (0.3, QUICKLY_FACTORED)])
def test_factors_are_made_where_they_are_worth_it(noise: float, factored: int) -> None:
    """About 780 observations a window: steps are as good as a factor where the data are noisy."""
    x, context, query, generator = dense_windows(noise)
    found = estimate_covariance([(x, context, query)], (12, 12), periodic=False)
    assert found.factored == factored
    few = context * (torch.rand(x.shape, generator=generator) < 0.5)  # nobody knows of large ones
    found = estimate_covariance([(x, few, query)], (12, 12), periodic=False)
    assert found.factored == MOST_FACTORED


def test_large_windows_choose_a_covariance_by_factors() -> None:
    """Forty steps do better with more noise than there is, factors do not."""
    x, context, query, _ = dense_windows(0.0)
    judge = CovarianceJudge.of([(x, context, query)], cells=150_000, work=3e10, periodic=False)
    judge = judge._replace(ways=(0,))
    matern = Matern(Model("matern92", smooth=True), np.array([*2 * [-np.log(6.0)], *4 * [0], 1]))
    lags = torch.from_numpy(matern.covariance(np.ones((1, 1)), (1, 16, 16))).float()
    trials = [Covariance(lags, torch.tensor(noise)) for noise in (1e-2, 1e-3, 1e-6)]
    steps = [judge(trial) for trial in trials]
    factors = [judge.by_factors(trial) for trial in trials]
    assert np.argmin(steps) == 0
    assert judge.best(trials) == (np.argmin(factors), steps[1]) == (1, steps[1])


@pytest.mark.parametrize(("noise", "most", "way"), [(0.0, 128, 128), (0.5, 8, 0)])
def test_each_covariance_is_judged_in_the_way_that_suits_it(
    noise: float, most: int, way: int
) -> None:
    """Neighbours suit smooth clean fields; under noise a few of them know less than all."""
    x, context, query, _ = dense_windows(noise)
    judge = CovarianceJudge.of([(x, context, query)], cells=150_000, work=3e10, periodic=False)
    judge = judge._replace(ways=(0, most))
    matern = Matern(Model("matern52", smooth=True), np.array([*2 * [-np.log(6.0)], *4 * [0], 1]))
    lags = torch.from_numpy(matern.covariance(np.ones((1, 1)), (1, 16, 16))).float()
    trial = Covariance(lags, torch.tensor(max(1e-6, noise**2)))
    alone = {n: judge._replace(ways=(n,))(trial) for n in judge.ways}
    assert judge(trial) == min(alone.values()) == alone[way]
    assert judge.settled(trial).neighbours == way


@pytest.mark.parametrize(("noise", "most", "near"), [(0.0, 128, True), (0.5, 8, False)])
def test_neighbours_are_asked_where_they_know_better(
    noise: float, most: int, near: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps leave undone what neighbours tell; under noise it takes the many that are far away."""
    monkeypatch.setattr("xdiffimpute.covariance_judge.WAYS", (0, most))
    x, context, query, generator = dense_windows(noise)
    found = estimate_covariance([(x, context, query)], (12, 12), periodic=False)
    assert (found.neighbours > 0) == near
    few = context * (torch.rand(x.shape, generator=generator) < 0.3)
    assert estimate_covariance([(x, few, query)], (12, 12), periodic=False).neighbours == 0


def test_cells_hidden_as_for_a_score_judge_in_place_of_queries() -> None:
    """Queries lie where next to nothing is seen, and gaps where much is; what is exact is known."""
    source = DATASETS.create("gaussian_field", samples=24, shape=(36, 36), length=5.0, seed=0)
    values = next(iter(source.open().data_vars.values())).values
    x = torch.from_numpy(values).float().reshape(-1, 1, 1, 36, 36)
    draw = torch.rand(x.shape, generator=torch.manual_seed(0))
    samples = [
        (x[:12], (draw[:12] < 0.03).float(), ((draw[:12] > 0.03) & (draw[:12] < 0.06)).float())
    ]
    shown = (draw[12:] < 0.5).float()
    gaps = ((draw[12:] > 0.5) & (draw[12:] < 0.6)).float()
    rehearsal = [(x[12 + k : 13 + k], shown[[k]], gaps[[k]]) for k in range(8)]
    wrong = []
    for judging in ((), rehearsal):
        found = estimate_covariance(samples, (12, 12), periodic=False, rehearsal=judging).whole
        guess = krige(x[20:], shown[8:], partial(GaussianField, found), periodic=False)
        wrong.append(float(((guess - x[20:])[gaps[8:] > 0]).square().mean()))
    exact = [
        source.posterior(values[20 + k], shown[8 + k, 0, 0].numpy() > 0)[1][gaps[8 + k, 0, 0] > 0]
        for k in range(4)
    ]
    assert wrong[1] < 0.9 * wrong[0]
    assert wrong[1] < 1.3 * np.concatenate(exact).mean()
