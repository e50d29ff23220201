r"""A Matern covariance whose scales and noise are tuned by the errors of kriging.

A variogram is made of all pairs, and fitted to far ones as well, while a gap is filled from its
surroundings: of smooth fields the best fit of the one can be several times worse than the best
covariance for the other. So values that are known are kriged from the K observations about them
that are most correlated, as optimal interpolation does, and lengths, time scale and noise are
changed by factors, one after the other, as long as the errors fall.

References
----------
Bretherton, Davis and Fandry, Deep-Sea Research (1976), doi:10.1016/0011-7471(76)90001-2; Chiles and
Delfiner, Geostatistics (2012), doi:10.1002/9781118136188, Section 2.6, on cross-validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.spatial import KDTree

from ._typing import AnyArray, FloatArray
from .matern import Matern

__all__ = ["BRIEF", "Targets", "best_tuned", "tuned"]

COUNT = 1000
POOL, NEIGHBOURS = 96, 32
STRETCHES = (0.25, 1.0, 4.0)  # of time, in which observations are near
FACTORS = (1.6, 1.2)
NOISES = (1e-8, 1e-6, 1e-5, 1e-3, 1e-2, 5e-2, 0.2)
SWEEPS = 4
PART, FINALISTS = 3, 3  # every third target for all fits, then so many of these on all
AT_ONCE = 256  # targets
BRIEF = 0.1  # of a time scale: another start, at which frames say little of each other
FAR = 1e6  # cells
WORTH = 1e-3  # of the error, that a step has to gain


Sample = tuple[AnyArray, AnyArray, AnyArray]


class Targets(NamedTuple):
    """Known values, and what was observed about them.

    Parameters
    ----------
    lags : float array, shape (N, P, 3)
        Frames, rows and columns from a target to the observations.
    known : float array, shape (N, P)
        Their values, in units of the spread of the channel.
    values : float array, shape (N,)
        Of the targets.
    """

    lags: FloatArray
    known: FloatArray
    values: FloatArray

    @classmethod
    def of(
        cls,
        samples: Sequence[Sample],
        matern: Matern,
        *,
        periodic: bool,
        count: int = COUNT,
        seed: int = 0,
    ) -> Targets | None:
        """Draw some from all windows.

        Parameters
        ----------
        samples : sequence of (x, context, query), each of shape (B, C, T, H, W)
            Targets are among the query, and what is observed is the context.
        matern : Matern
            What tells what is near, with time stretched by several factors.
        periodic : bool
            Whether the last axis wraps around.
        count : int
            How many, about.
        seed : int

        Returns
        -------
        Targets, optional
            None if no window has a query and as many observations as an estimate takes.

        Examples
        --------
        >>> from xdiffimpute.matern import MODELS
        >>> matern = Matern(MODELS[0], np.array([0, 0, 0, 0, 0, 0, 1.0]))
        >>> x = np.ones((1, 1, 2, 8, 8))
        >>> query = np.zeros_like(x)
        >>> query[..., 3, 3] = 1
        >>> found = Targets.of([(x, 1 - query, query)], matern, periodic=False)
        >>> found.values.shape, found.lags.shape
        ((2,), (2, 96, 3))
        """
        rng = np.random.default_rng(seed)
        windows = [(b, sample) for sample in samples for b in range(len(sample[0]))]
        each = -(-count // max(1, len(windows)))
        spread = _spread(samples)
        parts = []
        for b, (x, context, query) in windows:
            asked = np.argwhere(query[b] > 0)
            if len(asked) > each:
                asked = asked[rng.choice(len(asked), each, replace=False)]
            for c in np.unique(asked[:, 0]):
                own = asked[asked[:, 0] == c, 1:]
                seen = np.argwhere(context[b, c] > 0)
                if len(seen) < NEIGHBOURS:
                    continue
                values = x[b, c][tuple(seen.T)] / spread[c]
                lags, at = _pool(own, seen, matern, x.shape[-1] if periodic else None)
                parts.append((lags, values[at], x[b, c][tuple(own.T)] / spread[c]))
        if not parts:
            return None
        return cls(*(np.concatenate(part).astype(np.float64) for part in zip(*parts, strict=True)))

    def errors(self, matern: Matern, noises: Sequence[float]) -> FloatArray:
        """Mean square errors of kriging from the most correlated observations.

        Parameters
        ----------
        matern : Matern
        noises : sequence of float
            Variances of the errors of observation over that of the field.

        Returns
        -------
        float array, shape (noises,)
        """
        total = np.zeros(len(noises))
        every = np.arange(NEIGHBOURS)
        for a in range(0, len(self.values), AT_ONCE):
            lags, known = self.lags[a : a + AT_ONCE], self.known[a : a + AT_ONCE]
            near = matern.correlation(list(np.moveaxis(lags, -1, 0)))
            best = np.argpartition(-near, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
            lags = np.take_along_axis(lags, best[..., None], axis=1)
            right = np.take_along_axis(near, best, axis=1)[..., None]
            known = np.take_along_axis(known, best, axis=1)
            between = lags[:, :, None] - lags[:, None]
            system = matern.correlation(list(np.moveaxis(between, -1, 0)))
            for k, noise in enumerate(noises):
                system[:, every, every] = 1.0 + noise
                guess = (np.linalg.solve(system, right)[..., 0] * known).sum(axis=1)
                total[k] += np.square(guess - self.values[a : a + AT_ONCE]).sum()
        return total / len(self.values)

    def error(self, matern: Matern, noise: float) -> float:
        """The same with one noise."""
        return float(self.errors(matern, [noise])[0])


def tuned(
    matern: Matern, targets: Targets, noise: float = 1e-3, factors: Sequence[float] = FACTORS
) -> tuple[Matern, float, float]:
    """The scales and the noise with the least error.

    Parameters
    ----------
    matern : Matern
        Where the search starts.
    targets : Targets
    noise : float
        Where it starts too.
    factors : sequence of float
        By which scales are changed, first by the first one as long as that helps.

    Returns
    -------
    matern : Matern
    noise, error : float

    Examples
    --------
    >>> from xdiffimpute.matern import MODELS
    >>> wave = np.sin(np.arange(40.0) / 3)[:, None] * np.cos(np.arange(40.0) / 3)
    >>> x = wave.reshape(1, 1, 1, 40, 40)
    >>> context = (np.random.default_rng(0).random(x.shape) < 0.3).astype(float)
    >>> matern = Matern(MODELS[4], np.array([0.7, 0.7, 0, 0, 0, 0, 1.0]))
    >>> targets = Targets.of([(x, context, 1 - context)], matern, periodic=False)
    >>> found, noise, error = tuned(matern, targets)
    >>> bool(error < 0.1 * targets.error(matern, 1e-3)), noise < 1e-3
    (True, True)
    """
    least = targets.error(matern, noise)
    for factor in factors:
        for _ in range(SWEEPS):
            before = least
            errors = targets.errors(matern, NOISES)
            if errors.min() < (1 - WORTH) * least:
                noise, least = NOISES[int(errors.argmin())], float(errors.min())
            matern, least = _scaled(matern, noise, least, targets, factor)
            if not least < (1 - WORTH) * before:
                break
    return matern, noise, least


def _scaled(
    matern: Matern, noise: float, least: float, targets: Targets, factor: float
) -> tuple[Matern, float]:
    """Lengths and time changed by a factor again and again, as long as errors fall."""
    moving = bool(targets.lags[..., 0].any())
    for space, time in ((factor, 1.0), (1 / factor, 1.0), (1.0, factor), (1.0, 1 / factor)):
        while moving or time == 1.0:
            trial = matern.scaled(space, time)
            error = targets.error(trial, noise)
            if not error < (1 - WORTH) * least:
                break
            matern, least = trial, error
    return matern, least


def best_tuned(fits: Sequence[Matern], targets: Targets) -> tuple[Matern, float]:
    """Of several fits the one that is best when it is tuned, and its noise.

    All are tuned on a part of the targets, from their own time scale and from a brief one, and the
    best few of them on all.

    Parameters
    ----------
    fits : sequence of Matern
    targets : Targets

    Returns
    -------
    matern : Matern
    noise : float

    Examples
    --------
    >>> from xdiffimpute.matern import MODELS
    >>> x = np.sin(np.arange(40.0) / 3).reshape(1, 1, 1, 1, 40)
    >>> context = (np.arange(40) % 12 > 0) * np.ones_like(x)
    >>> fits = [Matern(model, np.array([-1.0, -1, 0, 0, 0, 0, 1])) for model in MODELS[::2]]
    >>> targets = Targets.of([(x, context, 1 - context)], fits[0], periodic=False)
    >>> best_tuned(fits, targets)[0].model.shape != "exponential"
    True
    """
    some = Targets(*(part[::PART] for part in targets))
    if targets.lags[..., 0].any():
        fits = [*fits, *(fit.scaled(time=BRIEF) for fit in fits)]
    rough = sorted(
        (tuned(fit, some, factors=FACTORS[:1]) for fit in fits), key=lambda found: found[2]
    )
    best = [tuned(found[0], targets, found[1]) for found in rough[:FINALISTS]]
    return min(best, key=lambda found: found[2])[:2]


def _spread(samples: Sequence[Sample]) -> FloatArray:
    """Root mean square of each channel where it is asked, shape (C,)."""
    dims = (0, 2, 3, 4)
    squares = sum((np.square(x) * (query > 0)).sum(axis=dims) for x, _, query in samples)
    counts = sum((query > 0).sum(axis=dims) for *_, query in samples)
    return np.asarray(np.sqrt(np.maximum(squares / np.maximum(counts, 1), 1e-12)))


def _pool(
    targets: AnyArray, seen: AnyArray, matern: Matern, width: int | None
) -> tuple[FloatArray, AnyArray]:
    """Lags to the observations near targets (N, 3), shape (N, P, 3), and which these are."""
    index = np.arange(len(seen))
    if width is not None:  # observations stand on either side of the seam too
        moved = [seen + [0, 0, k * width] for k in (-1, 0, 1)]
        index, seen = np.tile(index, 3), np.concatenate(moved)
    count = min(POOL // len(STRETCHES), len(seen))
    found = []
    for stretch in STRETCHES:
        points = _stretched(seen, matern.scaled(time=stretch))
        _, near = KDTree(points).query(
            _stretched(targets, matern.scaled(time=stretch)), k=list(range(1, count + 1))
        )
        found.append(near)
    pool = np.concatenate(found, axis=1)
    lags, which = seen[pool] - targets[:, None].astype(np.float64), index[pool]
    order = np.argsort(which, axis=1, kind="stable")
    ranked = np.take_along_axis(which, order, axis=1)
    again = np.zeros(pool.shape, dtype=bool)
    np.put_along_axis(again, order[:, 1:], ranked[:, 1:] == ranked[:, :-1], axis=1)
    lags[again, 1:] += FAR * (1 + np.argwhere(again)[:, 1:])  # found before: does not count
    return lags, which


def _stretched(cells: AnyArray, matern: Matern) -> FloatArray:
    """Points whose distances are those that the correlation falls with, shape (N, 3)."""
    p = matern.parameters
    frame, row, column = cells.T
    down, across = row - p[4] * frame, column - p[5] * frame
    return np.stack(
        [np.exp(p[0]) * down + p[2] * across, np.exp(p[1]) * across, np.exp(p[3]) * frame], axis=1
    )
