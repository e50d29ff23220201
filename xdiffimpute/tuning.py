"""The climatology and the settings of a method, chosen by its errors at hidden observations."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from .blockwise import FrameMethod
from .calendar import Clock
from .exceptions import ImputeError
from .geometry import Geometry
from .transforms import Statistics
from .trials import Trial, without

__all__ = ["KINDS", "Tuner", "check_setting", "in_doubt"]

log = logging.getLogger("xdiffimpute")

M = TypeVar("M", bound=FrameMethod)

SWEEPS = 2
MOST_CELLS = 10**7
KINDS = ("variable", "cell")


@dataclass(frozen=True)
class Tuner:
    """Chooses the climatology and the settings of a method by its errors in trials.

    Parameters
    ----------
    packed : DataArray, dims (series, time, channel, y, x)
    clock : Clock
    geometry : Geometry
    trials : list of Trial
    seed : int
    """

    packed: xr.DataArray
    clock: Clock
    geometry: Geometry
    trials: list[Trial]
    seed: int

    def statistics(self, kind: str, method: FrameMethod) -> Statistics:
        """The climatology asked for, or what does better where ``"auto"`` is in doubt.

        A record too short for a mean of each cell may still gain by one drawn towards its
        neighbours, and means of cells that do not differ are noise, however long the record; they
        are estimated without the hidden cells to find out.
        """
        found = Statistics.fit(self.packed, self.clock, kind=kind)
        if not self.trials or not in_doubt(kind, found) or self.packed.size > MOST_CELLS:
            return found
        whole = replace(self, packed=self.packed.compute())  # a pass for each trial and kind
        errors = {name: whole._with_kind(method, name, found) for name in KINDS}
        best = min(errors, key=lambda name: errors[name])
        log.info(
            "%s: climatology by %s (mean square error at hidden observations: %s)", method.name,
            best, ", ".join(f"by {name} {error:.3g}" for name, error in errors.items()),
        )  # fmt: skip
        return found if best == found.kind else Statistics.fit(self.packed, self.clock, kind=best)

    def _with_kind(self, method: FrameMethod, kind: str, reference: Statistics) -> float:
        """Mean square error in units of a reference's spread; hidden cells are no part of it."""
        squares = []
        for trial in self.trials:
            one = replace(self, trials=[trial])
            seen = Statistics.fit(without(self.packed, trial), self.clock, kind=kind)
            unit = (seen.scale / reference.scale)[:, 0, 0] ** 2
            squares += [one.error(method, c, seen) * unit[c] for c in range(len(unit))]
        return float(np.mean(squares))

    def settings(
        self, method: M, channel: int, label: str, statistics: Statistics,
        candidates: Mapping[str, Sequence[Any]],
    ) -> M:  # fmt: skip
        """The method with the best value of each setting, one after the other, twice.

        Parameters
        ----------
        method : FrameMethod
            With a method ``variant(**settings)``.
        channel : int
        label : str
        statistics : Statistics
        candidates : mapping of str to sequence
            Values to try; of settings that are fixed, only one.
        """
        open_ = {knob: tried for knob, tried in candidates.items() if len(tried) > 1}
        if not open_ or not self.trials:
            return method
        errors: dict[tuple[Any, ...], float] = {}
        combination: dict[str, Any] = {knob: tried[0] for knob, tried in open_.items()}
        for _ in range(SWEEPS if len(open_) > 1 else 1):
            for knob, tried in open_.items():
                for value in tried:
                    key = tuple((combination | {knob: value}).values())
                    if key not in errors:
                        other = method.variant(**(combination | {knob: value}))
                        errors[key] = self.error(other, channel, statistics)
                winner = min(errors, key=errors.__getitem__)
                combination = dict(zip(open_, winner, strict=True))
        best = min(errors.values())
        method = method.variant(**combination)
        log.info(
            "%s of %s: %s, root mean square error %.3g of the spread at %d hidden observations",
            method.name, label, ", ".join(f"{k} {method.settings[k]}" for k in open_),
            np.sqrt(best),
            sum(int(trial.hidden[channel].sum()) for trial in self.trials),
        )  # fmt: skip
        return method

    def error(self, method: FrameMethod, channel: int, statistics: Statistics) -> float:
        """Mean square error at the hidden cells, in standardised units.

        The climatology has seen them, which is a little kind to settings that stay near it.
        """
        regressors = self.clock.regressors(statistics.harmonics)
        total, count = 0.0, 0
        for k, trial in enumerate(self.trials):
            hidden = trial.hidden[channel]
            if not hidden.any():
                continue
            region = (trial.rows, trial.columns)
            phi = regressors[trial.times]
            z = statistics.forward(trial.values, phi, region)[:, channel]
            truth = statistics.forward(trial.truth[None], phi[[trial.now]], region)[0, channel]
            domain = statistics.domain[channel][region] | hidden
            if method.pointwise:
                domain = hidden = trial.sample(channel, self.seed + k)
            geometry = self.geometry.crop(*region).at(self.clock.days[trial.times])
            core = slice(trial.now, trial.now + 1)
            guess, _, _ = method.complete(np.ascontiguousarray(z), domain, geometry, core)
            total += float(np.square(guess[0] - truth, dtype=np.float64)[hidden].sum())
            count += int(hidden.sum())
        return total / count if count else 0.0


def in_doubt(kind: str, found: Statistics) -> bool:
    """Whether the climatology is to be chosen, and a mean of each cell may or may not do better."""
    return kind == "auto" and found.kind in KINDS


def check_setting(method: str, knob: str, value: Any, tried: tuple[Any, ...]) -> None:
    """Refuse a value that a setting cannot have.

    Names must be among those tried; numbers positive, or zero where zero is tried.

    Raises
    ------
    ImputeError
    """
    if isinstance(tried[0], str):
        if value not in tried:
            raise ImputeError(f"{method!r}: {knob}={value!r} is not one of {list(tried)}")
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    whole = all(isinstance(v, int) for v in tried)
    least = 0 if 0 in tried else 1 if whole else 1e-6
    if not number or not value >= least or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise ImputeError(
            f"{method!r}: {knob}={value!r} is not {kind} of at least {least}; "
            f"try {tried[0]!r}, or leave it out to have it tuned"
        )
