"""What every backbone is: a network on windows of fields, told the diffusion time."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

__all__ = ["Backbone"]


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
    >>> import torch
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
