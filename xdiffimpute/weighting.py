"""The weights of a fit, estimated on a sample of its data."""

from __future__ import annotations

import logging

import numpy as np
import xarray as xr

from .calendar import Clock
from .fields import FieldSpec
from .propensity import Propensity
from .survey import sample_values
from .transforms import Statistics

__all__ = ["weigh"]

log = logging.getLogger("xdiffimpute")


def weigh(
    packed: xr.DataArray, clock: Clock, statistics: Statistics, spec: FieldSpec
) -> Propensity:
    """How the chance of being observed depends on the value, said in the log.

    Parameters
    ----------
    packed : DataArray, dims (series, time, channel, y, x)
    clock : Clock
    statistics : Statistics
    spec : FieldSpec

    Returns
    -------
    Propensity
    """
    sample = sample_values(packed)
    regressors = clock.regressors(statistics.harmonics)[sample.frames]
    pieces = []
    for piece in sample.pieces:
        region = piece.rows, piece.columns
        pieces.append(np.stack([statistics.forward(s, regressors, region) for s in piece.values]))
    found = Propensity.estimate(pieces, sample.frames, regressors)
    for line in found.describe([channel.label for channel in spec.channels]):
        log.info("%s", line)
    return found
