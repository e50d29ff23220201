"""What a fit leaves behind, and how it is written to and read from a file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import torch

from ._typing import BoolArray
from .calendar import Clock
from .calibration import Calibration
from .checkpoint import read, write
from .denoiser import Denoiser
from .exceptions import CompatibilityError
from .history import History
from .preparation import Preparation, below

__all__ = ["Fitted"]

FASTER = 1.5


@dataclass(kw_only=True)
class Fitted(Preparation):
    """A trained network with everything needed to apply it: what was decided, and what came of it.

    Parameters
    ----------
    method : str
        Name in :data:`xdiffimpute.methods.METHODS`.
    denoiser : Denoiser
    sampler : str
        What measured better on the withheld observations.
    calibration : dict of str to Calibration
        For each sampler, what its standard error is made from.
    seed : int
    history : History
    step : float, optional
        Days from frame to frame.
    skill : dict
        The table of withheld skill, by variable and method, as numbers.
    """

    method: str
    denoiser: Denoiser
    sampler: str
    calibration: dict[str, Calibration]
    seed: int
    history: History
    step: float | None = None
    skill: dict[str, Any] = field(default_factory=dict)

    def domain(self) -> BoolArray:
        """Cells that the data of the fit taught something about, shape (C, H, W)."""
        return ~self.unreachable

    def calibration_of(self, sampler: str) -> Calibration:
        """What a sampler's standard error is made from.

        Of one that was not judged: of the one whose variance it takes over, the ensemble, or of
        whichever was judged.
        """
        judged = self.calibration
        return judged.get(sampler, judged.get("ensemble", next(iter(judged.values()))))

    def check_clock(self, clock: Clock) -> None:
        """Refuse times that the fit says nothing about.

        Raises
        ------
        CompatibilityError
            If the climatology has a season and the data no dates, or frames follow one another
            much faster or slower than in the fit.
        """
        if self.statistics.harmonics and not clock.dated:
            raise CompatibilityError(
                "the imputer was fitted with a seasonal climatology, and these data have no dates; "
                "give them a time coordinate of dates, as xr.decode_cf does"
            )
        step = clock.step
        if self.step is None or step is None or 1 / FASTER <= step / self.step <= FASTER:
            return
        raise CompatibilityError(
            f"the imputer was fitted on frames {self.step:g} days apart, these are {step:g} days "
            "apart; bring them to the same interval with ds.resample(...) or ds.asfreq, or fit on "
            "these data"
        )

    def save(self, path: str | os.PathLike[str], versions: dict[str, str]) -> None:
        """Write one file (see :mod:`xdiffimpute.checkpoint`)."""
        tensors, config = self.to_arrays()
        for name, value in self.denoiser.state_dict().items():
            tensors[f"denoiser.{name}"] = value.detach().cpu().numpy()
        config |= {
            "method": self.method,
            "denoiser": self.denoiser.to_dict(),
            "sampler": self.sampler,
            "calibration": {k: v.to_dict() for k, v in self.calibration.items()},
            "seed": self.seed,
            "history": self.history.to_dict(),
            "step": self.step,
            "skill": self.skill,
            "versions": versions,
        }
        write(path, tensors, config)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Fitted:
        """Read what :meth:`save` wrote, onto the CPU."""
        tensors, config = read(path)
        denoiser = Denoiser.from_dict(config["denoiser"])
        state = {k: torch.from_numpy(v) for k, v in below(tensors, "denoiser.").items()}
        denoiser.load_state_dict(state)
        denoiser.eval().requires_grad_(False)
        return cls(
            method=config["method"],
            denoiser=denoiser,
            sampler=config["sampler"],
            calibration={k: Calibration.from_dict(v) for k, v in config["calibration"].items()},
            seed=config["seed"],
            history=History.from_dict(config["history"]),
            step=config["step"],
            skill=config["skill"],
            **cls.decisions(tensors, config),
        )
