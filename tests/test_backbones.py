"""Every backbone, whatever its name: shapes, any size of field, periodicity, its conditioning."""

import pytest
import torch

from xdiffimpute.backbones import BACKBONES
from xdiffimpute.exceptions import UnknownNameError


@pytest.fixture(params=BACKBONES.names())
def make(request):
    def build(size="small"):
        torch.manual_seed(0)
        net = BACKBONES.create(request.param, in_channels=3, out_channels=2, size=size)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        return net.eval()

    return build


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 7), (5, 17, 33), (2, 16, 16), (10, 3, 30)])
def test_any_window_and_field(make, shape):
    out = make()(torch.randn(2, 3, *shape), torch.rand(2))
    assert out.shape == (2, 2, *shape)
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("size", ["small", "medium", "large"])
def test_three_sizes(make, size):
    assert make(size)(torch.randn(1, 3, 2, 8, 8), torch.rand(1)).shape == (1, 2, 2, 8, 8)


def test_samples_do_not_see_each_other(make):
    net, x, t = make(), torch.randn(3, 3, 4, 12, 12), torch.rand(3)
    alone = torch.cat([net(x[k : k + 1], t[k : k + 1]) for k in range(3)])
    torch.testing.assert_close(net(x, t), alone, rtol=1e-4, atol=1e-5)


def test_rolling_a_periodic_field_rolls_the_answer(make):
    net, x, t = make(), torch.randn(1, 3, 2, 8, 16), torch.rand(1)
    rolled = net(x.roll(8, dims=-1), t, periodic=True)
    torch.testing.assert_close(
        rolled, net(x, t, periodic=True).roll(8, dims=-1), rtol=1e-4, atol=1e-5
    )
    assert not torch.allclose(net(x.roll(8, dims=-1), t), net(x, t).roll(8, dims=-1), atol=1e-4)


def test_time_and_neighbouring_frames_matter(make):
    net, x = make(), torch.randn(1, 3, 3, 8, 8)
    assert not torch.allclose(net(x, torch.zeros(1)), net(x, torch.ones(1)))
    other = x.clone()
    other[:, :, 2] += 1.0
    t = torch.zeros(1)
    assert not torch.allclose(net(x, t)[:, :, 1], net(other, t)[:, :, 1])


def test_unknown_names_are_told_what_exists():
    with pytest.raises(UnknownNameError, match="Did you mean 'unet'"):
        BACKBONES.get("u-net")
    with pytest.raises(UnknownNameError, match="small"):
        BACKBONES.create("unet", in_channels=1, out_channels=1, size="huge")
