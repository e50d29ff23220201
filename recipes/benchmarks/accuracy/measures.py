r"""Errors and uncertainty at hidden cells.

With several variables in several units, a number for all of them is taken of errors over the
spread of the truth at the hidden cells: :math:`\sqrt{\text{mean}_v(\text{MSE}_v / \text{var}_v)}`.
The standard error is judged as that of a normal distribution; its CRPS is the closed form of
Gneiting et al. (2005), doi:10.1175/MWR2904.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from scipy.special import ndtri

from xdiffimpute.exceptions import ImputeError
from xdiffimpute.metrics import METRICS

__all__ = ["measure"]

CENTRAL = (0.5, 0.9)


def measure(filled: xr.Dataset, truth: xr.Dataset, hidden: xr.Dataset) -> dict[str, Any]:
    """Judge a fill.

    Parameters
    ----------
    filled : Dataset
        With ``NAME_standard_error``, if the method has one.
    truth : Dataset
    hidden : Dataset of bool

    Returns
    -------
    dict
        ``error``, ``spread_ratio``, ``coverage50``, ``coverage90`` and ``crps`` of all variables,
        and the same and more by variable, in its units, in ``variables``. None where the method
        has no standard error, or left a hidden cell empty.
    """
    judged = [str(n) for n in truth.data_vars if bool(hidden[n].any())]
    if not judged:
        raise ImputeError("nothing is hidden in the frames that are judged; judge more of them")
    crps = METRICS.create("crps") if f"{judged[0]}_standard_error" in filled else None
    rows = {}
    for name in judged:
        at = hidden[name].values
        right = truth[name].values[at].astype(np.float64)
        guess = filled[name].transpose(*truth[name].dims).values[at].astype(np.float64)
        row: dict[str, Any] = {
            "units": truth[name].attrs.get("units"),
            "cells": int(at.sum()),
            "empty": int(np.isnan(guess).sum()),
            "spread_of_truth": float(right.std()),
            "mse": _number(np.mean((guess - right) ** 2)),
            "rmse": _number(np.sqrt(np.mean((guess - right) ** 2))),
        }
        if crps is not None:
            error = filled[f"{name}_standard_error"].transpose(*truth[name].dims).values[at]
            row |= _uncertainty(guess - right, error.astype(np.float64))
            score = crps(filled, truth[[name]], where=hidden)
            row["crps"] = _number(float(score[name]))
        rows[name] = row
    return _together(rows) | {"variables": rows}


def _uncertainty(wrong: np.ndarray, error: np.ndarray) -> dict[str, float | None]:
    """How a standard error fits the errors: its size, and how often intervals hold the truth."""
    out = {
        "standard_error": _number(np.sqrt(np.mean(error**2))),
        "spread_ratio": _number(np.sqrt(np.mean(error**2) / np.mean(wrong**2))),
    }
    for share in CENTRAL:
        inside = np.abs(wrong) <= ndtri(0.5 + share / 2) * error
        known = np.isfinite(wrong).all() and np.isfinite(error).all()
        out[f"coverage{share:.0%}".rstrip("%")] = float(inside.mean()) if known else None
    return out


def _together(rows: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """One number for all variables: squares over variance are averaged, intervals pooled."""

    def over_spread(key: str, power: int) -> float:
        parts = [r[key] / r["spread_of_truth"] for r in rows.values() if r.get(key) is not None]
        return float(np.mean(np.power(parts, power))) if len(parts) == len(rows) else np.nan

    cells = np.array([r["cells"] for r in rows.values()])
    out = {"error": _number(np.sqrt(over_spread("rmse", 2))), "crps": None, "spread_ratio": None}
    out["crps"] = _number(over_spread("crps", 1))
    out["spread_ratio"] = _number(
        np.sqrt(over_spread("standard_error", 2) / over_spread("rmse", 2))
    )
    for share in CENTRAL:
        key = f"coverage{share:.0%}".rstrip("%")
        parts = [r.get(key) for r in rows.values()]
        out[key] = None if None in parts else float(np.average(parts, weights=cells))
    return out


def _number(value: Any) -> float | None:
    """As JSON can hold it."""
    return float(value) if np.isfinite(value) else None
