"""The fill in space and time keeps the data, uses other frames, and is tuned by channel."""

import numpy as np
import pytest
import torch

from xdiffimpute.space_time import Stiffness, fill_space_time, tune


def smooth(rng, shape, width=3.0):
    """A random field of unit spread, smooth over ``width`` cells."""
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(rng.normal(size=shape), (*[0] * (len(shape) - 2), width, width))
    return field / field.std()


def tensors(values, context):
    return (
        torch.as_tensor(np.where(context, values, 0.0), dtype=torch.float32)[None, None],
        torch.as_tensor(context, dtype=torch.float32)[None, None],
    )


def rmse(values, context, stiffness, order):
    out = fill_space_time(*tensors(values, context), stiffness, order=order, periodic=False)
    return float(np.sqrt(np.mean((out.numpy()[0, 0] - values)[~context] ** 2)))


def springs(**values):
    return Stiffness.free(1)._replace(**{k: torch.tensor([v]) for k, v in values.items()})


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def blocky(rng):
    """Each of four frames has another quarter hidden."""
    context = np.ones((4, 24, 24), dtype=bool)
    for t, (y, x) in enumerate(((0, 0), (0, 12), (12, 0), (12, 12))):
        context[t, y : y + 12, x : x + 12] = False
    return context


@pytest.mark.parametrize("order", [1, 2])
def test_context_is_kept_and_the_rest_ignored(rng, blocky, order):
    values = smooth(rng, blocky.shape)
    x, context = tensors(values, blocky)
    out = fill_space_time(x, context, Stiffness.default(1), order=order, periodic=False)
    np.testing.assert_allclose(out.numpy()[0, 0][blocky], values[blocky], atol=1e-5)
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("order", [1, 2])
def test_constants_are_kept_without_screening_and_decay_with_it(blocky, order):
    values = np.full(blocky.shape, 0.7)
    assert rmse(values, blocky, Stiffness.free(1), order) < 1e-5
    screened = rmse(values, blocky, springs(screening=0.1), order)
    assert 0.1 < screened < 0.7


@pytest.mark.parametrize("order", [1, 2])
def test_coupling_brings_a_lasting_field_from_other_frames(rng, blocky, order):
    values = np.repeat(smooth(rng, (1, 24, 24)), 4, axis=0)
    alone = rmse(values, blocky, Stiffness.free(1), order)
    assert rmse(values, blocky, springs(coupling=3.0), order) < 0.3 * alone


@pytest.mark.parametrize("order", [1, 2])
def test_guidance_brings_lasting_slopes_whatever_the_level_of_a_frame(rng, blocky, order):
    levels = np.array([-2.0, 1.0, 3.0, 0.0])[:, None, None]
    values = smooth(rng, (1, 24, 24)) + levels
    alone = rmse(values, blocky, Stiffness.free(1), order)
    assert rmse(values, blocky, springs(guidance=1.0), order) < 0.4 * alone


def test_wraps_around_when_periodic():
    lon = np.deg2rad(np.arange(36) * 10.0)
    values = np.tile(np.cos(lon), (1, 12, 1))
    context = np.ones(values.shape, dtype=bool)
    context[..., :3] = context[..., -3:] = False
    for order in (1, 2):
        jump = []
        for periodic in (False, True):
            out = fill_space_time(
                *tensors(values, context), Stiffness.free(1), order=order, periodic=periodic
            )
            jump.append(float((out[..., 0] - out[..., -1]).abs().max()))
        assert jump[1] < 0.5 * jump[0]


def test_channels_have_their_own_stiffness_and_do_not_touch_each_other(rng, blocky):
    both = Stiffness(*(torch.tensor([a, b]) for a, b in ((0.0, 1.0), (0.1, 0.0), (1.0, 0.0))))
    x, context = tensors(smooth(rng, blocky.shape), blocky)
    y, _ = tensors(smooth(rng, blocky.shape), blocky)
    fields, contexts = (
        torch.cat(pair, dim=1).repeat(2, 1, 1, 1, 1) for pair in ((x, y), (context, context))
    )
    together = fill_space_time(fields, contexts, both, order=1, periodic=False)
    for c, field in enumerate((x, y)):
        one = Stiffness(*(part[c : c + 1] for part in both))
        alone = fill_space_time(field, context, one, order=1, periodic=False)
        torch.testing.assert_close(together[1:, c : c + 1], alone, atol=1e-5, rtol=1e-4)


def test_tuning_finds_what_lasts(rng, blocky):
    lasting = np.repeat(smooth(rng, (1, 24, 24)), 4, axis=0)
    fleeting = smooth(rng, blocky.shape)
    fields = torch.as_tensor(np.stack([lasting, fleeting]), dtype=torch.float32)[None]
    context = torch.as_tensor(blocky, dtype=torch.float32).expand_as(fields)
    sample = (fields, context, 1.0 - context)
    for order in (1, 2):
        found = tune([sample], order=order, periodic=False)
        assert found.coupling[0] >= 0.1 > found.coupling[1]
        judged = [
            (fill_space_time(fields * context, context, s, order=order, periodic=False) - fields)
            .square().mul(1.0 - context).sum(dim=(0, 2, 3, 4))
            for s in (found, Stiffness.default(2))
        ]  # fmt: skip
        assert (judged[0] <= judged[1]).all()


def test_a_window_without_any_context_is_climatology(blocky):
    nothing = np.zeros_like(blocky)
    for order in (1, 2):
        out = fill_space_time(
            *tensors(nothing, nothing), Stiffness.default(1), order=order, periodic=False
        )
        assert (out == 0).all()
