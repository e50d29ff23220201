"""The withheld observations as a validation set during training.

Windows around the withheld cells are cut once; a network is judged on them at every check,
the sampler is chosen on them, and the standard error is calibrated on them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import dask
import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ._typing import AnyArray, BoolArray, FloatArray
from .calendar import Clock
from .calibration import Calibration, distance_to_observed
from .coordinates import Coordinates
from .denoiser import Denoiser, crop
from .estimator import Estimator
from .first_guess import FirstGuesses
from .partition import Partition
from .planning import Plan
from .propensity import Propensity
from .samplers import Sampler
from .samples import Sample
from .tiled import InSurroundings, cells_at_once
from .tiling import MARGIN, evenly, surroundings
from .transforms import Statistics
from .withholding import Withheld

__all__ = ["Verification"]

MAX_WINDOWS, LEAST_WINDOWS, LOOKED_AT = 96, 12, 48
MAX_CELLS = 1_500_000  # of all windows, so that a look takes seconds


class Verification:
    """Windows with withheld cells, and the errors of a network there.

    Parameters
    ----------
    packed : DataArray, dims (series, time, channel, y, x)
        With the withheld cells still in it.
    withheld : Withheld
    clock : Clock
    statistics : Statistics
        Fitted without the withheld cells.
    coordinates : Coordinates
    sizes : Plan
    partition : Partition
        For the contexts of ensembles.
    density : float, optional
        Share of cells in a training context.
    seed : int
    propensity : Propensity, optional
        What gives the withheld cells their weights, as it does in training.
    most : int, optional
        Windows, of those that hold withheld cells; default: ``MAX_WINDOWS``.
    counted : callable, optional
        From series and frames to whether their withheld cells count; default: all of them do. The
        others are hidden all the same.
    """

    def __init__(
        self,
        packed: xr.DataArray,
        withheld: Withheld,
        clock: Clock,
        statistics: Statistics,
        coordinates: Coordinates,
        sizes: Plan,
        partition: Partition,
        *,
        density: float | None,
        seed: int,
        propensity: Propensity | None = None,
        most: int | None = None,
        counted: Callable[[AnyArray, AnyArray], BoolArray] | None = None,
    ) -> None:
        self.partition, self.density, self.seed = partition, density, seed
        self.device = sizes.device
        self.scale = np.broadcast_to(statistics.scale[:, 0, 0], (packed.sizes["channel"],))
        self._variance = partial(_variance, packed, withheld, statistics)
        rng = np.random.default_rng(np.random.SeedSequence([seed, 4]))
        doubt = np.broadcast_to(statistics.doubt, statistics.count.shape)
        t = sizes.window
        cells = packed.sizes["channel"] * t * int(np.prod(sizes.tile))
        most = int(np.clip(MAX_CELLS // cells, LEAST_WINDOWS, most or MAX_WINDOWS))
        judging = (
            withheld if counted is None else withheld.some(counted(withheld.series, withheld.time))
        )
        judging = judging.some(np.asarray(judging.masks.any(axis=(1, 2, 3))))
        places = _places(judging, packed.sizes["time"], t, most, rng)
        lazy = [packed.isel(series=s, time=slice(a, a + t)) for s, a in places]
        inputs, targets, masks, features, distances, doubts = [], [], [], [], [], []
        self.offsets: list[tuple[int, int]] = []
        for ((s, a), own), piece in zip(places.items(), dask.compute(*lazy), strict=True):
            regressors = clock.regressors(statistics.harmonics)[a : a + t]
            values = np.asarray(piece.values, dtype=np.float32)
            z = statistics.forward(values, regressors).transpose(1, 0, 2, 3)
            hidden = withheld.hidden(s, a, z.shape[1]) & np.isfinite(z)
            asked = np.zeros_like(hidden)
            asked[:, own] = hidden[:, own]
            for y, x in _tiles(asked, sizes.tile, rng):
                rows, above = surroundings(y.start, sizes.tile[0], z.shape[2], MARGIN)
                columns, left = surroundings(x.start, sizes.tile[1], z.shape[3], MARGIN)
                shown = np.where(hidden, np.nan, z)[:, :, rows][..., columns]
                inputs.append(shown)
                distance = distance_to_observed(
                    np.isfinite(shown),
                    periodic=coordinates.periodic and shown.shape[-1] == z.shape[-1],
                )
                distances.append(
                    distance[..., above : above + sizes.tile[0], left : left + sizes.tile[1]]
                )
                self.offsets.append((above, left))
                targets.append(np.where(asked, z, 0.0)[:, :, y][..., x])
                masks.append(asked[:, :, y][..., x])
                doubts.append(np.square(doubt[:, None, y][..., x], dtype=np.float32))
                inner = (np.arange(part.start, part.stop) for part in (y, x))
                features.append(coordinates(slice(a, a + t), *inner))
        self.inputs = torch.from_numpy(np.stack(inputs).astype(np.float32))
        self.targets = torch.from_numpy(np.stack(targets).astype(np.float32))
        self.masks = torch.from_numpy(np.stack(masks).astype(np.float32))
        self.features = torch.from_numpy(np.stack(features).astype(np.float32))
        self.distances = torch.from_numpy(np.stack(distances))
        self.doubts = torch.from_numpy(np.stack(doubts))
        self._made: dict[int, Tensor] = {}
        self._made_by: list[Tensor] = []
        self.weights = self.masks
        if propensity is not None:
            given = np.stack([propensity.weights(target) for target in targets])
            self.weights = self.masks * torch.from_numpy(given)

    def error(self, denoiser: Denoiser, run: Sampler) -> float:
        """Mean square error of a sampler at the withheld cells, in standardised units.

        Of some of the windows, since a training looks at it a dozen times.
        """
        picked = _spread(self.windows, LOOKED_AT)
        return self._mean(self._compare(denoiser, run, picked)[0], picked)

    def errors_of_guesses(self, periodic: bool) -> tuple[FloatArray, FloatArray]:
        """Squared errors of the best constant mixture of the first guesses, window by window.

        In units of the variance of each channel's withheld values, so that they tell which of
        two climatologies is better before any training.

        Returns
        -------
        squares, cells : float array, shape (C, N)
            Sums over the withheld cells of each of the N windows, and how many these are.
        """
        observed = torch.isfinite(self.inputs)
        x = torch.where(observed, self.inputs, torch.zeros_like(self.inputs))
        context = observed.to(x.dtype)
        known = x + self._paste(self.targets), context, self._paste(self.masks)
        first = FirstGuesses(x.shape[1], periodic=periodic)
        first.tune([known])
        guesses = first(x, context)
        size = (self.targets.shape[-2], self.targets.shape[-1])
        guesses = crop(guesses, self.offsets, size)
        cells = self.masks.sum(dim=(2, 3, 4)).T.double().numpy()
        squares, spread = np.zeros(cells.shape), self._variance()
        for c in range(self.targets.shape[1]):
            here = self.masks[:, c] > 0
            if not here.any():
                continue
            columns = guesses[:, :, c].movedim(1, -1)[here].double().numpy()
            target = self.targets[:, c][here].double().numpy()
            weights, *_ = np.linalg.lstsq(columns, target, rcond=None)
            unit = float(self.scale[c]) ** 2 / max(float(spread[c]), 1e-30)
            window = here.nonzero()[:, 0].numpy()
            wrong = unit * (columns @ weights - target) ** 2
            squares[c] = np.bincount(window, wrong, minlength=self.windows)
        return squares, cells

    def samples(self) -> list[Sample]:
        """Windows in no order, each (x, context, query) of shape (1, C, T, H, W)."""
        order = np.random.default_rng(self.seed).permutation(self.windows)
        context = torch.isfinite(self.inputs)
        x = torch.where(context, self.inputs, 0.0) + self._paste(self.targets)
        fields = (part.to(self.device) for part in (x, context.to(x), self._paste(self.weights)))
        x, known, query = fields
        return [(x[[n]], known[[n]], query[[n]]) for n in order]

    @property
    def _at_once(self) -> int:
        """Windows that go through a network together."""
        return max(1, cells_at_once(self.device) // int(np.prod(self.inputs.shape[1:])))

    def _paste(self, tiles: Tensor) -> Tensor:
        """Tiles in their surroundings, zero outside: like the inputs."""
        out = torch.zeros_like(self.inputs)
        h, w = tiles.shape[-2:]
        for whole, tile, (y, x) in zip(out, tiles, self.offsets, strict=True):
            whole[..., y : y + h, x : x + w] = tile
        return out

    def judge(
        self,
        denoiser: Denoiser,
        run: Sampler,
        most: int | None = None,
        kriging: Tensor | None = None,
    ) -> tuple[float, Calibration]:
        """Error of a sampler, and what makes its standard error true.

        Parameters
        ----------
        denoiser : Denoiser
        run : Sampler
        most : int, optional
            Windows to look at, of all :attr:`windows`.
        kriging : Tensor, shape (N, C, T, H, W), optional
            The :meth:`kriging_variance` of these, which the standard error may be made from.

        Returns
        -------
        error : float
            Mean square error at the withheld cells, in standardised units.
        calibration : Calibration
        """
        picked = _spread(self.windows, most)
        squared, variance = self._compare(denoiser, run, picked)
        beside = self.distances[picked] if kriging is None else kriging
        doubts = self.doubts[picked].expand_as(squared)
        fields = squared, variance, beside, self.weights[picked], doubts
        errors = [part.transpose(0, 1).flatten(1).double().numpy() for part in fields]
        calibration = Calibration.fit(*errors, kriged=kriging is not None)
        return self._mean(squared, picked), calibration

    def _mean(self, squared: Tensor, picked: list[int]) -> float:
        """Of squared errors at the withheld cells."""
        weights = self.weights[picked]
        return float((squared * weights).sum() / weights.sum().clamp(min=1e-6))

    def kriging_variance(self, denoiser: Denoiser, most: int | None = None) -> Tensor | None:
        """The variance that kriging expects, where the covariance is known.

        Parameters
        ----------
        denoiser : Denoiser
        most : int, optional
            As for :meth:`judge`.

        Returns
        -------
        Tensor, shape (N, C, T, H, W), or None
        """
        picked = _spread(self.windows, most)
        if denoiser.first is None:
            return None
        context = torch.isfinite(self.inputs[picked]).to(self.device, torch.float32)
        asked = self._paste(self.masks)[picked].to(self.device) > 0
        found = denoiser.first.variance(context, asked=asked)
        if found is None:
            return None
        tile = (self.targets.shape[-2], self.targets.shape[-1])
        return crop(found, [self.offsets[n] for n in picked], tile).cpu()

    @property
    def windows(self) -> int:
        """How many there are."""
        return len(self.inputs)

    def _compare(
        self, denoiser: Denoiser, run: Sampler, picked: list[int]
    ) -> tuple[Tensor, Tensor]:
        """Squared errors and variances, everywhere, (N, C, T, H, W)."""
        size = self._at_once
        squared, variances = [], []
        tile = (self.targets.shape[-2], self.targets.shape[-1])
        with torch.inference_mode():
            for k in range(0, len(picked), size):
                now = picked[k : k + size]
                x, offsets = self.inputs[now].to(self.device), [self.offsets[n] for n in now]
                guesses = None if run.draws else self._guesses(denoiser, now)
                estimator: Estimator = InSurroundings(denoiser, offsets, guesses)
                if run.in_place:
                    x, estimator = crop(x, offsets, tile), denoiser
                observed = torch.isfinite(x)
                out = run(
                    estimator,
                    torch.where(observed, x, torch.zeros_like(x)),
                    observed.to(x.dtype),
                    self.features[now].to(self.device),
                    self.partition,
                    [np.random.default_rng(np.random.SeedSequence([self.seed, 5, n])) for n in now],
                    self.density,
                )
                error = out.mean.float().cpu() - self.targets[now]
                squared.append(error.square())
                variances.append(out.variance.float().cpu())
        return torch.cat(squared), torch.cat(variances)

    def _guesses(self, denoiser: Denoiser, picked: list[int]) -> Tensor:
        """The first guesses from all that is observed, (n, G, C, T, H, W): made once a window."""
        made_by = [] if denoiser.first is None else list(denoiser.first.buffers())
        if len(made_by) != len(self._made_by) or not all(map(torch.equal, made_by, self._made_by)):
            self._made, self._made_by = {}, [part.clone() for part in made_by]
        if new := [n for n in picked if n not in self._made]:
            x = self.inputs[new].to(self.device)
            observed = torch.isfinite(x)
            found = denoiser.guess(torch.where(observed, x, 0.0), observed.to(x.dtype))
            self._made |= dict(zip(new, found.cpu(), strict=True))
        return torch.stack([self._made[n] for n in picked]).to(self.device)


def _spread(count: int, most: int | None) -> list[int]:
    """At most so many indices, evenly spread over all."""
    return [int(k) for k in evenly(count, most or count)]


def _variance(packed: xr.DataArray, withheld: Withheld, statistics: Statistics) -> FloatArray:
    """Variance of the withheld values of each channel, shape (C,)."""
    pairs = zip(withheld.series, withheld.time, strict=True)
    lazy = [packed.isel(series=int(s), time=int(t)) for s, t in pairs]
    frames = np.stack([np.asarray(f.values, dtype=np.float64) for f in dask.compute(*lazy)])
    if statistics.log.any():
        part = frames[:, statistics.log]
        frames[:, statistics.log] = np.log(
            np.maximum(part, 0.0) + statistics.floor[statistics.log, None, None]
        )
    values = np.where(withheld.masks, frames, np.nan)
    return np.array(
        [np.nanvar(v) if np.isfinite(v).any() else 1.0 for v in np.moveaxis(values, 1, 0)]
    )


def _places(
    withheld: Withheld, frames: int, window: int, most: int, rng: np.random.Generator
) -> dict[tuple[int, int], list[int]]:
    """(series, first frame) of windows, at most so many, and which of their frames each judges.

    Withheld frames stand in the middle of theirs, as what is filled does, and in one only.
    """
    half = max(1, window // 2)
    found: dict[tuple[int, int], list[int]] = {}
    before, start = (-1, -1), 0
    for s, t in sorted(
        {(int(s), int(t)) for s, t in zip(withheld.series, withheld.time, strict=True)}
    ):
        if before != (s, t - 1) or t >= start + half:
            start = t
        before = s, t
        first = int(np.clip(start - (window - half) // 2, 0, frames - window))
        found.setdefault((s, first), []).append(t - first)
    keys = sorted(found)
    if len(keys) > most:
        keys = [keys[int(k)] for k in np.sort(rng.choice(len(keys), size=most, replace=False))]
    return {key: found[key] for key in keys}


def _tiles(
    hidden: BoolArray, tile: tuple[int, int], rng: np.random.Generator
) -> list[tuple[slice, slice]]:
    """The whole field, or two tiles about withheld cells; none where nothing is withheld."""
    h, w = hidden.shape[-2:]
    cells = np.argwhere(hidden.any(axis=(0, 1)))
    if not len(cells):
        return []
    if tile == (h, w):
        return [(slice(0, h), slice(0, w))]
    tiles = []
    for y, x in cells[rng.integers(len(cells), size=2)]:
        top = int(np.clip(y - rng.integers(tile[0]), 0, h - tile[0]))
        left = int(np.clip(x - rng.integers(tile[1]), 0, w - tile[1]))
        tiles.append((slice(top, top + tile[0]), slice(left, left + tile[1])))
    return tiles
