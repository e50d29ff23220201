"""What a user may ask of a fit."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from .arguments import is_whole
from .backbones import BACKBONES
from .checkpoint_folder import CheckpointFolder
from .durations import parse_time
from .exceptions import ImputeError, UnknownNameError
from .fields import FieldSpec
from .partition import Partition
from .training import Training
from .training_log import check_log

__all__ = ["Options"]

DEFAULT_TIME = "10min"
# Those that may be others when a training is resumed.
FREE = {
    "device", "progress", "summary", "checkpoint", "checkpoint_every", "resume", "log_to",
}  # fmt: skip


@dataclass(frozen=True)
class Options:
    """What a user may ask of a fit; the accessor documents each."""

    variables: Sequence[str] | None = None
    time: str | None = None
    y: str | None = None
    x: str | None = None
    extra_dims: str | Mapping[str, str] = "series"
    partition: str | Partition = "auto"
    statistics: str = "auto"
    log: Sequence[str] = ()
    propensity: bool = False
    covariates: Sequence[str] = ()
    window: int | None = None
    tile: int | None = None
    size: str = "auto"
    batch: int | None = None
    steps: int | None = None
    max_time: str | float | None = None
    device: str | None = None
    seed: int = 0
    progress: bool = True
    method: str = "standard"
    backbone: str = "unet"
    schedule: str = "vp"
    training: Mapping[str, Any] = field(default_factory=dict)
    summary: bool = True
    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_every: str | float | None = None
    resume: bool = False
    log_to: str | os.PathLike[str] | None = None

    def settings(self) -> Training:
        """The settings of the optimisation.

        Raises
        ------
        ImputeError
            If a limit is not positive.
        """
        if self.steps is not None and not is_whole(self.steps, 1):
            raise ImputeError(
                f"steps={self.steps!r} must be a whole number of 1 or more, such as steps=2000"
            )
        if not is_whole(self.seed, 0):
            raise ImputeError(
                f"seed={self.seed!r} must be a whole number of 0 or more, such as seed=0"
            )
        sizes = ("auto", *BACKBONES.get(self.backbone).SIZES)
        if self.size not in sizes:
            raise UnknownNameError(f"size={self.size!r}: there are {', '.join(map(repr, sizes))}")
        if self.log_to is not None:
            check_log(self.log_to)
        limit = self.max_time
        if limit is None and self.steps is None:
            limit = DEFAULT_TIME
        return Training(steps=self.steps, seconds=parse_time(limit), **self.training)

    def folder(self) -> CheckpointFolder | None:
        """Where checkpoints go, if they are asked for.

        Raises
        ------
        ImputeError
            If checkpoints are spoken of, and no place for them is named.
        """
        if self.checkpoint is None:
            if self.resume or self.checkpoint_every is not None:
                raise ImputeError(
                    "resume= and checkpoint_every= need the folder of the checkpoints; give it "
                    "with checkpoint='run.ckpt'"
                )
            return None
        return CheckpointFolder(
            self.checkpoint, parse_time(self.checkpoint_every, "checkpoint_every")
        )

    def logarithms(self, spec: FieldSpec) -> list[bool]:
        """Which channels are learned in the logarithm.

        Raises
        ------
        ImputeError
            If a name is not that of a variable.
        """
        wanted = {self.log} if isinstance(self.log, str) else set(self.log)
        names = [v.name for v in spec.filled]
        if not wanted <= set(names):
            raise ImputeError(
                f"log={self.log!r} names {sorted(wanted - set(names))}, which are not among the "
                f"variables {names}"
            )
        return [channel.variable in wanted for channel in spec.channels]

    def to_dict(self) -> dict[str, Any]:
        """What decides the result, as JSON can hold it."""
        decisive = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in FREE}
        found: dict[str, Any] = json.loads(json.dumps({k: _plain(v) for k, v in decisive.items()}))
        return found


def _plain(value: Any) -> Any:
    """An argument as JSON can hold it; of a library of masks, its digest."""
    if hasattr(value, "to_dict"):
        library = getattr(value, "library", None)
        bits = b"" if library is None else np.packbits(library).tobytes()
        return [type(value).__name__, value.to_dict(), hashlib.blake2b(bits).hexdigest()]
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value
