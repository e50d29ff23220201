"""Covariances from few gappy data: models fitted to pairs, and what judges them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from xdiffimpute.covariance import pair_sums
from xdiffimpute.matern import CORRELATIONS, MODELS, Model, matern_covariance
from xdiffimpute.variography import _apart, estimate_covariance

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


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_model_is_found_again_from_noisy_covariances(model: Model) -> None:
    between = np.array([[2.0, 0.6], [0.6, 1.0]])[:, :, None, None, None]
    lags = between * model_lags(model)
    rng = np.random.default_rng(0)
    noisy = lags * (1 + 0.02 * rng.standard_normal(lags.shape))
    found = matern_covariance(noisy, np.full(lags.shape, 1e4), model)
    np.testing.assert_allclose(found, lags, atol=0.08)
    others = [matern_covariance(noisy, np.full(lags.shape, 1e4), m) for m in MODELS if m != model]
    wrong = abs(found - lags).mean()
    assert all(abs(other - lags).mean() > 2 * wrong for other in others)


def test_errors_of_observation_are_no_part_of_the_model() -> None:
    lags = model_lags(MODELS[2], frames=1)[None, None]
    seen = lags.copy()
    seen[0, 0, 0, 10, 12] += 0.2  # white noise adds to lag zero alone
    found = matern_covariance(seen, np.ones(lags.shape), MODELS[2])
    np.testing.assert_allclose(found / found.max(), lags, atol=0.01)


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


def test_what_judges_shares_no_frame_with_what_is_judged() -> None:
    """Ten batches, in which four fields come twice: once to learn from, once to judge by."""
    x = fields(36, seed=0)
    sample = split(torch.cat([x, x[:4]]), seed=1)
    twice = [tuple(part[a : a + 4] for part in sample) for a in range(0, 40, 4)]
    known = twice[0][1] + twice[0][2]
    twice[-1] = (twice[0][0], known - twice[0][2], twice[0][2])  # the same values are known
    learned, others = _apart(twice)
    assert sum(len(part[0]) for part in learned) == 24
    seen = {float(v) for part in learned for v in part[0].double().sum(dim=(1, 2, 3, 4))}
    asked = {float(v) for part in others for v in part[0].double().sum(dim=(1, 2, 3, 4))}
    assert asked and not seen & asked


def test_where_all_frames_are_in_both_they_stay() -> None:
    sample = split(fields(4, seed=0), seed=1)
    learned, others = _apart([sample] * 10)
    assert len(learned) == 7 and len(others) == 3


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
    found = estimate_covariance(samples, REACH, periodic=False).lags
    wrong, crude = (float((lags[0, 0, 0] - truth).square().mean()) for lags in (found, alone))
    assert wrong < 0.5 * crude
