"""What a fit leaves behind, and how it is written to and read from a file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch

from ._typing import AnyArray, BoolArray, FloatArray
from .calendar import Clock
from .checkpoint import read, write
from .denoiser import Denoiser
from .exceptions import CompatibilityError
from .fields import FieldSpec
from .partition import Partition
from .training import History
from .transforms import Statistics
from .withholding import Withheld

__all__ = ["Fitted"]

FASTER = 1.5
ON_BOTH = ("latitude", "longitude")  # of a curvilinear grid


@dataclass
class Fitted:
    """A trained network with everything needed to apply it.

    Parameters
    ----------
    method : str
        Name in :data:`xdiffimpute.methods.METHODS`.
    spec : FieldSpec
        Variables, units and grid it was fitted on.
    statistics : Statistics
        Of observed, not withheld, cells.
    partition : Partition
    reason : str
        Why this partition.
    denoiser : Denoiser
    window : int
    tile : (int, int)
    sampler : str
        What measured better on the withheld observations.
    density : float
        Share of cells in a training context (Appendix H.5).
    inflation : dict of str to float array, shape (C,)
        For each sampler, the factor of the standard error.
    withheld : Withheld
    seed : int
    history : History
    unreachable : bool array, shape (C, H, W)
        Cells of zero query exposure, whose fill would be arbitrary (Theorem 1).
    step : float, optional
        Days from frame to frame.
    skill : dict
        The table of withheld skill, by variable and method, as numbers.
    """

    method: str
    spec: FieldSpec
    statistics: Statistics
    partition: Partition
    reason: str
    denoiser: Denoiser
    window: int
    tile: tuple[int, int]
    sampler: str
    density: float
    inflation: dict[str, FloatArray]
    withheld: Withheld
    seed: int
    history: History
    unreachable: BoolArray
    step: float | None = None
    skill: dict[str, Any] = field(default_factory=dict)

    def domain(self) -> BoolArray:
        """Cells that the data of the fit taught something about, shape (C, H, W)."""
        return ~self.unreachable

    def inflation_of(self, sampler: str) -> FloatArray:
        """The factor of a sampler's standard error, shape (C,).

        Of one that was not judged: of the one whose variance it takes over, the ensemble, or of
        whichever was judged.
        """
        judged = self.inflation
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
        arrays, small = self.statistics.to_arrays()
        tensors: dict[str, AnyArray] = {f"statistics.{k}": v for k, v in arrays.items()}
        for name, value in self.denoiser.state_dict().items():
            tensors[f"denoiser.{name}"] = value.detach().cpu().numpy()
        tensors["unreachable"] = self.unreachable
        tensors |= {f"withheld.{k}": v for k, v in self.withheld.to_arrays().items()}
        if self.partition.library is not None:
            tensors["library"] = np.packbits(self.partition.library)
            tensors["library_shape"] = np.array(self.partition.library.shape)
        spec = self.spec.to_dict()
        for name in ON_BOTH:  # as text they would outgrow the header of the file
            if isinstance(spec["grid"][name], list):
                tensors[f"grid.{name}"] = np.asarray(spec["grid"][name])
                spec["grid"][name] = None
        config = {
            "method": self.method,
            "spec": spec,
            "statistics": small,
            "partition": self.partition.to_dict(),
            "reason": self.reason,
            "denoiser": self.denoiser.to_dict(),
            "window": self.window,
            "tile": list(self.tile),
            "sampler": self.sampler,
            "density": self.density,
            "inflation": {k: v.tolist() for k, v in self.inflation.items()},
            "seed": self.seed,
            "history": {f.name: getattr(self.history, f.name) for f in fields(History)},
            "step": self.step,
            "skill": self.skill,
            "versions": versions,
        }
        write(path, tensors, config)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Fitted:
        """Read what :meth:`save` wrote, onto the CPU."""
        tensors, config = read(path)
        config["spec"]["grid"] |= _below(tensors, "grid.")
        denoiser = Denoiser.from_dict(config["denoiser"])
        state = {k: torch.from_numpy(v) for k, v in _below(tensors, "denoiser.").items()}
        denoiser.load_state_dict(state)
        denoiser.eval().requires_grad_(False)
        library = None
        if "library" in tensors:
            shape = tuple(int(n) for n in tensors["library_shape"])
            bits = np.unpackbits(tensors["library"], count=int(np.prod(shape)))
            library = bits.astype(bool).reshape(shape)
        return cls(
            method=config["method"],
            spec=FieldSpec.from_dict(config["spec"]),
            statistics=Statistics.from_arrays(_below(tensors, "statistics."), config["statistics"]),
            partition=Partition.from_dict(config["partition"], library),
            reason=config["reason"],
            denoiser=denoiser,
            window=config["window"],
            tile=(config["tile"][0], config["tile"][1]),
            sampler=config["sampler"],
            density=config["density"],
            inflation={k: np.asarray(v) for k, v in config["inflation"].items()},
            withheld=Withheld.from_arrays(_below(tensors, "withheld.")),
            seed=config["seed"],
            history=History(**config["history"]),
            unreachable=tensors["unreachable"].astype(bool),
            step=config["step"],
            skill=config["skill"],
        )


def _below(tensors: dict[str, AnyArray], prefix: str) -> dict[str, AnyArray]:
    """Entries under a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
