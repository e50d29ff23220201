"""What several methods get wrong at the same withheld cells, and where those cells are.

A mean over all withheld cells hides what a user wants to know most: how the error grows with
the distance to the nearest observation and with the size of the gap. So both are kept beside
each error. They are of one frame: what other frames tell is the method's own affair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import dask
import numpy as np
import xarray as xr

from ._typing import AnyArray, BoolArray, FloatArray, IntArray
from .exceptions import ImputeError
from .fields import FieldSpec
from .gaps import gap_sizes
from .geometry import Geometry
from .withholding import Withheld

__all__ = ["METRICS", "Residuals", "residuals", "thinned"]

Run: TypeAlias = tuple[int, int, int, BoolArray]

METRICS = ("rmse", "mae", "bias", "cells")
DRAWS, DOUBT, FEWEST = 2000, 0.05, 5  # of fewer runs of frames none can be drawn


@dataclass(frozen=True)
class Residuals:
    """Errors by variable, at the cells that every method fills.

    Parameters
    ----------
    methods : tuple of str
        The one that is judged first.
    spec : FieldSpec
    withheld : Withheld
    errors : dict of str to float array, shape (methods, n)
        Filled minus observed, in the units of the variable.
    distance : dict of str to float array, shape (n,)
        To the nearest observation of the same variable and frame, in cells; infinite where the
        frame has none.
    size : dict of str to float array, shape (n,)
        Cells of the gap around each: those that touch at a side, are missing in the frame, and
        are observed at some other time (a coast bounds a gap).
    run : dict of str to int array, shape (n,)
        Number of the run of frames that each is of.
    """

    methods: tuple[str, ...]
    spec: FieldSpec
    withheld: Withheld
    errors: dict[str, FloatArray]
    distance: dict[str, FloatArray]
    size: dict[str, FloatArray]
    run: dict[str, IntArray]

    def table(self, name: str, pick: BoolArray | None = None) -> FloatArray:
        """RMSE, mean absolute error, bias and number of cells, shape (methods, 4).

        Parameters
        ----------
        name : str
            Of the variable.
        pick : bool array, shape (n,), optional
            Cells to count; default: all.

        Returns
        -------
        float array
            NaN where no cell is counted, but for the number.
        """
        errors = self.errors[name] if pick is None else self.errors[name][:, pick]
        out = np.full((len(self.methods), len(METRICS)), np.nan)
        out[:, 3] = errors.shape[1]
        if errors.shape[1]:
            out[:, 0] = np.sqrt(np.mean(errors**2, axis=1))
            out[:, 1] = np.abs(errors).mean(axis=1)
            out[:, 2] = errors.mean(axis=1)
        return out

    def tied(self, name: str) -> list[str]:
        """Methods that may be as good as the best one.

        Runs of frames are drawn with replacement, since errors of one run are alike. A method is
        told from the best where its squared error is the larger one in 95% of the draws.

        Parameters
        ----------
        name : str
            Of the variable.

        Returns
        -------
        list of str
            Without the best; of fewer than five runs nothing can be drawn, and it is empty.

        References
        ----------
        B. Efron and R. J. Tibshirani, "An introduction to the bootstrap", 1993,
        doi:10.1201/9780429246593.
        """
        runs, index = np.unique(self.run[name], return_inverse=True)
        if len(runs) < FEWEST:
            return []
        sums = np.stack([np.bincount(index, row**2) for row in self.errors[name]])
        best = int(np.argmin(sums.sum(axis=1)))
        rng = np.random.default_rng(0)
        drawn = rng.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), size=DRAWS)
        ahead = ((sums - sums[best]) @ drawn.T <= 0.0).mean(axis=1)
        return [m for k, m in enumerate(self.methods) if k != best and ahead[k] > DOUBT]


def thinned(ds: xr.Dataset, spec: FieldSpec, withheld: Withheld) -> xr.Dataset:
    """The dataset without the withheld cells; lazy if the input is."""
    return ds.assign(spec.unpack(withheld.remove(spec.pack(ds)), like=ds))


def _cut_at(ds: xr.Dataset, spec: FieldSpec, withheld: Withheld) -> xr.Dataset:
    """With chunks that end where runs do, so that no more than these is filled."""
    edges: dict[str, list[int]] = {}
    if spec.axes.time is not None:
        edges[spec.axes.time] = withheld.edges()
    sizes = [ds.sizes[d] for d in spec.series_dims]
    if sizes:
        places = np.unravel_index(np.unique(withheld.series).astype(int), sizes)
        for dim, place in zip(spec.series_dims, places, strict=True):
            edges[dim] = [int(k) for k in np.union1d(place, place + 1)]
    chunks = ds.unify_chunks().chunksizes
    known = {d: np.cumsum([0, *chunks.get(d, (ds.sizes[d],))]) for d in edges}
    return ds.chunk(
        {d: tuple(int(n) for n in np.diff(np.union1d(known[d], edges[d]))) for d in edges}
    )


def residuals(
    ds: xr.Dataset,
    spec: FieldSpec,
    withheld: Withheld,
    fills: Mapping[str, Callable[[xr.Dataset], xr.Dataset]],
    domain: BoolArray,
    leave_out: Callable[[str, ImputeError], None] | None = None,
) -> Residuals:
    """Fill in several ways and compare at the same withheld cells.

    Parameters
    ----------
    ds : Dataset
        With the withheld cells still in it.
    spec : FieldSpec
    withheld : Withheld
    fills : mapping of str to callable
        Each from a gappy Dataset to a filled one.
    domain : bool array, shape (C, H, W)
        Cells observed at least once.
    leave_out : callable, optional
        Called with the name of a method that cannot fill, and why; it may raise. Default: raise.

    Returns
    -------
    Residuals
        Of the methods that can fill.
    """
    gappy = thinned(_cut_at(ds.chunk(), spec, withheld), spec, withheld)
    names = [c.variable for c in spec.channels[: len(spec.channels) - spec.given]]
    runs = _runs(withheld)
    right = _cut(spec.pack(ds), runs)
    pieces: dict[str, dict[str, list[FloatArray]]] = {}
    for method, fill in fills.items():
        errors: dict[str, list[FloatArray]] = {v.name: [] for v in spec.filled}
        try:
            guesses = _cut(spec.pack(fill(gappy)), runs)
        except ImputeError as error:
            if leave_out is None:
                raise
            leave_out(method, error)
            continue
        for guess, known, (_, _, _, masks) in zip(guesses, right, runs, strict=True):
            for c, name in enumerate(names):
                errors[name].append((guess - known)[:, c][masks[:, c]])
        pieces[method] = errors
    places = _places(right, runs, spec, domain)
    numbers = _numbers(runs, names)
    out: dict[str, list[AnyArray]] = {}
    for name in (v.name for v in spec.filled):
        every = np.array(
            [np.concatenate([np.empty(0), *errors[name]]) for errors in pieces.values()]
        )
        answered: BoolArray = np.isfinite(every).all(axis=0)
        beside = *places[name], numbers[name]
        out[name] = [every[:, answered], *(part[answered] for part in beside)]
    wrong, distance, size, run = ({n: v[k] for n, v in out.items()} for k in range(4))
    return Residuals(tuple(pieces), spec, withheld, wrong, distance, size, run)


def _numbers(runs: list[Run], names: list[str]) -> dict[str, IntArray]:
    """Number of the run of each withheld cell, by variable, in the order of errors."""
    found: dict[str, list[IntArray]] = {name: [np.empty(0, dtype=int)] for name in names}
    for k, (_, _, _, masks) in enumerate(runs):
        for c, name in enumerate(names):
            found[name].append(np.full(int(masks[:, c].sum()), k))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _places(
    right: list[FloatArray], runs: list[Run], spec: FieldSpec, domain: BoolArray
) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Distance and size of the gap at each withheld cell, by variable, in the order of errors."""
    geometry = Geometry.of(
        spec.shape, periodic=spec.periodic, latitude=spec.latitude, longitude=spec.longitude
    )
    distance: dict[str, list[FloatArray]] = {v.name: [np.empty(0)] for v in spec.filled}
    size: dict[str, list[FloatArray]] = {v.name: [np.empty(0)] for v in spec.filled}
    for known, (_, _, _, masks) in zip(right, runs, strict=True):
        for c, channel in enumerate(spec.channels):
            for frame, hidden in zip(known[:, c], masks[:, c], strict=True):
                if not hidden.any():
                    continue
                observed: BoolArray = np.isfinite(frame) & ~hidden
                sizes = gap_sizes(domain[c] & ~observed, periodic=spec.periodic)
                size[channel.variable].append(sizes[hidden].astype(np.float64))
                distance[channel.variable].append(_distance(geometry, observed, hidden))
    return {n: (np.concatenate(distance[n]), np.concatenate(size[n])) for n in distance}


