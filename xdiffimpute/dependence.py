"""Whether gaps depend on the data: on the value, on observed neighbours, on the season.

A denoiser learns from what is observed. Where high values are missing because they are high, it
learns a world of low values, and no validation at observed cells will tell. Two proxies stand for
a value, whether it was observed or not: what the cell shows at other times, and what its
neighbours show at the same time (:mod:`xdiffimpute.proxies`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ._typing import FloatArray, IntArray
from .association import Association, Evidence
from .calendar import Clock
from .fields import FieldSpec
from .proxies import anomalies, from_neighbours, from_times, residuals
from .quantities import dequantify
from .seasonality import Seasonality
from .survey import Sample, sample_values
from .validation import check_dataset

__all__ = ["KINDS", "associate", "dependence", "warn_of_dependence"]

log = logging.getLogger("xdiffimpute")

KINDS = ("value", "neighbours", "season")
IN_FIT = 2**21
LEVEL = 0.01
MEANING = {
    "value": "what the same cell shows just before and after",
    "neighbours": "what the cells around it show",
}


def associate(
    pieces: list[FloatArray], frames: IntArray, season: FloatArray, trend: FloatArray, seed: int
) -> dict[str, tuple[Association, list[FloatArray]]]:
    """Test one field, for each kind of dependence.

    Parameters
    ----------
    pieces : list of float arrays, shape (S, N, h, w)
        Values of parts of the grid, NaN where not observed.
    frames : int array, shape (N,)
        Number of each frame in the record, rising.
    season : float array, shape (N, R)
        Harmonics; R may be zero.
    trend : float array, shape (N, 1)
    seed : int

    Returns
    -------
    dict of str to (Association, list of float arrays, shape (h, w))
        Under each of :data:`KINDS`, with the map of each piece.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> field = np.repeat(rng.normal(size=(1, 60, 4, 4)), 4, axis=-1)  # neighbours are alike
    >>> field[field + rng.normal(size=field.shape) > 1] = np.nan
    >>> trend = np.linspace(-1, 1, 60)[:, None]
    >>> found = associate([field], np.arange(60), trend[:, :0], trend, seed=0)
    >>> found["neighbours"][0].p_value < 0.01, found["value"][0].p_value < 0.01
    (True, False)
    """
    others = np.hstack([np.ones((len(frames), 1)), trend])
    regressors = np.hstack([others, season])
    evidence = {kind: Evidence(frames, regressors) for kind in MEANING}
    cycle = Seasonality(frames, season, others)
    maps: dict[str, list[FloatArray]] = {kind: [] for kind in KINDS}
    for values in pieces:
        anomaly, observed = anomalies(values, regressors)
        guesses = from_times(anomaly, observed, frames), from_neighbours(anomaly, observed)
        for (kind, sums), (proxy, weight) in zip(evidence.items(), guesses, strict=True):
            known = (weight > 0).astype(np.float32)
            own, left = (residuals(part, known, regressors) for part in (observed, proxy))
            maps[kind].append(sums.add(own, left, known))
        maps["season"].append(cycle.add(observed))
    tests = {kind: sums.concluded(seed) for kind, sums in evidence.items()}
    tests["season"] = cycle.concluded(seed)
    return {kind: (tests[kind], maps[kind]) for kind in KINDS}


def dependence(ds: xr.Dataset, *, seed: int = 0, options: Mapping[str, Any]) -> xr.Dataset:
    """Tests and maps of a dataset's fields.

    Parameters
    ----------
    ds : Dataset
    seed : int
        Of the signs that are drawn.
    options : mapping
        Arguments of :meth:`FieldSpec.from_dataset`.

    Returns
    -------
    Dataset
        ``p_value``, ``effect`` and ``blocks`` with dims (variable, kind); ``association`` with
        dims (variable, kind, y, x), NaN where a cell is always or never observed and, on large
        grids, outside the squares that were looked at.

    Raises
    ------
    ImputeError
        If the axes cannot be found, or there is nothing to fill.
    """
    plain, _ = dequantify(ds)
    spec = FieldSpec.from_dataset(plain, **options)
    check_dataset(plain, spec)
    sample = sample_values(spec.pack(plain))
    found = _tests(sample, spec.clock(plain), len(spec.channels), seed)
    maps = np.full((len(found), len(KINDS), *spec.shape), np.nan, dtype=np.float32)
    for c, field in enumerate(found):
        for k, kind in enumerate(KINDS):
            for piece, local in zip(sample.pieces, field[kind][1], strict=True):
                maps[c, k, piece.rows, piece.columns] = local

    def table(name: str) -> Any:
        return [[getattr(field[kind][0], name) for kind in KINDS] for field in found]

    dims, on_grid = ("variable", "kind"), (spec.axes.y, spec.axes.x)
    coords = {d: plain[d] for d in on_grid if d in plain.coords}
    names = [channel.label for channel in spec.channels]
    said = {
        "p_value": "probability of so strong a dependence by chance",
        "effect": "change of the chance to be observed with a standard deviation",
        "blocks": "parts of the record that count as independent",
        "association": "correlation of being observed with what is known",
    }
    out = xr.Dataset(
        {name: (dims, table(name)) for name in list(said)[:3]}
        | {"association": ((*dims, *on_grid), maps)},
        coords={"variable": names, "kind": list(KINDS), **coords},
        attrs={"frames": len(sample.frames)},
    )
    for name, text in said.items():
        out[name].attrs = {"long_name": text, "units": "1"}
    return out


def warn_of_dependence(
    packed: xr.DataArray, clock: Clock, spec: FieldSpec, *, weighted: bool
) -> None:
    """One warning in the log where gaps depend on values, on a small sample of the data.

    Parameters
    ----------
    packed : DataArray, dims (series, time, channel, y, x)
    clock : Clock
    spec : FieldSpec
    weighted : bool
        Whether it is allowed for already; then it is only information.
    """
    sample = sample_values(packed, IN_FIT)
    found = _tests(sample, clock, len(spec.channels), seed=0)
    level = LEVEL / (len(MEANING) * len(found))
    most = max(field[kind][0].blocks for field in found for kind in MEANING)
    if most > 0 and 2.0 ** (1 - most) > level:
        log.info(
            "whether gaps depend on the data cannot be told: the record has %d independent parts, "
            "too few for a test", most,
        )  # fmt: skip
    said = []
    for channel, field in zip(spec.channels, found, strict=True):
        kind = min(MEANING, key=lambda kind: (np.isnan(p := field[kind][0].p_value), p))
        test = field[kind][0]
        if test.p_value < level:
            said.append(
                f"{channel.label!r} is observed {_rarer(test.effect)} where {MEANING[kind]} is "
                f"high (p = {test.p_value:.1g})"
            )
    if not said:
        return
    advice = (
        "" if weighted else "; what is learned from observed cells is then biased at the gaps: "
        "allow for it with fit(propensity=True), on the command line --propensity, and look "
        "closer with ds.impute.dependence()"
    )  # fmt: skip
    log.log(
        logging.INFO if weighted else logging.WARNING,
        "gaps depend on the data: %s%s", "; ".join(said), advice,
    )  # fmt: skip


def _rarer(effect: float) -> str:
    return f"{'less' if effect < 0 else 'more'} often (by {abs(effect):.1%} a standard deviation)"


def _tests(
    sample: Sample, clock: Clock, channels: int, seed: int
) -> list[dict[str, tuple[Association, list[FloatArray]]]]:
    """Those of each channel."""
    days = clock.days[sample.frames]
    trend = (days - days.mean()) / max(float(np.ptp(days)), 1e-9)
    season = clock.regressors(clock.cycles())[sample.frames, 1:]
    return [
        associate(
            [piece.values[:, :, c] for piece in sample.pieces], sample.frames, season,
            trend[:, None], seed,
        )
        for c in range(channels)
    ]  # fmt: skip
