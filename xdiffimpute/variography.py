"""The covariance of gappy data: from pairs, then made likelier, and judged by the fills.

The covariance of pairs (:func:`xdiffimpute.covariance.pair_sums`) knows nothing of what a lag
says about another one. Steps of expectation and maximisation do: gaps are filled with draws from
the distribution given the data, and the covariance of what results is taken. How far lags are
damped, how much is noise and whether the steps help is decided by the errors at the query.

References
----------
Dempster, Laird and Rubin, Journal of the Royal Statistical Society B (1977),
doi:10.1111/j.2517-6161.1977.tb01600.x; Delyon, Lavielle and Moulines, Annals of Statistics (1999),
doi:10.1214/aos/1018031103, on steps with draws; Stroud, Stein and Lysen, Journal of Computational
and Graphical Statistics (2017), doi:10.1080/10618600.2016.1152970, on gappy grids.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial

import torch
from torch import Tensor

from .covariance import Covariance, from_torus, pair_sums, taper
from .kriging import GaussianField, krige
from .space_time import first_cells

__all__ = ["estimate_covariance"]

JUDGED_CELLS = 300_000
CELLS_A_SAMPLE = 4_000  # of samples so few that their windows overlap: a small dataset
WIDTHS = (0.25, 0.5, 1.0, 2.0)  # of tapers, over the reach
NOISES = (1e-3, 1e-2, 5e-2)
ROUNDS, LOOK_EVERY = 12, 4
PACE = 0.3
WIDER = 2.0  # taper of the likelier covariance

Sample = tuple[Tensor, Tensor, Tensor]


@torch.no_grad()
def estimate_covariance(
    samples: Sequence[Sample], reach: tuple[int, int], *, periodic: bool, seed: int = 0
) -> Covariance:
    """The covariance whose conditional means are closest to the query.

    Parameters
    ----------
    samples : sequence of (x, context, query), each of shape (B, C, T, H, W)
        Pairs are made of both context and query.
    reach : (int, int)
        Largest lags in rows and columns.
    periodic : bool
        Whether the last axis wraps around.
    seed : int
        Of the draws.

    Returns
    -------
    Covariance

    Examples
    --------
    >>> generator = torch.manual_seed(0)
    >>> x = torch.randn(64, 1, 1, 20, 20, generator=generator).cumsum(-1).cumsum(-2) / 20
    >>> x = x - x.mean(dim=(-2, -1), keepdim=True)
    >>> context = (torch.rand(x.shape, generator=generator) < 0.5).float()
    >>> found = estimate_covariance([(x, context, 1 - context)], (8, 8), periodic=False)
    >>> guess = krige(x, context, partial(GaussianField, found), periodic=False)
    >>> error = (guess - x)[context == 0].square().mean()
    >>> bool(error < 0.05 * x.square().mean())
    True
    """
    products: Tensor | float = 0.0
    pairs: Tensor | float = 0.0
    for x, context, query in samples:
        known = (context + (query > 0)).clamp(max=1.0)
        found = pair_sums(x, known, reach, periodic=periodic)
        products, pairs = products + found[0], pairs + found[1]
    lags = torch.as_tensor(products) / torch.as_tensor(pairs).clamp(min=1.0)
    enough = min(JUDGED_CELLS, CELLS_A_SAMPLE * len(samples))
    judged = first_cells(samples, enough)
    filled = [first_cells([sample], enough)[0] for sample in samples]

    def error(covariance: Covariance) -> float:
        return _error(covariance, judged, periodic)

    longest = max(reach)
    tapers = {w: taper(reach, w * longest, lags.device) for w in WIDTHS}
    middle = lags.new_tensor(NOISES[1])
    trials = {w: Covariance(lags * tapers[w], middle) for w in WIDTHS}
    width = min(WIDTHS, key=lambda w: error(trials[w]))
    best = trials[width]
    least = error(best)
    for noise in NOISES:
        trial = best._replace(noise=lags.new_tensor(noise))
        if noise != NOISES[1] and (wrong := error(trial)) < least:
            best, least = trial, wrong
    damping = taper(reach, WIDER * width * longest, lags.device)
    generator = torch.Generator().manual_seed(seed)
    trial = best
    for k in range(ROUNDS):
        trial = _likelier(trial, filled[k % len(filled)], damping, generator, periodic)
        if (k + 1) % LOOK_EVERY == 0:
            if (wrong := error(trial)) >= least:
                break
            best, least = trial, wrong
    return best


def _error(covariance: Covariance, samples: Sequence[Sample], periodic: bool) -> float:
    """Mean over the channels of the squared error at the query over the square of the values."""
    dims = (0, 2, 3, 4)
    channels = samples[0][0].shape[1]
    wrong, whole = torch.zeros(channels), torch.zeros(channels)
    field_of = cache(partial(GaussianField, covariance))
    for x, context, query in samples:
        guess = krige(x * context, context, field_of, periodic=periodic)
        wrong += ((guess - x).square() * query).sum(dim=dims).cpu()
        whole += (x.square() * query).sum(dim=dims).cpu()
    asked = whole > 0
    return float((wrong[asked] / whole[asked]).mean()) if asked.any() else 0.0


def _likelier(
    covariance: Covariance, sample: Sample, damping: Tensor, generator: torch.Generator,
    periodic: bool,
) -> Covariance:  # fmt: skip
    """A step towards the covariance of the sample with its gaps filled by draws.

    A draw given the data is a draw from the field, corrected by the kriged difference to the data.
    """
    x, context, query = sample
    known = (context + (query > 0)).clamp(max=1.0)
    h, w = x.shape[-2:]
    field = GaussianField(covariance, (h, w), x.shape[2], periodic)
    drawn = field.draw(len(x), generator).to(x)
    noise = torch.randn(x.shape, generator=generator).to(x) * field.noise.sqrt()
    filled = drawn + field.mean(x - drawn[..., :h, :w] - noise, known)
    found = from_torus(field.power(filled), field.spectrum.size, covariance.reach, x.shape[2])
    return covariance._replace(lags=covariance.lags.lerp(found * damping, PACE))
