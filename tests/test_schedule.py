"""Both schedules preserve the variance, start clean and end in noise."""

import pytest
import torch

from xdiffimpute.exceptions import UnknownNameError
from xdiffimpute.schedule import make_schedule


@pytest.mark.parametrize("name", ["vp", "cosine"])
def test_variance_is_preserved_and_noise_grows(name):
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    alpha, sigma = make_schedule(name)(t)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(t))
    assert alpha[0] == 1 and sigma[0] == 0
    assert (sigma.diff() > 0).all() and alpha[-1] < 0.01


def test_vp_satisfies_its_differential_equation():
    """d log(alpha) / dt = -beta(t) / 2 with beta linear from 0.1 to 20."""
    t = torch.linspace(0.01, 0.99, 50, dtype=torch.float64, requires_grad=True)
    alpha, _ = make_schedule("vp")(t)
    (rate,) = torch.autograd.grad(alpha.log().sum(), t)
    torch.testing.assert_close(rate, -0.5 * (0.1 + t * 19.9).detach())


def test_unknown_schedule_names_the_valid_ones():
    with pytest.raises(UnknownNameError, match="'vp' and 'cosine'"):
        make_schedule("linear")
