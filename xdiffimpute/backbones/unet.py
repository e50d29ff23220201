"""A UNet with factorised space and time.

Space is convolved frame by frame; between the convolutions each cell exchanges
features with the frames before and after it. At the coarsest level attention runs over
all cells of a frame and then over all frames of a cell, so that a gap is filled from
anywhere in the window. Magnitudes are kept by normalising the features of each cell,
which, unlike group normalisation, does not depend on the size of the tile.

References
----------
Ronneberger et al. (2015), arXiv:1505.04597; Ho et al. (2022), Video diffusion models,
arXiv:2204.03458; Karras et al. (2024), arXiv:2312.02696 (pixel normalisation).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..exceptions import UnknownNameError
from ._levels import Levels, Spatial, neighbours, stages

__all__ = ["UNet"]

WIDTHS = {
    "small": (24, 48, 72),
    "medium": (32, 64, 128, 128),
    "large": (64, 128, 256, 384),
}
BLOCKS = {"small": (1, 2, 2), "medium": (1, 2, 2, 2), "large": (2, 2, 3, 3)}
EMBEDDING = 64


def _norm(x: Tensor) -> Tensor:
    """Divide the features of each cell by their root mean square. x: (N, C, H, W)."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-4)


class _Conv(nn.Conv2d, Spatial):
    """A 3 x 3 convolution that can wrap around in longitude."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__(inside, outside, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolve(x, self.weight, self.bias)


class _Block(nn.Module):
    """Two convolutions in space, an exchange with the neighbouring frames, a residual."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.first = _Conv(inside, outside)
        self.second = _Conv(outside, outside)
        self.time = nn.Conv2d(2 * outside, outside, 1)
        self.scale = nn.Linear(EMBEDDING, outside)
        self.skip = nn.Conv2d(inside, outside, 1) if inside != outside else nn.Identity()
        for layer in (self.second, self.time, self.scale):
            nn.init.zeros_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, embedding: Tensor, frames: int) -> Tensor:
        h = self.first(F.silu(_norm(x)))
        h = F.silu(_norm(h) * (1.0 + self.scale(embedding)[:, :, None, None]))
        change = self.second(h)
        if frames > 1:
            change = change + self.time(neighbours(h, frames))
        out: Tensor = self.skip(x) + change
        return out


class _Attention(nn.Module):
    """Self-attention over the second axis of (N, L, C), as a residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // 32)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = F.layer_norm(x, x.shape[-1:])
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.qkv(h).chunk(3, dim=-1)
        )
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2)
        result: Tensor = x + self.out(h)
        return result


class UNet(Levels):
    """UNet on windows, in three sizes.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels per cell and frame, in and out.
    size : {"small", "medium", "large"}
        Widths 24 to 72, 32 to 128, or 64 to 384.

    Examples
    --------
    >>> net = UNet(3, 2)
    >>> net(torch.zeros(1, 3, 5, 17, 33), torch.zeros(1)).shape
    torch.Size([1, 2, 5, 17, 33])
    """

    def __init__(self, in_channels: int, out_channels: int, size: str = "small") -> None:
        super().__init__(in_channels, out_channels, size)
        if size not in WIDTHS:
            raise UnknownNameError(f"no UNet size is called {size!r}; there are {list(WIDTHS)}")
        widths, blocks = WIDTHS[size], BLOCKS[size]
        self.embed = nn.Sequential(
            nn.Linear(EMBEDDING, EMBEDDING), nn.SiLU(), nn.Linear(EMBEDDING, EMBEDDING), nn.SiLU()
        )
        self.stem = _Conv(in_channels, widths[0])
        self.down = stages(widths[0], widths, blocks, _Block)
        self.space, self.time = _Attention(widths[-1]), _Attention(widths[-1])
        self.up = stages(widths[-1], widths[-2::-1], blocks[-2::-1], _Block, joined=True)
        self.head = _Conv(widths[0], out_channels)
        nn.init.zeros_(self.head.weight)

    def embedding(self, t: Tensor) -> Tensor:
        octaves = torch.arange(EMBEDDING // 2, device=t.device, dtype=t.dtype)
        phase = t[:, None] * torch.exp(octaves * (math.log(1000.0) / (EMBEDDING // 2)))
        out: Tensor = self.embed(torch.cat([phase.sin(), phase.cos()], dim=-1))
        return out

    def enter(self, z: Tensor) -> Tensor:
        out: Tensor = self.stem(z)
        return out

    def join(self, z: Tensor, skip: Tensor) -> Tensor:
        return torch.cat([z, skip], dim=1)

    def leave(self, z: Tensor) -> Tensor:
        out: Tensor = self.head(F.silu(_norm(z)))
        return out
