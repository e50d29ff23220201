r"""How values are related, by their distance in rows, columns and frames, found on gappy data.

For the anomalies :math:`x_c(t, s)` of channel c the covariance at a lag is the mean of products
over the pairs of which both values are known,

.. math:: R_{cd}(\tau, h) = \frac{\sum m_c(t, s)\, x_c(t, s)\, m_d(t + \tau, s + h)\,
    x_d(t + \tau, s + h)}{\sum m_c(t, s)\, m_d(t + \tau, s + h)} ,

summed by fast Fourier transforms. Far lags, which rest on few pairs, are damped by a taper.

References
----------
Marcotte, "Fast variogram computation with FFT", Computers & Geosciences (1996),
doi:10.1016/S0098-3004(96)00026-X. Gaspari and Cohn, Quarterly Journal of the Royal Meteorological
Society (1999), doi:10.1002/qj.49712555417, on tapers; the one here is of Wendland (1995),
doi:10.1007/BF02123482.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from scipy.fft import next_fast_len
from torch import Tensor

__all__ = ["Covariance", "Spectrum", "factor", "from_torus", "pair_sums", "spectrum", "taper"]

SINGULAR = 1e-10
MOST_TOGETHER = 27  # channels times frames that are solved for at once


class Covariance(NamedTuple):
    """Covariances by lag, and how much of the variance is noise.

    Parameters
    ----------
    lags : Tensor, shape (C, C, T, 2 Y + 1, 2 X + 1)
        At 0 to T - 1 frames, -Y to Y rows and -X to X columns from the first channel to the
        second.
    noise : Tensor, shape ()
        Variance of the errors of observation over that of the channel.
    proper : bool
        Whether the lags are those of a covariance on the plane, as of a model. Others are made one
        on a torus.

    Examples
    --------
    >>> lags = torch.tensor([0.5, 2.0, 0.5]).view(1, 1, 1, 1, 3)
    >>> found = Covariance(lags, torch.tensor(0.01))
    >>> found.reach, found.variance.tolist()
    ((0, 1), [2.0])
    """

    lags: Tensor
    noise: Tensor
    proper: bool = False

    @property
    def reach(self) -> tuple[int, int]:
        """Largest lags in rows and in columns, Y and X."""
        return self.lags.shape[-2] // 2, self.lags.shape[-1] // 2

    @property
    def variance(self) -> Tensor:
        """At lag zero, shape (C,)."""
        y, x = self.reach
        return self.lags[:, :, 0, y, x].diagonal()


class Spectrum(NamedTuple):
    """A covariance on a torus by wavenumber.

    Parameters
    ----------
    matrices : complex Tensor, shape (G, h, w // 2 + 1, M, M)
        Hermitian, between the channels and frames of each of G groups of channels.
    size : (int, int)
        Cells of the torus, h and w.
    """

    matrices: Tensor
    size: tuple[int, int]


def pair_sums(
    x: Tensor, known: Tensor, reach: tuple[int, int], *, periodic: bool
) -> tuple[Tensor, Tensor]:
    """Sums of products over pairs of known values, and the number of pairs.

    Parameters
    ----------
    x : Tensor, shape (B, C, T, H, W)
        Anomalies.
    known : Tensor, shape (B, C, T, H, W)
        1 where the value is known, 0 elsewhere.
    reach : (int, int)
    periodic : bool
        Whether the last axis wraps around.

    Returns
    -------
    products, pairs : float64 Tensor, shape (C, C, T, 2 Y + 1, 2 X + 1)

    Examples
    --------
    >>> x = torch.tensor([1.0, 2.0, 4.0]).view(1, 1, 1, 1, 3)
    >>> products, pairs = pair_sums(x, torch.ones_like(x), (0, 1), periodic=False)
    >>> products.flatten().round().tolist(), pairs.flatten().tolist()
    ([10.0, 21.0, 10.0], [2.0, 3.0, 2.0])
    """
    frames = x.shape[2]
    size = _torus((x.shape[-2], x.shape[-1]), reach, periodic)
    values, seen = (torch.fft.rfft2(part, s=size) for part in (x * known, known))
    rows, columns = _places(reach, size, x.device)
    sums = []
    for waves in (values, seen):
        lagged = [
            torch.einsum("bcthw,bdthw->cdhw", waves[:, :, : frames - k].conj(), waves[:, :, k:])
            for k in range(frames)
        ]
        whole = torch.fft.irfft2(torch.stack(lagged, dim=2), s=size)
        sums.append(whole[..., rows, columns].double())
    return sums[0], sums[1].round()


def taper(reach: tuple[int, int], width: float, device: torch.device | None = None) -> Tensor:
    """Weights of lags in rows and columns: one at zero, zero from ``width`` cells on.

    Parameters
    ----------
    reach : (int, int)
    width : float
    device : torch.device, optional

    Returns
    -------
    float64 Tensor, shape (2 Y + 1, 2 X + 1)
        A covariance itself, so that a covariance multiplied by it remains one.
    """
    rows, columns = (torch.arange(-r, r + 1, dtype=torch.float64, device=device) for r in reach)
    distance = torch.sqrt(rows[:, None] ** 2 + columns[None, :] ** 2)
    r = (distance / width).clamp(max=1.0)
    weights: Tensor = (1.0 - r) ** 4 * (4.0 * r + 1.0)
    return weights


def spectrum(
    covariance: Covariance, shape: tuple[int, int], frames: int, *, periodic: bool
) -> Spectrum:
    """The covariance on a torus that is large enough for fields not to meet themselves.

    Parameters
    ----------
    covariance : Covariance
    shape : (int, int)
        Cells of the fields, H and W.
    frames : int
        Of the fields, at most T.
    periodic : bool
        Whether the last axis wraps around; if so the torus is as wide as the fields.

    Returns
    -------
    Spectrum
        What is negative of the estimate is set to zero, and the rest scaled so that the variance
        stays the same; but not where the covariance is a proper one, with lags as long as the
        fields, since on these it has no negative part. All channels and frames are one group, or,
        if these are too many, the frames of each channel.
    """
    lags = covariance.lags.double()
    reach = covariance.reach
    proper = covariance.proper and not periodic
    proper = proper and all(r >= n - 1 for r, n in zip(reach, shape, strict=True))
    size = _torus(shape, reach, periodic)
    channels = len(lags)
    together = channels * frames <= MOST_TOGETHER
    groups = [slice(0, channels)] if together else [slice(c, c + 1) for c in range(channels)]
    rows, columns = _places(reach, size, lags.device)
    found = []
    for group in groups:
        own = lags[group, group]
        count = len(own)
        torus = own.new_zeros(count, frames, count, frames, *size)
        for s in range(frames):
            for t in range(frames):
                at = own[:, :, t - s] if t >= s else _reversed(own[:, :, s - t])
                torus[:, s, :, t].index_put_(
                    (*_all(count, lags.device), rows[None, None], columns[None, None]), at,
                    accumulate=True,
                )  # fmt: skip
        waves = torch.fft.rfft2(torus).permute(4, 5, 0, 1, 2, 3)
        waves = waves.reshape(*waves.shape[:2], count * frames, count * frames).conj()
        waves = (waves + waves.mH) / 2
        if not proper and factor(waves) is None:
            values, vectors = torch.linalg.eigh(waves)
            clipped = (vectors * values.clamp(min=0.0)[..., None, :]) @ vectors.mH
            waves = _with_variance_of(waves, clipped, size[1])
        found.append(waves)
    return Spectrum(torch.stack(found), size)


def factor(matrices: Tensor) -> Tensor | None:
    """Lower triangular factors of Hermitian matrices (..., M, M), None if one has a negative part.

    Where they exist they take a fraction of the time of eigenvalues. A part in ten billion of the
    mean variance is added, so that singular matrices have one.
    """
    mean = matrices.diagonal(dim1=-2, dim2=-1).real.mean()
    unit = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    found, failed = torch.linalg.cholesky_ex(matrices + SINGULAR * mean * unit)
    return None if failed.any() else found


def from_torus(power: Tensor, size: tuple[int, int], reach: tuple[int, int], frames: int) -> Tensor:
    """Covariances by lag of the spectra of fields on a torus.

    Parameters
    ----------
    power : complex Tensor, shape (G, h, w // 2 + 1, M, M)
        As the matrices of a :class:`Spectrum`.
    size : (int, int)
    reach : (int, int)
    frames : int

    Returns
    -------
    float64 Tensor, shape (C, C, T, 2 Y + 1, 2 X + 1)
        Between channels of different groups zero.
    """
    groups = len(power)
    count = power.shape[-1] // frames
    rows, columns = _places(reach, size, power.device)
    torus = torch.fft.irfft2(power.conj().permute(0, 3, 4, 1, 2).to(torch.complex128), s=size)
    near = torus[..., rows, columns].unflatten(1, (count, frames)).unflatten(3, (count, frames))
    lags: Tensor = near.new_zeros(groups * count, groups * count, frames, *near.shape[-2:])
    for k in range(frames):
        mean = torch.stack([near[:, :, s, :, s + k] for s in range(frames - k)]).mean(dim=0)
        for g in range(groups):
            own = slice(g * count, (g + 1) * count)
            lags[own, own, k] = mean[g]
    return lags


def _with_variance_of(waves: Tensor, clipped: Tensor, width: int) -> Tensor:
    """Spectra (h, w // 2 + 1, M, M) scaled to the variances of others."""
    count = torch.full((waves.shape[1],), 2.0, dtype=torch.float64, device=waves.device)
    count[0] = 1.0  # of the other waves a transform of real fields holds half
    if width % 2 == 0:
        count[-1] = 1.0
    before, after = (
        (part.diagonal(dim1=-2, dim2=-1).real * count[:, None]).sum(dim=(0, 1))
        for part in (waves, clipped)
    )
    scale = (before.clamp(min=0.0) / after.clamp(min=1e-30)).sqrt()
    return clipped * (scale[:, None] * scale)


def _reversed(lags: Tensor) -> Tensor:
    """From the second channel to the first: R_dc(-h)."""
    return lags.transpose(0, 1).flip(-2, -1)


def _torus(shape: tuple[int, int], reach: tuple[int, int], periodic: bool) -> tuple[int, int]:
    """Cells of the torus for fields of a shape."""
    h, w = (next_fast_len(max(n + r, 2 * r + 1)) for n, r in zip(shape, reach, strict=True))
    return h, shape[1] if periodic else w


def _places(
    reach: tuple[int, int], size: tuple[int, int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Rows (2 Y + 1, 1) and columns (1, 2 X + 1) of the lags on the torus."""
    rows, columns = (
        torch.arange(-r, r + 1, device=device) % n for r, n in zip(reach, size, strict=True)
    )
    return rows[:, None], columns[None, :]


def _all(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Indices of two leading axes, to go with those of rows and columns."""
    every = torch.arange(count, device=device)
    return every.view(-1, 1, 1, 1), every.view(1, -1, 1, 1)
