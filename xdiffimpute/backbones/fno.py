"""A Fourier neural operator on windows: products in the space of wavenumbers.

Each block multiplies the lowest wavenumbers in time and space by learned matrices, which
reaches from anywhere to anywhere at once, and adds a pointwise map. The diffusion time enters
as further channels, as in Appendix H.4 of the paper.

References
----------
Li et al. (2020), Fourier neural operator for parametric partial differential equations,
arXiv:2010.08895.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..exceptions import UnknownNameError
from .base import Backbone

__all__ = ["FNO"]

WIDTHS = {"small": 20, "medium": 32, "large": 64}
MODES = {"small": (3, 8, 8), "medium": (6, 12, 12), "large": (10, 16, 16)}
BLOCKS = 4
CLOCK = 8
PADDING = 0.125


def _lowest(cells: int, modes: int) -> tuple[Tensor, Tensor]:
    """Places of the lowest wavenumbers of both signs, and of their weights."""
    above, below = min(modes, (cells + 1) // 2), min(modes, cells // 2)
    places = torch.cat([torch.arange(above), cells - torch.arange(1, below + 1)])
    weights = torch.cat([torch.arange(above), modes + torch.arange(below)])
    return places, weights


class _Spectral(nn.Module):
    """Learned matrices on the lowest wavenumbers of (N, C, T, H, W)."""

    def __init__(self, width: int, modes: tuple[int, int, int]) -> None:
        super().__init__()
        self.modes = modes
        shape = (width, width, 2 * modes[0], 2 * modes[1], modes[2])
        self.weight = nn.Parameter(torch.randn(*shape, 2) / width)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            cells = (x.shape[-3], x.shape[-2], x.shape[-1])
            spectrum = torch.fft.rfftn(x, dim=(-3, -2, -1), norm="ortho")
            (t, wt), (h, wh) = (_lowest(n, m) for n, m in zip(cells[:2], self.modes, strict=False))
            columns = min(self.modes[2], spectrum.shape[-1])
            t, h = t[:, None].to(x.device), h[None, :].to(x.device)
            weight = torch.view_as_complex(self.weight)[:, :, wt[:, None], wh[None, :], :columns]
            low = torch.einsum("nithw,iothw->nothw", spectrum[:, :, t, h, :columns], weight)
            out = torch.zeros_like(spectrum)
            out[:, :, t, h, :columns] = low
            back: Tensor = torch.fft.irfftn(out, s=cells, dim=(-3, -2, -1), norm="ortho")
            return back


class FNO(Backbone):
    """Fourier neural operator, in three sizes.

    Axes that do not wrap are padded by an eighth inside.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels per cell and frame, in and out.
    size : {"small", "medium", "large"}
        Widths 20, 32, 64, with wavenumbers up to 8, 12, 16 in space and 3, 6, 10 in time.

    Examples
    --------
    >>> net = FNO(3, 2)
    >>> net(torch.zeros(1, 3, 5, 17, 33), torch.zeros(1)).shape
    torch.Size([1, 2, 5, 17, 33])
    """

    def __init__(self, in_channels: int, out_channels: int, size: str = "small") -> None:
        super().__init__(in_channels, out_channels, size)
        if size not in WIDTHS:
            raise UnknownNameError(f"no FNO size is called {size!r}; there are {list(WIDTHS)}")
        width = WIDTHS[size]
        self.lift = nn.Conv3d(in_channels + CLOCK, width, 1)
        self.spectral = nn.ModuleList(_Spectral(width, MODES[size]) for _ in range(BLOCKS))
        self.pointwise = nn.ModuleList(nn.Conv3d(width, width, 1) for _ in range(BLOCKS))
        self.mix = nn.Conv3d(width, 2 * width, 1)
        self.head = nn.Conv3d(2 * width, out_channels, 1)
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor, t: Tensor, *, periodic: bool = False) -> Tensor:
        octaves = 2.0 ** torch.arange(CLOCK // 2, device=t.device, dtype=t.dtype)
        phase = 0.5 * math.pi * t[:, None] * octaves
        clock = torch.cat([phase.sin(), phase.cos()], dim=-1)[:, :, None, None, None]
        z = torch.cat([x, clock.expand(-1, -1, *x.shape[2:]).to(x.dtype)], dim=1)
        frames, h, w = x.shape[2:]
        after = [0 if n == 1 else max(1, round(PADDING * n)) for n in (frames, h, w)]
        if periodic:
            after[2] = 0
        z = F.pad(z, (0, after[2], 0, after[1], 0, after[0]), mode="replicate")
        z = self.lift(z)
        for spectral, pointwise in zip(self.spectral, self.pointwise, strict=True):
            z = z + F.gelu(spectral(z) + pointwise(z))
        z = z[..., :frames, :h, :w]
        out: Tensor = self.head(F.gelu(self.mix(z)))
        return out
