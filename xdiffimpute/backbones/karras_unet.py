r"""A UNet whose layers keep the magnitude of what passes through them (Karras et al. 2024).

Weights are normalised at each use, nonlinearities and sums are scaled so that inputs of unit
variance leave with unit variance, and there are no biases: nothing drifts during training, so
no normalisation by group or batch is needed. The convolutions are in space; between them each
cell exchanges features with the frames before and after it, which makes the network
three-dimensional at a third of the cost. At the coarsest level attention runs over the cells of
a frame and over the frames of a cell.

.. math:: \mathrm{sum}_\tau(a, b) = \frac{(1 - \tau) a + \tau b}{\sqrt{(1-\tau)^2 + \tau^2}},
          \qquad \mathrm{silu}(x) / 0.596

References
----------
Karras et al. (2024), Analyzing and improving the training dynamics of diffusion models,
arXiv:2312.02696; the backbone of the paper's Table 5.
"""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..exceptions import UnknownNameError
from ._levels import Levels, Spatial, neighbours, stages

__all__ = ["KarrasUNet"]

WIDTHS = {
    "small": (24, 48, 72),
    "medium": (32, 64, 128, 128),
    "large": (64, 128, 256, 256),
}
BLOCKS = {"small": 1, "medium": 2, "large": 2}
WAVES = 64
TINY = 1e-4
RESIDUAL, ATTENTION, SKIP = 0.3, 0.3, 0.5  # shares of the new part in a sum


def _unit(x: Tensor, dim: int = 1) -> Tensor:
    """Divide by the root mean square along a dim."""
    return x * torch.rsqrt(x.square().mean(dim=dim, keepdim=True) + TINY)


def _silu(x: Tensor) -> Tensor:
    return F.silu(x) / 0.596


def _sum(a: Tensor, b: Tensor, share: float) -> Tensor:
    return torch.lerp(a, b, share) / math.hypot(1 - share, share)


class _Layer(Spatial):
    """A linear map (kernel 0) or a convolution (kernel 1 or 3) with weights of unit norm."""

    def __init__(self, inside: int, outside: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        size = () if kernel == 0 else (kernel, kernel)
        self.weight = nn.Parameter(torch.randn(outside, inside, *size))

    def forward(self, x: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        flat = self.weight.flatten(1).float()
        flat = flat / (flat.norm(dim=1, keepdim=True) + TINY)
        weight = (flat.view_as(self.weight) * gain).to(x.dtype)
        if self.kernel == 0:
            return F.linear(x, weight)
        if self.kernel == 1:
            return F.conv2d(x, weight)
        return self.convolve(x, weight)


class _Block(nn.Module):
    """Two convolutions, an exchange between frames, and a residual."""

    def __init__(self, inside: int, outside: int, *, encoder: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.skip = _Layer(inside, outside, 1) if inside != outside else None
        self.first = _Layer(outside if encoder else inside, outside, 3)
        self.second = _Layer(outside, outside, 3)
        self.time = _Layer(2 * outside, outside, 1)
        self.scale = _Layer(WAVES, outside, 0)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, embedding: Tensor, frames: int) -> Tensor:
        if self.encoder:
            x = _unit(x if self.skip is None else self.skip(x))
        h = self.first(_silu(x))
        h = _silu(h * (1.0 + self.scale(embedding, self.gain)[:, :, None, None]))
        change = self.second(h)
        if frames > 1:
            change = _sum(change, self.time(neighbours(h, frames)), SKIP)
        if not self.encoder and self.skip is not None:
            x = self.skip(x)
        return _sum(x, change, RESIDUAL)


class _Attention(nn.Module):
    """Attention between tokens (N, L, C) by the angles of queries and keys, as a residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // 32)
        self.qkv = _Layer(width, 3 * width, 0)
        self.out = _Layer(width, width, 0)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            _unit(part.unflatten(-1, (self.heads, -1)), dim=-1).transpose(1, 2)
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2)
        return _sum(x, self.out(h), ATTENTION)


class KarrasUNet(Levels):
    """Magnitude-preserving UNet on windows, in three sizes.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels per cell and frame, in and out; a constant one is added inside.
    size : {"small", "medium", "large"}
        Widths 24 to 72, 32 to 128, or 64 to 256.

    Examples
    --------
    >>> net = KarrasUNet(3, 2)
    >>> net(torch.zeros(1, 3, 5, 17, 33), torch.zeros(1)).shape
    torch.Size([1, 2, 5, 17, 33])
    """

    def __init__(self, in_channels: int, out_channels: int, size: str = "small") -> None:
        super().__init__(in_channels, out_channels, size)
        if size not in WIDTHS:
            raise UnknownNameError(
                f"no Karras UNet size is called {size!r}; there are {list(WIDTHS)}"
            )
        widths, count = WIDTHS[size], BLOCKS[size]
        self.register_buffer("frequency", 2 * math.pi * torch.randn(WAVES))
        self.register_buffer("phase", 2 * math.pi * torch.rand(WAVES))
        self.frequency: Tensor
        self.phase: Tensor
        self.embed = _Layer(WAVES, WAVES, 0)
        self.stem = _Layer(in_channels + 1, widths[0], 3)
        counts = [count] * len(widths)
        self.down = stages(widths[0], widths, counts, partial(_Block, encoder=True))
        self.space, self.time = _Attention(widths[-1]), _Attention(widths[-1])
        self.up = stages(
            widths[-1], widths[-2::-1], counts[1:], partial(_Block, encoder=False), joined=True
        )
        self.head = _Layer(widths[0], out_channels, 3)
        self.gain = nn.Parameter(torch.zeros(()))

    def embedding(self, t: Tensor) -> Tensor:
        waves = torch.cos(t[:, None] * self.frequency + self.phase) * math.sqrt(2)
        return _silu(self.embed(waves))

    def enter(self, z: Tensor) -> Tensor:
        out: Tensor = self.stem(torch.cat([z, torch.ones_like(z[:, :1])], dim=1))
        return out

    def join(self, z: Tensor, skip: Tensor) -> Tensor:
        """With the weight that each half should have."""
        n, m = z.shape[1], skip.shape[1]
        scale = math.sqrt((n + m) / (SKIP**2 + (1 - SKIP) ** 2))
        left, right = scale * (1 - SKIP) / math.sqrt(n), scale * SKIP / math.sqrt(m)
        return torch.cat([z * left, skip * right], dim=1)

    def leave(self, z: Tensor) -> Tensor:
        out: Tensor = self.head(_silu(z), self.gain)
        return out
