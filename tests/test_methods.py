"""Every method fits, fills and is saved; each one's split is what its paper says."""

import numpy as np
import pytest
import torch
import xarray as xr

import xdiffimpute as xdi
from xdiffimpute.denoiser import Denoiser
from xdiffimpute.estimator import DELTA
from xdiffimpute.exceptions import ImputeError, UnknownNameError
from xdiffimpute.masks import MASKS
from xdiffimpute.methods import METHODS
from xdiffimpute.partition import Partition
from xdiffimpute.samplers import SAMPLERS

pytestmark = pytest.mark.usefixtures("hasty")


def make(blocks=False):
    """Waves in 12 short runs, with a mask for each run that stays the same in all frames."""
    rng = np.random.default_rng(0)
    t, y, x = np.meshgrid(np.arange(4), np.arange(9), np.arange(12), indexing="ij")
    phase = rng.uniform(0, 6, (12, 1, 1, 1))
    values = np.sin(x / 3 + t / 4 + phase) + np.cos(y / 3 + phase)
    pattern = MASKS.create("block", kept=6) if blocks else MASKS.create("pixel", ratio=0.6)
    seen = pattern(np.ones((12, 1, 9, 12), bool).swapaxes(0, 1), rng).swapaxes(0, 1)
    return xr.Dataset(
        {"a": (("sample", "time", "y", "x"), np.where(seen, values, np.nan).astype("float32"))},
        coords={"time": np.arange(4), "y": np.arange(9.0), "x": np.arange(12.0)},
    )


def split(method, pattern, observed, seed=0):
    partition = METHODS.create(method).partition(Partition(MASKS.create(pattern)))
    return partition.split(observed, np.random.default_rng(seed))


@pytest.fixture
def few_steps(monkeypatch):
    """Of the ODE, also where a fit takes them to judge itself."""
    for name in METHODS:
        options = METHODS.get(name).samplers.get("multi_step")
        if options is not None:
            monkeypatch.setitem(options, "steps", 3)


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("name", METHODS.names())
def test_fits_fills_and_is_saved(name, tmp_path):
    ds = make()
    imputer = ds.impute.fit(
        method=name, partition="pixel", steps=2, batch=4, seed=0, progress=False
    )
    assert name in repr(imputer)
    samplers = METHODS.get(name).samplers
    assert set(METHODS.get(name).candidates) <= set(samplers)
    seen = ds["a"].notnull()
    for sampler in samplers:
        chosen = SAMPLERS.create("multi_step", steps=3) if sampler == "multi_step" else sampler
        filled = imputer.fill(ds, sampler=chosen)
        assert filled["a"].notnull().all()
        assert filled["a"].where(seen).equals(ds["a"].where(seen))
        assert f"{name}, {sampler}" in filled.attrs["history"]
    imputer.save(tmp_path / "m.imputer")
    again = xdi.load(tmp_path / "m.imputer")
    assert again.fitted.method == name
    simple = next(iter(METHODS.get(name).samplers))
    if simple != "multi_step":
        assert again.fill(ds, sampler=simple)["a"].equals(imputer.fill(ds, sampler=simple)["a"])


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("name", METHODS.names())
def test_on_tiles(name):
    """Training, the choice of a sampler and the fill of fields larger than a tile."""
    wide = (
        make()
        .pad(x=(0, 8), y=(0, 6), mode="reflect")
        .assign_coords(y=np.arange(15.0), x=np.arange(20.0))
    )
    imputer = wide.impute.fit(
        method=name, partition="pixel", steps=1, batch=2, tile=8, seed=0, progress=False
    )
    chosen = SAMPLERS.create("multi_step", steps=2)
    for sampler in (METHODS.get(name).candidates[0], chosen):
        sampler = chosen if sampler == "multi_step" else sampler
        assert imputer.fill(wide, sampler=sampler)["a"].notnull().all()


def test_an_unknown_method_is_named():
    with pytest.raises(UnknownNameError, match=r"no method is called 'misdiff'.*miss_diff"):
        make().impute.fit(method="misdiff", steps=1)


def test_the_papers_pixels():
    """Algorithm 5: two independent draws, here of 70% each."""
    observed = np.random.default_rng(1).random((1, 4, 64, 64)) < 0.5
    context, query = split("paper", "pixel", observed)
    assert context[observed].mean() == pytest.approx(0.7, abs=0.02)
    assert query[observed].mean() == pytest.approx(0.7, abs=0.02)
    assert (context & query)[observed].mean() == pytest.approx(0.49, abs=0.02)