def _distance(geometry: Geometry, observed: BoolArray, hidden: BoolArray) -> FloatArray:
    """To the nearest observation, in cells, of each hidden cell."""
    if not observed.any():
        return np.full(int(hidden.sum()), np.inf)
    return geometry.neighbours(observed, hidden, 1)[0][:, 0]


def _cut(packed: xr.DataArray, runs: list[Run]) -> list[FloatArray]:
    """Frames of each run, (n, C, H, W) in float64, in one computation."""
    lazy = [packed.isel(series=s, time=slice(a, b)) for s, a, b, _ in runs]
    return [np.asarray(piece.values, dtype=np.float64) for piece in dask.compute(*lazy)]


def _runs(withheld: Withheld) -> list[Run]:
    """Consecutive frames of one series together: (series, start, stop, masks)."""
    order = np.lexsort((withheld.time, withheld.series))
    runs: list[tuple[int, int, int, list[int]]] = []
    for k in order:
        s, t = int(withheld.series[k]), int(withheld.time[k])
        if runs and runs[-1][0] == s and runs[-1][2] == t:
            runs[-1] = (s, runs[-1][1], t + 1, [*runs[-1][3], int(k)])
        else:
            runs.append((s, t, t + 1, [int(k)]))
    return [(s, a, b, withheld.masks[index]) for s, a, b, index in runs]
