"""What every backbone is: a network on windows of fields, told the diffusion time.

And what those that work frame by frame share: padding, and features of the frames beside.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Backbone", "attend", "neighbours", "pad_to_multiple", "padded_conv"]


def pad_to_multiple(z: Tensor, stride: int, *, periodic: bool) -> Tensor:
    """Rows and columns up to a multiple of ``stride``: by the edge, or around the globe."""
    h, w = z.shape[-2:]
    pad_h, pad_w = -h % stride, -w % stride
    z = F.pad(z, (0, 0, 0, pad_h), mode="replicate") if pad_h else z
    wrap = "circular" if periodic and w >= pad_w else "replicate"
    return F.pad(z, (0, pad_w, 0, 0), mode=wrap) if pad_w else z


def padded_conv(x: Tensor, weight: Tensor, bias: Tensor | None, *, periodic: bool) -> Tensor:
    """A 3 x 3 convolution: zeros around the field, or its other side in longitude."""
    if not periodic:
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


def attend(z: Tensor, frames: int, space: nn.Module, time: nn.Module) -> Tensor:
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


class Backbone(nn.Module, ABC):
    """Maps (B, in_channels, T, H, W) and t of shape (B,) to (B, out_channels, T, H, W).

    Any T, H and W must be accepted; whatever padding that takes happens inside.

    Parameters
    ----------
    in_channels, out_channels : int
    size : str
        ``"small"``, ``"medium"`` or ``"large"``.

    Examples
    --------
    >>> from xdiffimpute.backbones import BACKBONES
    >>> network = BACKBONES.create("unet", in_channels=3, out_channels=1)
    >>> network(torch.zeros(2, 3, 5, 9, 11), torch.zeros(2)).shape
    torch.Size([2, 1, 5, 9, 11])
    """

    SIZES = ("small", "medium", "large")

    def __init__(self, in_channels: int, out_channels: int, size: str = "small") -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.size = size

    @abstractmethod
    def forward(self, x: Tensor, t: Tensor, *, periodic: bool = False) -> Tensor:
        """Apply the network; ``periodic`` says that the last axis wraps around the globe."""
