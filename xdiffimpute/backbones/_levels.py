"""The shape of a UNet on windows: frames as a batch, levels down and up, skips between them.

What a block, a join or an end looks like is the network's own affair.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Backbone

__all__ = ["Levels", "Spatial", "neighbours", "stages"]


class Spatial(nn.Module):
    """Base of layers that look at neighbouring cells, and may wrap around in longitude."""

    periodic = False

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """A 3 x 3 convolution: zeros around the field, or its other side in longitude."""
        if not self.periodic:
            return F.conv2d(x, weight, bias, padding=1)
        x = F.pad(x, (1, 1, 0, 0), mode="circular")
        return F.conv2d(x, weight, bias, padding=(1, 0))


def neighbours(x: Tensor, frames: int) -> Tensor:
    """Features of the previous and the next frame, edge frames repeated.

    (B * T, C, H, W) in, (B * T, 2 C, H, W) out.
    """
    each = x.unflatten(0, (-1, frames))
    previous = torch.cat([each[:, :1], each[:, :-1]], dim=1)
    following = torch.cat([each[:, 1:], each[:, -1:]], dim=1)
    return torch.cat([previous, following], dim=2).flatten(0, 1)


def _attend(z: Tensor, frames: int, space: nn.Module, time: nn.Module) -> Tensor:
    """Over the cells of each frame by ``space``, then over the frames of each cell by ``time``.

    Each maps tokens (N, L, C) to the same shape; ``z`` has the shape (B * T, C, H, W).
    """
    n, c, h, w = z.shape
    tokens: Tensor = space(z.flatten(2).transpose(1, 2))
    if frames > 1:
        tokens = tokens.unflatten(0, (-1, frames)).transpose(1, 2).flatten(0, 1)
        tokens = time(tokens)
        tokens = tokens.unflatten(0, (-1, h * w)).transpose(1, 2).flatten(0, 1)
    return tokens.transpose(1, 2).reshape(n, c, h, w)


def stages(
    before: int,
    widths: Sequence[int],
    counts: Sequence[int],
    block: Callable[[int, int], nn.Module],
    *,
    joined: bool = False,
) -> nn.ModuleList:
    """Blocks of each level in turn.

    Parameters
    ----------
    before : int
        Channels that the first block is given.
    widths, counts : sequence of int
        Channels and number of blocks of each level.
    block : callable
        From channels in and out to a block.
    joined : bool
        Whether each level is also given a skip of its own width.
    """
    levels = nn.ModuleList()
    for width, count in zip(widths, counts, strict=True):
        sizes = [before + width if joined else before] + [width] * count
        levels.append(nn.ModuleList(block(a, b) for a, b in pairwise(sizes)))
        before = width
    return levels


class Levels(Backbone):
    """A UNet: subclasses set these attributes, and say the rest.

    Attributes
    ----------
    down, up : ModuleList
        From :func:`stages`.
    space, time : Module
        Attention between tokens (N, L, C), at the coarsest level.
    """

    down: nn.ModuleList
    up: nn.ModuleList
    space: nn.Module
    time: nn.Module

    @abstractmethod
    def embedding(self, t: Tensor) -> Tensor:
        """Features (B, E) of the diffusion time (B,)."""

    @abstractmethod
    def enter(self, z: Tensor) -> Tensor:
        """From what is given, (N, in_channels, H, W), to features."""

    @abstractmethod
    def join(self, z: Tensor, skip: Tensor) -> Tensor:
        """Features from below and those of the same level on the way down, side by side."""

    @abstractmethod
    def leave(self, z: Tensor) -> Tensor:
        """From features to (N, out_channels, H, W)."""

    def forward(self, x: Tensor, t: Tensor, *, periodic: bool = False) -> Tensor:
        frames, (h, w) = x.shape[2], x.shape[-2:]
        for module in self.modules():
            if isinstance(module, Spatial):
                module.periodic = periodic
        embedding = self.embedding(t).repeat_interleave(frames, dim=0)
        z = self._padded(x.transpose(1, 2).flatten(0, 1), periodic=periodic)
        z = self.enter(z.contiguous(memory_format=torch.channels_last))
        skips: list[Tensor] = []
        for level, stage in enumerate(self.down):
            if level:
                skips.append(z)
                z = F.avg_pool2d(z, 2)
            z = _through(stage, z, embedding, frames)
        z = _attend(z, frames, self.space, self.time)
        for stage in self.up:
            z = self.join(F.interpolate(z, scale_factor=2, mode="nearest"), skips.pop())
            z = _through(stage, z, embedding, frames)
        out: Tensor = self.leave(z)[..., :h, :w].unflatten(0, (-1, frames)).transpose(1, 2)
        return out

    def _padded(self, z: Tensor, *, periodic: bool) -> Tensor:
        """Rows and columns so many that each level halves: by the edge, or around the globe."""
        stride = 2 ** len(self.up)
        h, w = z.shape[-2:]
        pad_h, pad_w = -h % stride, -w % stride
        z = F.pad(z, (0, 0, 0, pad_h), mode="replicate") if pad_h else z
        wrap = "circular" if periodic and w >= pad_w else "replicate"
        return F.pad(z, (0, pad_w, 0, 0), mode=wrap) if pad_w else z


def _through(stage: nn.Module, z: Tensor, embedding: Tensor, frames: int) -> Tensor:
    for block in stage.children():
        z = block(z, embedding, frames)
    return z
