r"""Climatology, anomalies and their scale, from observed cells only, in one pass.

For each cell the values are regressed on a constant and on harmonics of the year and day,

.. math:: x_n = \phi(t_n) \cdot c + a_n ,

by normal equations that are sums over frames, so one pass over the chunks is enough and
their order does not matter. The coefficients of a cell are shrunk to those of its
neighbourhood, as if that had been seen :data:`PRIOR_FRAMES` more times, so a cell with few
observations is safe.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import dask
import dask.array as da
import numpy as np
import xarray as xr
from scipy import ndimage

from ._typing import AnyArray, BoolArray, FloatArray
from .calendar import Clock
from .exceptions import DataError, ImputeError

__all__ = ["Region", "Statistics"]

logger = logging.getLogger("xdiffimpute")

Kind = Literal["variable", "cell", "seasonal"]
Region = tuple[Any, Any]
EVERYWHERE: Region = (slice(None), slice(None))

PRIOR_FRAMES = 8.0
NEIGHBOURHOOD = 4.0
CELL_COUNT = 30
SEASON_DAYS = 400.0
DAY_STEP = 6.5 / 24
DAY_SPAN = 5.0
BLOCK_CELLS = 2**23


@dataclass(frozen=True)
class Statistics:
    """Climatology and scale of each channel.

    Parameters
    ----------
    kind : {"variable", "cell", "seasonal"}
        One mean a channel; one a cell; or harmonics for each cell.
    harmonics : tuple of (str, int)
        As for :meth:`Clock.regressors`.
    coefficients : float array, shape (R, C, H, W) or (R, C, 1, 1)
    scale : float array, shape (C, 1, 1)
        Spread of the anomalies.
    log : bool array, shape (C,)
        Channels that are learned in the logarithm.
    floor : float array, shape (C,)
        What is added before the logarithm.
    count : int array, shape (C, H, W)
        How often each cell was observed.
    """

    kind: str
    harmonics: tuple[tuple[str, int], ...]
    coefficients: FloatArray
    scale: FloatArray
    log: BoolArray
    floor: FloatArray
    count: AnyArray

    @property
    def domain(self) -> BoolArray:
        """Cells observed at least once, shape (C, H, W)."""
        return np.asarray(self.count > 0)

    @classmethod
    def fit(
        cls,
        packed: xr.DataArray,
        clock: Clock,
        *,
        kind: str = "auto",
        log: Sequence[bool] | None = None,
    ) -> Statistics:
        """Estimate from what is observed.

        Parameters
        ----------
        packed : DataArray, dims (series, time, channel, y, x)
            NaN where not observed.
        clock : Clock
        kind : {"auto", "variable", "cell", "seasonal"}
            ``"auto"``: seasonal where the record spans more than a year (or several days,
            for sub-daily data), else cell where a typical cell is observed 30 times, else
            variable.
        log : sequence of bool, optional
            For each channel, learn in the logarithm.

        Returns
        -------
        Statistics

        Raises
        ------
        ImputeError
            If ``kind`` is unknown.
        DataError
            If a logarithm is asked for values below zero.
        """
        if kind not in ("auto", "variable", "cell", "seasonal"):
            raise ImputeError(
                f"statistics={kind!r} is not one of 'auto', 'variable', 'cell', 'seasonal'"
            )
        packed = packed.transpose("series", "time", "channel", "y", "x")
        logs = np.zeros(packed.sizes["channel"], bool) if log is None else np.asarray(log, bool)
        found = _harmonics(clock)
        regressors = clock.regressors(found if kind in ("auto", "seasonal") else ())
        floor = _floor(packed, logs)
        if kind == "seasonal" and not found:
            logger.warning(
                "statistics='seasonal': the record of %d frames is too short or too coarse for "
                "harmonics of the year or the day; each cell gets one mean", len(clock.days),
            )  # fmt: skip
        sums = _sums(packed, regressors, logs, floor)
        count = sums["xtx"][0].astype(np.int64)
        if kind == "auto":
            kind = _choose(count, found)
        if kind != "seasonal":
            found, sums = (), _constant_only(sums)
        coefficients, scale = _solve(sums, kind)
        return cls(
            kind, found, np.ascontiguousarray(coefficients, dtype=np.float32),
            np.ascontiguousarray(scale, dtype=np.float32), logs, floor, count,
        )  # fmt: skip

    def replaced(self, other: Statistics, channels: BoolArray) -> Statistics:
        """These statistics, but for some channels those of another estimate on the same data.

        Parameters
        ----------
        other : Statistics
            With the same harmonics.
        channels : bool array, shape (C,)
            True where ``other`` is taken.

        Returns
        -------
        Statistics
            Of the kind that has a value for each cell, unless both have one for each variable.
        """
        coefficients = np.where(channels[:, None, None], other.coefficients, self.coefficients)
        kind = other.kind if self.kind == "variable" else self.kind
        scale = np.where(channels[:, None, None], other.scale, self.scale)
        return replace(self, kind=kind, coefficients=coefficients, scale=scale)

    def climatology(self, regressors: FloatArray, region: Region = EVERYWHERE) -> FloatArray:
        """Expected values, in the logarithm where that is used.

        Parameters
        ----------
        regressors : float array, shape (N, R)
        region : pair of slices or indices
            Rows and columns.

        Returns
        -------
        float array, shape (N, C, h, w) or (N, C, 1, 1)
        """
        c = self.coefficients
        if c.shape[-2:] != (1, 1):
            c = c[:, :, region[0]][..., region[1]]
        values: FloatArray = np.einsum("nr,rchw->nchw", regressors.astype(np.float32), c)
        return values

    def forward(
        self, values: FloatArray, regressors: FloatArray, region: Region = EVERYWHERE
    ) -> FloatArray:
        """Standardised anomalies of values (N, C, h, w), in float32; NaN stays NaN."""
        values = np.asarray(values, dtype=np.float32)
        if self.log.any():
            values = values.copy()
            part = values[:, self.log]
            values[:, self.log] = np.log(np.maximum(part, 0.0) + self.floor[self.log, None, None])
        z = (values - self.climatology(regressors, region)) / self.scale
        return np.asarray(z, dtype=np.float32)

    def inverse(
        self, z: FloatArray, regressors: FloatArray, region: Region = EVERYWHERE
    ) -> FloatArray:
        """Values of standardised anomalies (N, C, h, w)."""
        values = np.asarray(z * self.scale + self.climatology(regressors, region), np.float32)
        if self.log.any():
            part = np.exp(values[:, self.log]) - self.floor[self.log, None, None]
            values[:, self.log] = np.maximum(part, 0.0)
        return values

    def inverse_spread(
        self, spread: FloatArray, z: FloatArray, regressors: FloatArray,
        region: Region = EVERYWHERE,
    ) -> FloatArray:  # fmt: skip
        """Standard errors in data units; through a logarithm to first order."""
        error = np.asarray(spread * self.scale, dtype=np.float32)
        if self.log.any():
            values = self.inverse(z, regressors, region)[:, self.log]
            error[:, self.log] *= values + self.floor[self.log, None, None]
        return error

    def to_arrays(self) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        """Arrays, and the rest as JSON, for a checkpoint."""
        arrays = {
            "coefficients": self.coefficients,
            "scale": self.scale,
            "log": self.log,
            "floor": self.floor,
            "count": self.count,
        }
        return arrays, {"kind": self.kind, "harmonics": [list(h) for h in self.harmonics]}

    @classmethod
    def from_arrays(cls, arrays: dict[str, AnyArray], small: dict[str, Any]) -> Statistics:
        """Rebuild from :meth:`to_arrays`."""
        return cls(
            kind=small["kind"],
            harmonics=tuple((str(name), int(n)) for name, n in small["harmonics"]),
            coefficients=arrays["coefficients"],
            scale=arrays["scale"],
            log=arrays["log"].astype(bool),
            floor=arrays["floor"],
            count=arrays["count"],
        )


def _harmonics(clock: Clock) -> tuple[tuple[str, int], ...]:
    """Cycles that the record can resolve."""
    found: list[tuple[str, int]] = []
    span = float(clock.days[-1] - clock.days[0]) if len(clock.days) > 1 else 0.0
    if span >= SEASON_DAYS and len(np.unique(np.round(clock.year_phase * 12))) >= 5:
        found += [("year", 1), ("year", 2)]
    step = float(np.median(np.diff(clock.days))) if len(clock.days) > 1 else np.inf
    phases = len(np.unique(np.round(clock.day_phase, 4)))
    if step <= DAY_STEP and span >= DAY_SPAN and phases >= 4:
        found += [("day", 1)] + ([("day", 2)] if phases >= 6 else [])
    return tuple(found)


def _choose(count: AnyArray, harmonics: tuple[tuple[str, int], ...]) -> str:
    seen = count[count > 0]
    typical = float(np.median(seen)) if seen.size else 0.0
    if harmonics and typical >= CELL_COUNT:
        return "seasonal"
    return "cell" if typical >= CELL_COUNT else "variable"


def _floor(packed: xr.DataArray, logs: BoolArray) -> FloatArray:
    """A hundredth of the mean of each logarithmic channel."""
    if not logs.any():
        return np.ones(len(logs), dtype=np.float32)
    part = packed.isel(channel=np.flatnonzero(logs))
    dims = ("series", "time", "y", "x")
    low, mean = dask.compute(part.min(dims), part.mean(dims, dtype=np.float64))
    if (low < 0).any():
        raise DataError(
            f"log= was asked for a variable with values down to {float(low.min()):g}; "
            "a logarithm needs values of zero or more, leave that variable out of log=[...]"
        )
    floor = np.ones(len(logs), dtype=np.float32)
    floor[logs] = np.maximum(0.01 * mean.values, 1e-12)
    return floor


def _sums(
    packed: xr.DataArray, regressors: FloatArray, logs: BoolArray, floor: FloatArray
) -> dict[str, FloatArray]:
    """Normal equations of every cell: upper triangle of X'X, X'y, and y'y."""
    data = packed.data
    if packed.chunks is None:
        frames = max(1, BLOCK_CELLS // max(1, int(np.prod(packed.shape[2:]))))
        data = da.from_array(packed.values, chunks=(1, frames, -1, -1, -1), name=False)
    parts = []
    for s in range(data.shape[0]):
        start = 0
        for length in data.chunks[1]:
            phi = regressors[start : start + length]
            parts.append(_chunk_sums(data[s, start : start + length], phi, logs, floor))
            start += length
    while len(parts) > 1:  # a tree of sums keeps few of them in memory at once
        parts = [sum(parts[k : k + 8][1:], parts[k]) for k in range(0, len(parts), 8)]
    stacked = np.asarray(parts[0].compute(), dtype=np.float64)
    r = regressors.shape[1]
    pairs = r * (r + 1) // 2
    return {"xtx": stacked[:pairs], "xty": stacked[pairs : pairs + r], "yty": stacked[-1]}


def _chunk_sums(frames: Any, phi: FloatArray, logs: BoolArray, floor: FloatArray) -> Any:
    r = phi.shape[1]
    rows = r * (r + 1) // 2 + r + 1
    channels = (frames.shape[1],)
    frames = frames.rechunk({0: -1, 1: -1})
    return frames.map_blocks(
        _block_sums, phi=phi, logs=logs, floor=floor, dtype=np.float64,
        chunks=((rows,), channels, *frames.chunks[2:]), meta=np.empty((0, 0, 0, 0)),
    )  # fmt: skip


def _block_sums(
    values: FloatArray, phi: FloatArray, logs: BoolArray, floor: FloatArray
) -> FloatArray:
    """Sums over the frames of a block (n, C, h, w): (rows, C, h, w)."""
    values = np.array(values, dtype=np.float64)
    values[:, logs] = np.log(np.maximum(values[:, logs], 0.0) + floor[logs, None, None])
    seen = np.isfinite(values)
    values[~seen] = 0.0
    upper = np.triu_indices(phi.shape[1])
    products = phi[:, upper[0]] * phi[:, upper[1]]
    mask = seen.astype(np.float64)
    return np.concatenate(
        [
            np.tensordot(products.T, mask, axes=1),
            np.tensordot(phi.T, values, axes=1),
            np.square(values).sum(axis=0)[None],
        ]
    )


def _constant_only(sums: dict[str, FloatArray]) -> dict[str, FloatArray]:
    return {"xtx": sums["xtx"][:1], "xty": sums["xty"][:1], "yty": sums["yty"]}


def _solve(sums: dict[str, FloatArray], kind: str) -> tuple[FloatArray, FloatArray]:
    """Coefficients (R, C, H, W) or (R, C, 1, 1), and scales (C, 1, 1)."""
    r = sums["xty"].shape[0]
    xtx, xty, yty = _square(sums["xtx"], r), sums["xty"], sums["yty"]
    pooled = _regress(xtx.sum((-2, -1)), xty.sum((-2, -1)))[..., None, None]
    if kind == "variable":
        coefficients = pooled
    else:
        widths = (0, 0, 0, NEIGHBOURHOOD, NEIGHBOURHOOD)
        near = [ndimage.gaussian_filter(a, w, mode="constant") for a, w in
                ((xtx, widths), (xty, widths[1:]))]  # fmt: skip
        weight = 1e-3 * _identity(xtx)
        prior = _regress(
            near[0] + weight, near[1] + np.einsum("ijchw,jchw->ichw", weight, pooled + 0 * xty)
        )
        ridge = PRIOR_FRAMES * _identity(xtx) * _energy(xtx)
        coefficients = _regress(xtx + ridge, xty + np.einsum("ijchw,jchw->ichw", ridge, prior))
    full = coefficients + np.zeros_like(xty)
    fitted = np.einsum("ichw,ijchw,jchw->chw", full, xtx, full)
    residual = yty - 2.0 * (full * xty).sum(axis=0) + fitted
    count = xtx[0, 0].sum((-2, -1))
    variance = residual.sum((-2, -1)) / np.maximum(count, 1.0)
    scale = np.sqrt(np.maximum(variance, 0.0))
    scale = np.where(scale > 1e-12, scale, 1.0)
    return coefficients, scale[:, None, None]


def _square(upper: FloatArray, r: int) -> FloatArray:
    """The full symmetric matrices (R, R, C, H, W) of their upper triangles."""
    full = np.empty((r, r, *upper.shape[1:]))
    rows, columns = np.triu_indices(r)
    full[rows, columns] = upper
    full[columns, rows] = upper
    return full


def _identity(xtx: FloatArray) -> FloatArray:
    r = xtx.shape[0]
    return np.eye(r)[(...,) + (None,) * (xtx.ndim - 2)] * np.ones(xtx.shape[2:])


def _energy(xtx: FloatArray) -> FloatArray:
    """Mean square of each regressor (1 for the constant, 1/2 for a harmonic), as a column."""
    r = xtx.shape[0]
    return np.where(np.arange(r) == 0, 1.0, 0.5)[(...,) + (None,) * (xtx.ndim - 1)]


def _regress(xtx: FloatArray, xty: FloatArray) -> FloatArray:
    """Solve the normal equations of each cell: (R, R, ...) and (R, ...) to (R, ...)."""
    a, b = np.moveaxis(xtx, (0, 1), (-2, -1)), np.moveaxis(xty, 0, -1)[..., None]
    tiny = 1e-9 * np.trace(a, axis1=-2, axis2=-1)[..., None, None] + 1e-12
    out = np.linalg.solve(a + tiny * np.eye(a.shape[-1]), b)[..., 0]
    return np.moveaxis(out, -1, 0)
