"""The covariance of gappy data: from pairs, then made likelier, and judged by the fills.

The covariance of pairs (:func:`xdiffimpute.covariance.pair_sums`) is damped at far lags and shrunk
to a model that is fitted to it (:mod:`xdiffimpute.matern`). Neither knows what a lag says about
another one. Steps of expectation and maximisation do: gaps are filled with draws from the
distribution given the data, and the covariance of what results is taken. Which model it is, how far
lags are damped and shrunk, how much is noise and how many of the steps help is decided by the
errors at the query in frames that the covariance is not made from; then it is made again from all.
They decide as well whether large windows are worth a factor of their matrix (:mod:`.kriging`);
where none of those that judge is large, they are.

References
----------
Dempster, Laird and Rubin, Journal of the Royal Statistical Society B (1977),
doi:10.1111/j.2517-6161.1977.tb01600.x; Delyon, Lavielle and Moulines, Annals of Statistics (1999),
doi:10.1214/aos/1018031103, on steps with draws; Stroud, Stein and Lysen, Journal of Computational
and Graphical Statistics (2017), doi:10.1080/10618600.2016.1152970, on gappy grids; Ledoit
and Wolf, Journal of Multivariate Analysis (2004),
doi:10.1016/S0047-259X(03)00096-4, on shrinking.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ._typing import AnyArray, BoolArray
from .covariance import Covariance, from_torus, pair_sums, taper
from .kriging import MOST_FACTORED, QUICKLY_FACTORED, GaussianField, krige
from .matern import MODELS, Model, matern_covariance
from .space_time import first_cells

__all__ = ["Estimates", "estimate_covariance", "judged_frames", "judges"]

JUDGED_CELLS = 150_000
FINAL, FINALISTS = 2, 2  # so many times the cells for so many of each kind
SHRUNK = (0.0, 0.3, 0.6)  # towards the fitted model, which is tried by itself too
WORTH = 1.01  # factors are made where the error without them is more than so many times theirs
WORK = 3e10  # cubes of the numbers of observations that are factored
CELLS_A_SAMPLE = 4_000  # of samples so few that their windows overlap: a small dataset
WIDTHS = (0.5, 1.0, 2.0, 4.0)  # of tapers, over the reach
NOISES = (1e-3, 1e-5, 1e-4, 1e-2, 5e-2, 0.2)  # the first one while models are compared
FEW_NOISES = (1e-3, 5e-2)  # while ways of kriging are compared
NEIGHBOURS = (0, 128)  # from which windows of many observations are kriged; 0 is from all
ROUNDS, LOOK_EVERY = 12, 4
PACE = 0.3
STRETCH, THIRDS = 4, 3  # windows of a stretch of frames that judge; of how many it is one
EDGE = 8.0  # of the taper of fitted models
WIDER = 2.0  # taper of the likelier covariance

Sample = tuple[Tensor, Tensor, Tensor]


class Estimates(NamedTuple):
    """A covariance made from the frames that do not judge it, and the same from all frames.

    Up to as many observations of a window as the third says, a factor of their matrix is worth its
    time. Windows with very many are best kriged from as many neighbours as the fourth says, or, if
    it is zero, from all.

    Examples
    --------
    >>> one = Covariance(torch.ones(1, 1, 1, 1, 1), torch.tensor(0.1))
    >>> Estimates(one, one, 500, 0).whole.reach
    (0, 0)
    """

    apart: Covariance
    whole: Covariance
    factored: int
    neighbours: int


@torch.no_grad()
def estimate_covariance(
    samples: Sequence[Sample],
    reach: tuple[int, int],
    *,
    periodic: bool,
    judged: Sequence[Tensor] | None = None,
    seed: int = 0,
) -> Estimates:
    """The covariance whose conditional means are closest to the query.

    Parameters
    ----------
    samples : sequence of (x, context, query), each of shape (B, C, T, H, W)
        Pairs are made of both context and query.
    reach : (int, int)
        Largest lags in rows and columns.
    periodic : bool
        Whether the last axis wraps around.
    judged : sequence of bool Tensor, shape (B, T), optional
        Frames of the samples by which it is judged, as of :func:`judged_frames`; default: all,
        which are also what it is made from.
    seed : int
        Of the draws.

    Returns
    -------
    Estimates

    Examples
    --------
    >>> generator = torch.manual_seed(0)
    >>> x = torch.randn(64, 1, 1, 20, 20, generator=generator).cumsum(-1).cumsum(-2) / 20
    >>> x = x - x.mean(dim=(-2, -1), keepdim=True)
    >>> context = (torch.rand(x.shape, generator=generator) < 0.5).float()
    >>> found = estimate_covariance([(x, context, 1 - context)], (8, 8), periodic=False).whole
    >>> guess = krige(x, context, partial(GaussianField, found), periodic=False)
    >>> error = (guess - x)[context == 0].square().mean()
    >>> bool(error < 0.05 * x.square().mean())
    True
    """
    learned, others = _apart(samples, judged)
    enough = min(JUDGED_CELLS, CELLS_A_SAMPLE * len(samples))
    work = WORK * enough / JUDGED_CELLS
    few, more = (_affordable(first_cells(others, k * enough), k * work) for k in (1, FINAL))

    neighbours = 0

    def error(
        covariance: Covariance, by: Sequence[Sample] = more, factored: int = MOST_FACTORED,
        near: int | None = None,
    ) -> float:  # fmt: skip
        return _error(covariance, by, periodic, factored, neighbours if near is None else near)

    pairs = _Pairs.of(learned, reach, periodic=periodic)
    first = pairs.lags.new_tensor(NOISES[0])
    fits = {model: pairs.fitted(model) for model in pairs.models}
    model = min(fits, key=lambda m: error(Covariance(fits[m], first), few))
    noisy = pairs.fitted(model, noisy=True)
    with_errors = error(Covariance(noisy, first), few) < error(Covariance(fits[model], first), few)
    fit = noisy if with_errors else fits[model]
    huge = bool(_between(more, MOST_FACTORED))
    if huge:
        sure = [Covariance(fit, first.new_tensor(n)) for n in FEW_NOISES]
        neighbours = min(NEIGHBOURS, key=lambda n: min(error(c, near=n) for c in sure))
    damped = {width: pairs.damped(width) for width in WIDTHS}
    widths = sorted(WIDTHS, key=lambda w: error(Covariance(damped[w], first), few))[:FINALISTS]
    trials = {(w, s): damped[w].lerp(fit, s) for w in widths for s in SHRUNK}
    trials[widths[0], 1.0] = fit
    errors = {key: error(Covariance(lags, first)) for key, lags in trials.items()}
    width, share = min(errors, key=lambda key: errors[key])
    noises = [Covariance(trials[width, share], first.new_tensor(n)) for n in NOISES[1:]]
    wrong = {errors[width, share]: Covariance(trials[width, share], first)}
    wrong |= {error(trial): trial for trial in noises}
    least = min(wrong)
    apart = trial = wrong[least]
    likelier = partial(
        _likelier, damping=taper(reach, WIDER * width * max(reach), first.device),
        periodic=periodic,
    )  # fmt: skip
    rounds = 0
    generator = torch.Generator().manual_seed(seed)
    for k, sample in enumerate(_in_turn(learned, enough, work)):
        trial = likelier(trial, sample, generator=generator)
        if (k + 1) % LOOK_EVERY == 0:
            if (now := error(trial)) >= least:
                break
            apart, least, rounds = trial, now, k + 1
    if huge:
        neighbours = min(NEIGHBOURS, key=lambda n: error(apart, near=n))
    large = _between(more, QUICKLY_FACTORED, MOST_FACTORED)
    worth = not large or error(apart, large, QUICKLY_FACTORED) > WORTH * error(apart, large)
    factored = MOST_FACTORED if worth else QUICKLY_FACTORED
    if judged is None:
        return Estimates(apart, apart, factored, neighbours)
    pairs = _Pairs.of(samples, reach, periodic=periodic)
    lags = pairs.damped(width).lerp(pairs.fitted(model, noisy=with_errors), share)
    whole = Covariance(lags, apart.noise)
    for sample in _in_turn(samples, enough, work)[:rounds]:
        whole = likelier(whole, sample, generator=generator)
    return Estimates(apart, whole, factored, neighbours)


def judged_frames(places: Sequence[Tensor], window: int, frames: int) -> list[Tensor]:
    """Every third stretch of frames, a few windows long, in every third of many series.

    Parameters
    ----------
    places : sequence of int Tensor, shape (B, 2)
        Series and first frame of each sample.
    window : int
        Frames of a sample, T.
    frames : int
        Of the record.

    Returns
    -------
    list of bool Tensor, shape (B, T)

    Examples
    --------
    >>> judged_frames([torch.tensor([[0, 0], [1, 2]])], window=4, frames=9)[0].tolist()
    [[False, False, False, False], [False, True, True, True]]
    """
    steps = np.arange(window)
    return [
        torch.from_numpy(judges(series[:, None], first[:, None] + steps, window, frames))
        for series, first in (place.T.cpu().numpy() for place in places)
    ]


def judges(series: AnyArray, time: AnyArray, window: int, frames: int) -> BoolArray:
    """Whether frames are among those of :func:`judged_frames`.

    Parameters
    ----------
    series, time : int arrays
    window, frames : int

    Returns
    -------
    bool array

    Examples
    --------
    >>> judges(np.array([0, 0, 1]), np.array([5, 6, 3]), window=4, frames=9)
    array([False,  True,  True])
    """
    length = max(1, min(STRETCH * window, frames // THIRDS))
    return np.asarray((series + time // length) % THIRDS == THIRDS - 1)


class _Pairs(NamedTuple):
    """Covariances of pairs of known values, and how many pairs each rests on."""

    lags: Tensor
    pairs: Tensor

    @classmethod
    def of(cls, samples: Sequence[Sample], reach: tuple[int, int], *, periodic: bool) -> _Pairs:
        products: Tensor | float = 0.0
        pairs: Tensor | float = 0.0
        for x, context, query in samples:
            known = (context + (query > 0)).clamp(max=1.0)
            found = pair_sums(x, known, reach, periodic=periodic)
            products, pairs = products + found[0], pairs + found[1]
        count = torch.as_tensor(pairs)
        return cls(torch.as_tensor(products) / count.clamp(min=1.0), count)

    @property
    def models(self) -> list[Model]:
        """Those that differ: of a single frame there is no smoothness in time."""
        return [model for model in MODELS if model.smooth or self.lags.shape[2] > 1]

    def damped(self, width: float) -> Tensor:
        """With a taper, whose width is over the reach."""
        return self.lags * self._taper(width)

    def fitted(self, model: Model, *, noisy: bool = False) -> Tensor:
        """The model instead, with the errors of observation that it has found or without any."""
        fit, share = matern_covariance(self.lags.cpu().numpy(), self.pairs.cpu().numpy(), model)
        lags = torch.from_numpy(fit).to(self.lags) * self._taper(EDGE)
        if noisy:
            y, x = lags.shape[-2] // 2, lags.shape[-1] // 2
            whole = lags[:, :, 0, y, x].clone()
            lags = share * lags
            lags[:, :, 0, y, x] = whole
        return lags

    def _taper(self, width: float) -> Tensor:
        reach = self.lags.shape[-2] // 2, self.lags.shape[-1] // 2
        return taper(reach, width * max(reach), self.lags.device)


def _apart(
    samples: Sequence[Sample], judged: Sequence[Tensor] | None
) -> tuple[list[Sample], list[Sample]]:
    """What a covariance is made from, and what judges it: no frame is known to both."""
    if judged is None:
        return list(samples), list(samples)
    learned, others = [], []
    for (x, context, query), frames in zip(samples, judged, strict=True):
        own = frames[:, None, :, None, None].to(x)
        learned.append((x * (1 - own), context * (1 - own), query * (1 - own)))
        asked = query * own
        some = asked.flatten(1).any(dim=1)
        if some.any():
            others.append((x[some], context[some], asked[some]))
    known = sum(float((context + query).sum()) for _, context, query in learned)
    return (learned, others) if known and others else (list(samples), list(samples))


def _in_turn(samples: Sequence[Sample], cells: int, work: float) -> list[Sample]:
    """A part of a sample for each round."""
    parts = [_affordable(first_cells([sample], cells), work)[0] for sample in samples]
    return [parts[k % len(parts)] for k in range(ROUNDS)]


def _affordable(samples: Sequence[Sample], work: float) -> list[Sample]:
    """As many of the windows as can be kriged with so much work on factors, one at least."""
    kept: list[Sample] = []
    for x, context, query in samples:
        count = context.flatten(1).sum(dim=1)
        cost = torch.where(count <= MOST_FACTORED, count**3, 0.0 * count).double().cumsum(0)
        fits = max(int((cost <= work).sum()), 0 if kept else 1)
        if not fits:
            break
        kept.append((x[:fits], context[:fits], query[:fits]))
        work -= float(cost[fits - 1])
        if fits < len(x):
            break
    return kept


def _between(samples: Sequence[Sample], few: int, most: float = torch.inf) -> list[Sample]:
    """The windows with more observations than few, up to most: there may be none."""
    found = []
    for sample in samples:
        count = sample[1].flatten(1).sum(dim=1)
        some = (count > few) & (count <= most)
        if some.any():
            x, context, query = (field[some] for field in sample)
            found.append((x, context, query))
    return found


def _error(
    covariance: Covariance, samples: Sequence[Sample], periodic: bool, factored: int,
    neighbours: int,
) -> float:  # fmt: skip
    """Mean over the channels of the squared error at the query over the square of the values."""
    dims = (0, 2, 3, 4)
    channels = samples[0][0].shape[1]
    wrong, whole = torch.zeros(channels), torch.zeros(channels)
    field_of = cache(partial(GaussianField, covariance, factored=factored))
    for x, context, query in samples:
        guess = krige(
            x * context, context, field_of, periodic=periodic, neighbours=neighbours,
            asked=query > 0,
        )  # fmt: skip
        wrong += ((guess - x).square() * query).sum(dim=dims).cpu()
        whole += (x.square() * query).sum(dim=dims).cpu()
    asked = whole > 0
    return float((wrong[asked] / whole[asked]).mean()) if asked.any() else 0.0


def _likelier(
    covariance: Covariance, sample: Sample, *, damping: Tensor, generator: torch.Generator,
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
