"""What is decided about the data before a training, and how a file holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._typing import AnyArray, BoolArray
from .fields import FieldSpec
from .partition import Partition
from .propensity import Propensity
from .transforms import Statistics
from .withholding import Withheld

__all__ = ["Preparation", "below"]

ON_BOTH = ("latitude", "longitude")  # of a curvilinear grid


@dataclass(kw_only=True)
class Preparation:
    """The decisions of a fit, which take a few passes over the data.

    Parameters
    ----------
    spec : FieldSpec
        Variables, units and grid it was fitted on.
    statistics : Statistics
        Of observed, not withheld, cells.
    partition : Partition
    reason : str
        Why this partition.
    window : int
    tile : (int, int)
    density : float
        Share of cells in a training context (Appendix H.5).
    withheld : Withheld
    unreachable : bool array, shape (C, H, W)
        Cells of zero query exposure, whose fill would be arbitrary (Theorem 1).
    propensity : Propensity, optional
        What gives the queried cells their weights.
    """

    spec: FieldSpec
    statistics: Statistics
    partition: Partition
    reason: str
    window: int
    tile: tuple[int, int]
    density: float
    withheld: Withheld
    unreachable: BoolArray
    propensity: Propensity | None = None

    def to_arrays(self) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        """Arrays, and the rest as JSON can hold it."""
        arrays, small = self.statistics.to_arrays()
        tensors: dict[str, AnyArray] = {f"statistics.{k}": v for k, v in arrays.items()}
        tensors["unreachable"] = self.unreachable
        if self.propensity is not None:
            tensors |= {f"propensity.{k}": v for k, v in vars(self.propensity).items()}
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
            "spec": spec,
            "statistics": small,
            "partition": self.partition.to_dict(),
            "reason": self.reason,
            "window": self.window,
            "tile": list(self.tile),
            "density": self.density,
        }
        return tensors, config

    @staticmethod
    def decisions(tensors: dict[str, AnyArray], config: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a Preparation, from what :meth:`to_arrays` gave."""
        config["spec"]["grid"] |= below(tensors, "grid.")
        library = None
        if "library" in tensors:
            shape = tuple(int(n) for n in tensors["library_shape"])
            bits = np.unpackbits(tensors["library"], count=int(np.prod(shape)))
            library = bits.astype(bool).reshape(shape)
        weights = below(tensors, "propensity.")
        return {
            "spec": FieldSpec.from_dict(config["spec"]),
            "statistics": Statistics.from_arrays(
                below(tensors, "statistics."), config["statistics"]
            ),
            "partition": Partition.from_dict(config["partition"], library),
            "reason": config["reason"],
            "window": config["window"],
            "tile": (config["tile"][0], config["tile"][1]),
            "density": config["density"],
            "withheld": Withheld.from_arrays(below(tensors, "withheld.")),
            "unreachable": tensors["unreachable"].astype(bool),
            "propensity": Propensity(**weights) if weights else None,
        }


def below(tensors: dict[str, AnyArray], prefix: str) -> dict[str, AnyArray]:
    """Entries under a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
