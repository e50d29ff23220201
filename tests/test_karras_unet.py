"""What is particular to the Karras UNet: magnitudes are kept."""

import torch

from xdiffimpute.backbones import BACKBONES


def test_magnitudes_are_kept_through_the_network_whatever_the_weights():
    """The features entering every convolution have unit size, also with weights scaled up."""
    torch.manual_seed(0)
    net = BACKBONES.create("karras_unet", in_channels=4, out_channels=2).eval()
    sizes = []
    for name, module in net.named_modules():
        if name.endswith((".first", ".second")):
            module.register_forward_pre_hook(
                lambda _, inputs: sizes.append(float(inputs[0].detach().square().mean().sqrt()))
            )
    x, t = torch.randn(2, 4, 3, 24, 24), torch.rand(2)
    net(x, t)
    # what averaging over 2 x 2 cells takes away is restored by the next block's normalisation
    assert len(sizes) > 8 and all(0.5 < size < 1.6 for size in sizes)
    before = list(sizes)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(10.0)
    sizes.clear()
    net(x, t)
    torch.testing.assert_close(torch.tensor(sizes), torch.tensor(before), rtol=1e-2, atol=1e-2)


def test_starts_from_zero():
    net = BACKBONES.create("karras_unet", in_channels=1, out_channels=1)
    assert (net(torch.randn(1, 1, 2, 8, 8), torch.rand(1)) == 0).all()
