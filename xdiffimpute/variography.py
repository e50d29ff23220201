"""The covariance of gappy data: from pairs, then made likelier, and judged by the fills.

The covariance of pairs (:func:`xdiffimpute.covariance.pair_sums`) is damped at far lags and shrunk
to a model that is fitted to it (:mod:`xdiffimpute.matern`), or tuned on errors of kriging
(:mod:`xdiffimpute.matern_tuning`). Neither knows what a lag says about
another one. Steps of expectation and maximisation do: gaps are filled with draws from the
distribution given the data, and the covariance of what results is taken. Which model it is, how far
lags are damped and shrunk, how much is noise and how many of the steps help is decided by the
errors at the query in frames of which no pairs are taken; then it is made again from all. Only the
scales and the noise of a tuned model are found in the frames that judge it, so that its errors
there are somewhat less than elsewhere.
They decide as well whether large windows are worth a factor of their matrix (:mod:`.kriging`);
where none of those that judge is large, they are. Cells that are hidden as for a score judge better
than queries, around which less is seen than around a gap.

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
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ._typing import AnyArray, BoolArray
from .covariance import Covariance, from_torus, taper
from .covariance_judge import CovarianceJudge, affordable
from .kriging import GaussianField
from .matern import Matern
from .matern_tuning import BRIEF, Targets, best_tuned
from .pair_covariance import EDGES, PairCovariance
from .samples import Sample, first_cells, known_cells

__all__ = ["Estimates", "estimate_covariance", "judged_frames", "judges"]

JUDGED_CELLS = 150_000
FINALISTS = 2  # widths
SHRUNK = (0.0, 0.3, 0.6)  # towards the fitted model, which is tried by itself too
WORK = 3e10  # cubes of the numbers of observations that are factored
CELLS_A_SAMPLE = 4_000  # of samples so few that their windows overlap: a small dataset
CELLS_A_TARGET = 150
WIDTHS = (0.5, 1.0, 2.0, 4.0)  # of tapers, over the reach
NOISES = (1e-3, 1e-8, 1e-6, 1e-5, 1e-4, 1e-2, 5e-2, 0.2)  # the first one while others are compared
ROUNDS, LOOK_EVERY = 12, 4
PACE = 0.3
STRETCH, THIRDS = 4, 3  # windows of a stretch of frames that judge; of how many it is one
WIDER = 2.0  # taper of the likelier covariance


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
    rehearsal: Sequence[Sample] = (),
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
    rehearsal : sequence of (x, context, query), each of shape (B, C, T, H, W), optional
        Judge in place of the queries of the samples: in such frames, with as much around the
        query as there is about a gap.
    seed : int
        Of the draws.

    Returns
    -------
    Estimates

    Examples
    --------
    >>> from xdiffimpute.kriging import krige
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
    learned, others = _apart(samples, judged, bool(rehearsal))
    cells = min(JUDGED_CELLS, CELLS_A_SAMPLE * len(samples))
    work = WORK * cells / JUDGED_CELLS
    judge = CovarianceJudge.of(rehearsal or others, cells, work, periodic)
    pairs = PairCovariance.of(learned, reach, periodic=periodic)
    found = _candidates(pairs, rehearsal or others, periodic, cells // CELLS_A_TARGET)
    trials = [candidate.of(pairs) for candidate in found]
    fit, _, edge = chosen = found[judge.best(trials)[0]]
    width, share = _best_mixed(pairs, judge, chosen)
    mixed = pairs.mixed(width, fit, share, edge)
    made = Covariance(mixed, mixed.new_tensor(chosen.noise_of(share)), proper=share == 1.0)
    judge = judge.settled(made)
    noisy = [
        made._replace(noise=mixed.new_tensor(noise)) for noise in sorted({chosen.noise, *NOISES})
    ]
    at, least = judge.best(noisy)
    best = noisy[at]
    likelier = partial(
        _likelier, damping=taper(reach, WIDER * width * max(1, *reach), pairs.lags.device),
        periodic=periodic, generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    apart, trial, rounds = best, best, 0
    for k, sample in enumerate(_in_turn(learned, cells, work)):
        trial = likelier(trial, sample)
        if (k + 1) % LOOK_EVERY == 0:
            now = judge(trial)
            if not now < least:
                break
            apart, least, rounds = trial, now, k + 1
    whole = apart
    if judged is not None:
        pairs = PairCovariance.of(samples, reach, periodic=periodic)
        whole = made._replace(lags=pairs.mixed(width, fit, share, edge), noise=apart.noise)
        for sample in _in_turn(samples, cells, work)[:rounds]:
            whole = likelier(whole, sample)
    return Estimates(apart, whole, judge.worth_a_factor(apart), judge.neighbours)


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


class _Candidate(NamedTuple):
    """A fitted model, with a noise, and a taper as wide as so many times the reach."""

    fit: Matern
    noise: float = NOISES[0]
    edge: float = EDGES[0]

    def noise_of(self, share: float) -> float:
        """Its own by itself; that of other comparisons where it is but a share."""
        return self.noise if share == 1.0 else NOISES[0]

    def of(self, pairs: PairCovariance) -> Covariance:
        """Its covariance, with the variances of the pairs."""
        lags = pairs.modelled(self.fit, self.edge)
        return Covariance(lags, lags.new_tensor(self.noise), proper=True)


def _candidates(
    pairs: PairCovariance, samples: Sequence[Sample], periodic: bool, count: int
) -> list[_Candidate]:
    """Fits of the pairs, with their errors of observation or without, and tuned.

    The tuned one also with frames that hardly know of each other: where much is observed in each,
    all neighbours of a cell are then of its own. Where too little is observed to tune on, the fits
    of all models.
    """
    fits = [pairs.fitted(model) for model in pairs.models]
    fields = [(x.cpu().numpy(), c.cpu().numpy(), q.cpu().numpy()) for x, c, q in samples]
    some = Targets.of(fields, fits[0], periodic=periodic, count=count)
    if some is None:
        return [_Candidate(trial) for fit in fits for trial in (fit.clean(), fit)]
    errors = [some.error(fit, NOISES[0]) for fit in fits]
    best = fits[int(np.argmin(errors))]
    targets = Targets.of(fields, best, periodic=periodic, count=count) or some
    tuned, noise = best_tuned([fit.clean() for fit in fits], targets)
    found = [_Candidate(best.clean()), _Candidate(best)]
    found += [_Candidate(tuned, noise, edge) for edge in EDGES]
    if fields[0][0].shape[2] > 1:
        found.append(_Candidate(tuned.scaled(time=BRIEF), noise))
    return found


def _best_mixed(
    pairs: PairCovariance, judge: CovarianceJudge, candidate: _Candidate
) -> tuple[float, float]:
    """How wide a taper is and the share of the fit."""
    usual = pairs.lags.new_tensor(NOISES[0])
    widths = sorted(
        WIDTHS,
        key=lambda w: judge(Covariance(pairs.mixed(w, candidate.fit, 0.0), usual), judge.few),
    )
    keys = [(width, share) for width in widths[:FINALISTS] for share in SHRUNK]
    keys.append((widths[0], 1.0))
    trials = [
        Covariance(
            pairs.mixed(width, candidate.fit, share, candidate.edge),
            usual.new_tensor(candidate.noise_of(share)),
            proper=share == 1.0,
        )
        for width, share in keys
    ]
    return keys[judge.best(trials)[0]]


def _apart(
    samples: Sequence[Sample], judged: Sequence[Tensor] | None, rehearsed: bool
) -> tuple[list[Sample], list[Sample]]:
    """What pairs are taken of, and what judges and tunes: no frame is known to both.

    Unless that leaves nothing to learn from, or nothing to judge by: then all samples do both.
    """
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
    apart = known and (others or rehearsed)
    return (learned, others) if apart else (list(samples), list(samples))


def _in_turn(samples: Sequence[Sample], cells: int, work: float) -> list[Sample]:
    """A part of a sample for each round, all of which is shown."""
    shown = [(x, known, known) for x, known in ((x, known_cells(c, q)) for x, c, q in samples)]
    parts = [affordable(first_cells([sample], cells), work)[0] for sample in shown]
    return [parts[k % len(parts)] for k in range(ROUNDS)]


def _likelier(
    covariance: Covariance, sample: Sample, *, damping: Tensor, generator: torch.Generator,
    periodic: bool,
) -> Covariance:  # fmt: skip
    """A step towards the covariance of the sample with its gaps filled by draws.

    A draw given the data is a draw from the field, corrected by the kriged difference to the data.
    """
    x, known, _ = sample
    h, w = x.shape[-2:]
    covariance = covariance._replace(proper=False)  # draws are made on the torus
    field = GaussianField(covariance, (h, w), x.shape[2], periodic)
    drawn = field.draw(len(x), generator).to(x)
    noise = torch.randn(x.shape, generator=generator).to(x) * field.noise.sqrt()
    filled = drawn + field.mean(x - drawn[..., :h, :w] - noise, known)
    found = from_torus(field.power(filled), field.spectrum.size, covariance.reach, x.shape[2])
    return covariance._replace(lags=covariance.lags.lerp(found * damping, PACE))
