"""Products of fields' Fourier transforms with a matrix for each wavenumber.

In two real products for thousands of small matrices at once: libraries multiply complex ones one
by one, each in a parallel region of its own, which costs more than the product.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["SpectralFilter"]


class SpectralFilter(NamedTuple):
    """A matrix between M fields for each wavenumber, in G groups of fields.

    Parameters
    ----------
    real, imaginary : Tensor, shape (G, h, w, M, M)

    Examples
    --------
    >>> turn = SpectralFilter.of(torch.tensor([[0, 1j], [1, 0]]).view(1, 1, 1, 2, 2))
    >>> turn(torch.tensor([2.0, 3j]).view(1, 1, 2, 1, 1)).flatten().tolist()
    [(-3+0j), (2+0j)]
    """

    real: Tensor
    imaginary: Tensor

    @classmethod
    def of(cls, matrices: Tensor) -> SpectralFilter:
        """From complex matrices."""
        return cls(matrices.real.contiguous(), matrices.imag.contiguous())

    def __call__(self, waves: Tensor) -> Tensor:
        """The products.

        Parameters
        ----------
        waves : complex Tensor, shape (B, G, M, h, w)

        Returns
        -------
        complex Tensor, shape (B, G, M, h, w)
        """
        fields = self.real.shape[-1]
        if fields == 1:
            return torch.complex(*(part[..., 0, 0][:, None] for part in self)) * waves
        columns = waves.permute(1, 3, 4, 2, 0).contiguous()  # (G, h, w, M, B)
        parts = torch.view_as_real(columns).flatten(-2).flatten(0, 2)
        real, imaginary = (
            torch.bmm(part.flatten(0, 2), parts).view(*columns.shape, 2) for part in self
        )
        found = torch.complex(real[..., 0] - imaginary[..., 1], real[..., 1] + imaginary[..., 0])
        return found.permute(4, 0, 3, 1, 2)
