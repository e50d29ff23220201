"""The constant mixture of first guesses: what queries and withheld cells say of it together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import xdiffimpute as xdi
from xdiffimpute import fitting
from xdiffimpute.mixture import Products, best_mixture
from xdiffimpute.variography import judges
from xdiffimpute.verification import Verification


def guessed(noises: tuple[float, ...], cells: int, seed: int = 0) -> Products:
    """Guesses of white noise that are wrong by so much, in one channel, all cells asked."""
    rng = torch.manual_seed(seed)
    x = torch.randn(1, 1, 1, 1, cells, generator=rng)
    wrong = [x + noise * torch.randn(x.shape, generator=rng) for noise in noises]
    return Products.of([(torch.stack(wrong, dim=1), x, torch.ones_like(x))])


def test_of_one_set_it_is_the_least_squares() -> None:
    weights, error = best_mixture([guessed((0.5, 0.5, 4.0), 20_000)])
    np.testing.assert_allclose(weights[:, 0], [0.11, 0.44, 0.44, 0.01], atol=0.02)
    assert weights.sum() == pytest.approx(1.0) and error[0] == pytest.approx(0.11, abs=0.01)


def test_sums_over_parts_are_those_of_the_whole() -> None:
    rng = torch.manual_seed(0)
    x = torch.randn(6, 2, 1, 4, 5, generator=rng)
    guesses = x[:, None] + torch.randn(6, 3, 2, 1, 4, 5, generator=rng)
    query = (torch.rand(x.shape, generator=rng) < 0.4).float()
    whole = Products.of([(guesses, x, query)])
    parts = Products.of((guesses[n : n + 2], x[n : n + 2], query[n : n + 2]) for n in (0, 2, 4))
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    weights, error = best_mixture([whole])
    mixed = torch.einsum("gc,bgcthw->bcthw", torch.from_numpy(weights[1:]).float(), guesses)
    wrong = ((mixed - x).square() * query).sum(dim=(0, 2, 3, 4)) / query.sum(dim=(0, 2, 3, 4))
    np.testing.assert_allclose(error, wrong, rtol=1e-4)


def test_where_queries_are_easy_withheld_cells_decide() -> None:
    """Two guesses are alike near observations; in wide gaps one of them is lost."""
    easy, hard = guessed((0.10, 0.11), 20_000), guessed((2.0, 0.5), 2_000, seed=1)
    alone, _ = best_mixture([easy])
    both, error = best_mixture([easy, hard])
    assert alone[1, 0] > 0.5 and both[2, 0] > 0.8
    assert error[0] < 2.0 * easy.error(alone)[0]  # at the queries, which have the unit
    few, _ = best_mixture([easy, guessed((2.0, 0.5), 2, seed=1)])
    np.testing.assert_allclose(few, alone, atol=0.1)


def test_nothing_asked_and_nothing_known() -> None:
    x = torch.zeros(1, 2, 1, 2, 2)
    x[:, 0] = 1.0
    nothing = Products.of([(torch.stack([x, x], dim=1), x, torch.zeros_like(x))])
    weights, error = best_mixture([nothing, nothing])
    np.testing.assert_allclose(weights, 1 / 3)
    np.testing.assert_allclose(error, 1.0)
    one = Products.of([(torch.stack([x, x], dim=1), x, torch.ones_like(x))])
    weights, error = best_mixture([one, nothing])
    assert weights[0, 0] == pytest.approx(0.0, abs=1e-6)
    assert error[0] == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(weights[:, 1], 1 / 3)


def test_a_fit_rehearses_at_training_cells_of_frames_that_judge(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Never at those that are withheld for the score, nor where the covariance was made."""
    made = []

    def spied(packed, withheld, *rest, **options):
        check = Verification(packed, withheld, *rest, **options)
        made.append((packed, withheld, check))
        return check

    monkeypatch.setattr(fitting, "Verification", spied)
    ds = xdi.example(days=40)
    imputer = ds.impute.fit(steps=1, window=3, statistics="variable", progress=False)
    (whole, score, _), (known, trial, check) = made
    assert score is imputer.fitted.withheld and trial.cells > 20
    counted = trial.some(judges(trial.series, trial.time, 3, 40))
    assert int(check.masks.sum()) == counted.cells > 0  # each once, and none of other frames
    for x, context, query in check.samples():
        assert not (context * query).any() and bool(x[query > 0].any())
    values = known.values[trial.series, trial.time]
    assert np.isfinite(values[trial.masks]).all()  # training cells
    hidden = np.isfinite(whole.values) & np.isnan(known.values)
    assert int(hidden.sum()) >= score.cells
    assert not hidden[trial.series, trial.time][trial.masks].any()
    some = score.some(score.time > 20)
    assert (some.time > 20).all() and len(some) == int((score.time > 20).sum())
    assert some.cells == int(score.masks[score.time > 20].sum())


def test_small_errors_are_told_apart() -> None:
    """Their squares are lost in single precision beside those of the values."""
    for seed in range(4):
        found = guessed((1e-3, 1e-4), 20_000, seed)
        weights, error = best_mixture([found])
        assert weights[2, 0] > 0.98
        assert error[0] == pytest.approx(1e-8, rel=0.05)
