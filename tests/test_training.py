"""Limits, annealing, the kept network, and what is refused."""

import itertools
import math

import numpy as np
import pytest
import torch

from xdiffimpute.checkpoint_folder import CheckpointFolder
from xdiffimpute.denoiser import Denoiser
from xdiffimpute.durations import parse_time
from xdiffimpute.exceptions import ImputeError
from xdiffimpute.streaming import Batch
from xdiffimpute.training import Training, _shape, train


def batches(seed=0, bad=False, weighted=False):
    generator = torch.Generator().manual_seed(seed)
    while True:
        x = torch.randn(4, 1, 1, 8, 8, generator=generator)
        observed = torch.ones_like(x)
        context = (torch.rand(x.shape, generator=generator) < 0.5).float()
        if bad:
            x = x * math.inf
        weights = torch.exp(x) if weighted else None
        features = torch.zeros(4, 2, 1, 8, 8)
        yield Batch(x, context, observed - context, features, weights=weights)


def run(settings, validate=None, seed=0, bad=False, source=None, **options):
    torch.manual_seed(seed)
    return train(
        Denoiser(1, 2), source or batches(seed, bad), settings, validate=validate,
        device=torch.device("cpu"), seed=seed, progress=False, **options,
    )  # fmt: skip


def test_same_seed_same_network_bit_for_bit():
    one, two = (run(Training(steps=4))[0].state_dict() for _ in range(2))
    assert all(torch.equal(one[k], two[k]) for k in one)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_large_batch_goes_through_the_network_in_parts(weighted, monkeypatch):
    """Gradients add up to those of the whole, whatever the queried cells of a part and count."""
    one, history = run(Training(steps=2), source=batches(weighted=weighted))
    drawn, loss = [], Denoiser.loss

    def counted(self, x, *others):
        drawn.append(len(x))
        return loss(self, x, *others)

    monkeypatch.setattr(Denoiser, "loss", counted)
    monkeypatch.setattr("xdiffimpute.training.CELLS_AT_ONCE", (3 * 64, 3 * 64))
    two, other = run(Training(steps=2), source=batches(weighted=weighted))
    assert drawn == [3, 1, 3, 1] and other.samples == history.samples == 8
    for name, value in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], value, rtol=1e-4, atol=5e-5)


def test_weights_count_in_the_loss():
    _, plain = run(Training(steps=1))
    _, weighted = run(Training(steps=1), source=batches(weighted=True))
    assert weighted.loss[0][1] > 1.1 * plain.loss[0][1]


def test_steps_are_counted_and_the_time_limit_holds():
    _, history = run(Training(steps=3))
    assert history.steps == 3 and len(history.loss) == 3
    _, history = run(Training(seconds=0.5))
    assert history.steps >= 1 and history.seconds < 20


def test_the_network_of_the_best_check_is_kept():
    seen = []

    def validate(network):
        seen.append({k: v.clone() for k, v in network.state_dict().items()})
        return [3.0, 2.0, 1.0, 5.0, 6.0, 7.0, 8.0][min(len(seen) - 1, 6)]

    network, history = run(Training(steps=6, checks=6, patience=1.0), validate)
    best = int(np.argmin([error for _, error in history.validation]))
    assert best == 2
    assert all(torch.equal(v, seen[best][k]) for k, v in network.state_dict().items())


def test_early_stop():
    errors = iter([1.0, *np.linspace(2, 3, 40)])
    _, history = run(Training(steps=40, checks=40, patience=0.2), lambda _: next(errors))
    assert history.steps <= 12
    assert "stopped falling" in history.stopped


def test_the_best_check_and_the_patience_survive_a_stop(tmp_path):
    """The best network came before the stop, and the end is reckoned from there."""
    errors, settings = [3.0, 1.0, *range(5, 20)], Training(steps=12, checks=6, patience=0.4)

    def judge(rest):
        rest = iter(rest)
        return lambda _: float(next(rest))

    whole, history = run(settings, judge(errors))
    assert history.steps == 8 and "stopped falling" in history.stopped
    folder = CheckpointFolder(tmp_path / "run", every=1e-9)
    folder.open(resume=False)
    with pytest.raises(StopIteration):
        run(settings, judge(errors), source=itertools.islice(batches(), 4), folder=folder)
    source = itertools.islice(batches(), 4, None)
    network, found = run(settings, judge(errors[3:]), source=source, saved=folder.latest())
    assert (found.validation, found.stopped) == (history.validation, history.stopped)
    one, other = whole.state_dict(), network.state_dict()
    assert all(torch.equal(one[k], other[k]) for k in one)


def test_learning_rate_rises_then_falls():
    rates = [_shape(k / 99, k, 10) for k in range(100)]
    assert np.argmax(rates) in range(8, 12)
    assert rates[0] <= 0.1 and rates[-1] == pytest.approx(0.01)


def test_divergence_is_reported():
    with pytest.raises(ImputeError, match="not finite; look for outliers"):
        run(Training(steps=3), bad=True)


@pytest.mark.parametrize("limit", ["soon", "-5min", 0, "5 parsecs", float("inf")])
def test_bad_time_limits(limit):
    with pytest.raises(ImputeError, match="write for example max_time='5min'"):
        parse_time(limit)


@pytest.mark.parametrize(
    ("limit", "seconds"), [("5min", 300), ("90s", 90), ("1.5 hours", 5400), ("2d", 172800), (7, 7)]
)
def test_time_limits(limit, seconds):
    assert parse_time(limit) == seconds