@pytest.mark.parametrize("kept", [5, 8])
def test_the_papers_blocks(kept):
    """Algorithm 6: all observed blocks but one are context, 70% of them all are query."""
    rng = np.random.default_rng(0)
    observed = MASKS.create("block", kept=kept)(np.ones((1, 1, 30, 30), bool), rng)
    learns = 0
    for seed in range(40):
        context, query = split("paper", "block", observed, seed)
        assert context.sum() == (kept - 1) * 100
        assert query.sum() == round(0.7 * kept) * 100
        learns += (query & ~context).any()
    assert 20 < learns < 38


def test_miss_diff_queries_what_it_sees_and_ambient_diff_a_tenth_more():
    observed = np.random.default_rng(1).random((1, 4, 64, 64)) < 0.5
    for name in ("miss_diff", "miss_diff_noise"):
        context, query = split(name, "pixel", observed)
        assert np.array_equal(context, observed) and np.array_equal(query, observed)
    context, query = split("ambient_diff", "pixel", observed)
    assert context[observed].mean() == pytest.approx(0.9, abs=0.01)
    assert np.array_equal(query, observed)
    blocks = MASKS.create("block", kept=5)(np.ones((1, 1, 30, 30), bool), np.random.default_rng(0))
    context, query = split("ambient_diff", "block", blocks)
    assert context.sum() == 400 and query.sum() == 500


def test_everything_in_the_context_leaves_nothing_for_a_complement():
    with pytest.raises(ImputeError, match="ratio=1 .*query='observed'"):
        Partition(MASKS.create("pixel"), ratio=1.0)


def test_noise_matching_is_data_matching_weighed_by_the_signal():
    """The weighted loss is the square error of the noise, where the query is an input."""
    torch.manual_seed(0)
    x, features = torch.randn(3, 1, 2, 8, 8), torch.zeros(3, 0, 2, 8, 8)
    observed = (torch.rand(x.shape) < 0.6).float()
    denoiser = Denoiser(1, 0, guesses=False, target="noise")
    t = torch.tensor([0.2, 0.5, 0.9])
    _, loss = denoiser.loss(x, observed, observed, features, t, torch.Generator().manual_seed(1))
    noisy = denoiser.noisy(x, t, torch.Generator().manual_seed(1))
    alpha, sigma = (level.view(-1, 1, 1, 1, 1) for level in denoiser.schedule(t))
    mean = denoiser(noisy, t, observed, features).mean
    noise = (noisy - alpha * x) / sigma
    predicted = (noisy - alpha * mean) / sigma
    expected = ((predicted - noise).square() * observed).sum() / observed.sum()
    torch.testing.assert_close(loss, expected)


def test_noise_matching_says_nothing_about_gaps_near_zero():
    """Appendix H.3: at t = delta what the network says of a gap is shrunk to nothing."""
    torch.manual_seed(0)
    x, features = torch.randn(2, 1, 2, 8, 8), torch.zeros(2, 0, 2, 8, 8)
    observed = (torch.rand(x.shape) < 0.5).float()
    denoiser = Denoiser(1, 0, guesses=False, target="noise").eval()
    with torch.no_grad():
        denoiser.backbone.head.bias += 1.0
        mean = denoiser(x, torch.full((2,), DELTA), observed, features).mean
    assert mean[observed == 0].abs().max() < 0.05


def test_a_network_that_sees_the_query_is_given_its_noisy_values():
    torch.manual_seed(0)
    x, features = torch.randn(2, 1, 2, 8, 8), torch.zeros(2, 0, 2, 8, 8)
    context = (torch.rand(x.shape) < 0.5).float()
    denoiser = Denoiser(1, 0, guesses=False, target="noise", queried=True).eval()
    other = torch.where(context > 0, x, x + 1.0)
    t = torch.full((2,), 0.5)
    with torch.no_grad():
        first, second = (denoiser(v, t, context, features).mean for v in (x, other))
        hidden = torch.zeros_like(x)
        same = [denoiser(v, t, context, features, None, hidden).mean for v in (x, other)]
    assert not torch.equal(first, second)
    assert torch.equal(*same)


def test_unknown_target():
    with pytest.raises(ImputeError, match="target='velocity'.*'data', 'noise'"):
        Denoiser(1, 0, target="velocity")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (MASKS.create("block", grid=(3, 20)), r"grid=\(3, 20\)\) is finer than .* 9 x 12"),
        (MASKS.create("block", kept=7), "at most 6 blocks at a time.*kept=5 or less"),
        (MASKS.create("block", kept=6), "at most 6 blocks at a time.*kept=5 or less"),
    ],
)
def test_blocks_that_do_not_fit_the_data(pattern, message):
    with pytest.raises(ImputeError, match=message):
        make(blocks=True).impute.fit(partition=pattern, steps=1, progress=False)


def test_a_method_by_name_in_place_of_a_baseline():
    with pytest.raises(ImputeError, match=r"'miss_diff' is a method that learns.*fit\(method="):
        make().impute.fill("miss_diff")
