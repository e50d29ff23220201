"""Products with matrices by wavenumber."""

from __future__ import annotations

import pytest
import torch

from xdiffimpute.spectral_filter import SpectralFilter


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("fields", [1, 3])
@pytest.mark.parametrize("batch", [1, 4])
def test_products_are_those_of_complex_matrices(
    dtype: torch.dtype, fields: int, batch: int
) -> None:
    generator = torch.manual_seed(0)
    matrices = torch.randn(2, 5, 4, fields, fields, dtype=dtype, generator=generator)
    waves = torch.randn(batch, 2, fields, 5, 4, dtype=dtype, generator=generator)
    found = SpectralFilter.of(matrices)(waves)
    assert found.dtype == dtype
    torch.testing.assert_close(found, torch.einsum("ghwij,bgjhw->bgihw", matrices, waves))
