"""Everything that the next step of a training depends on, and how a file holds it."""

from __future__ import annotations

import copy
import logging
import math
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from ._typing import AnyArray
from .denoiser import Denoiser
from .history import History
from .pool import Position

__all__ = ["Average", "TrainingState"]

log = logging.getLogger("xdiffimpute")


class Average:
    """Exponential moving average of a model's weights.

    Parameters
    ----------
    model : Denoiser
    limit : float
        Of its memory, 1 - 1/updates.
    """

    def __init__(self, model: Denoiser, limit: float) -> None:
        self.model: Denoiser = copy.deepcopy(model).eval().requires_grad_(False)
        self.limit = limit

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the weights after a step."""
        keep = min(self.limit, (1.0 + step) / (10.0 + step))
        mine: list[Tensor] = list(self.model.parameters())
        theirs: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(mine, theirs, 1.0 - keep)


class TrainingState:
    """A training after some steps.

    Parameters
    ----------
    denoiser : Denoiser
    average : Average
    optimiser : Optimizer
    seed : int
        Of the noise and the diffusion times.
    device : torch.device

    Attributes
    ----------
    generator : torch.Generator
    history : History
    kept : dict of str to Tensor
        The average of the best check.
    best, best_trained, best_at : float
        Lowest error; lowest of the checks after the first step; the share of the run when that
        was seen.
    check : int
        Number of the next check.
    running : float
        Running mean of the loss.
    position : Position
        Of the stream of batches.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        average: Average,
        optimiser: torch.optim.Optimizer,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        self.denoiser, self.average, self.optimiser = denoiser, average, optimiser
        self.seed, self.device = seed, device
        self.generator = torch.Generator(device=device).manual_seed(seed)
        self.history = History()
        self.best, self.best_trained, self.best_at = math.inf, math.inf, 0.0
        self.check, self.running = 1, 0.0
        self.position = Position()
        self.kept: dict[str, Tensor] = {}
        self.keep()

    def part(self, rank: int) -> None:
        """Draw other noise than the first process, from here on."""
        self.generator.manual_seed(self.seed + (rank << 32) + self.history.steps)

    def keep(self) -> None:
        """Take the present average for the best."""
        self.kept = copy.deepcopy(self.average.model.state_dict())

    def to_arrays(self) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        """Arrays, and the rest as JSON can hold it."""
        tensors: dict[str, Tensor] = {"generator": self.generator.get_state()}
        for name, weights in (
            ("denoiser", self.denoiser.state_dict()),
            ("average", self.average.model.state_dict()),
            ("kept", self.kept),
        ):
            tensors |= {f"{name}.{k}": v for k, v in weights.items()}
        for number, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{k}": v for k, v in moments.items()}
        config = {
            "history": self.history.to_dict(),
            "best": _finite(self.best),
            "best_trained": _finite(self.best_trained),
            "best_at": self.best_at,
            "check": self.check,
            "running": self.running,
            "position": asdict(self.position),
            "device": self.device.type,
        }
        return {k: v.detach().cpu().numpy() for k, v in tensors.items()}, config

    def restore(self, arrays: dict[str, AnyArray], config: dict[str, Any]) -> None:
        """Go back to what :meth:`to_arrays` gave, of a denoiser of the same shape."""
        tensors = {k: torch.from_numpy(v) for k, v in arrays.items()}
        self.denoiser.load_state_dict(_below(tensors, "denoiser."))
        self.average.model.load_state_dict(_below(tensors, "average."))
        self.kept = {k: v.to(self.device) for k, v in _below(tensors, "kept.").items()}
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _below(tensors, "optimiser.").items():
            number, _, key = name.partition(".")
            moments.setdefault(int(number), {})[key] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self.history = History.from_dict(config["history"])
        self.best = _infinite(config["best"])
        self.best_trained = _infinite(config["best_trained"])
        self.best_at, self.check = config["best_at"], config["check"]
        self.running = config["running"]
        self.position = Position.from_dict(config["position"])
        if config["device"] == self.device.type:
            self.generator.set_state(tensors["generator"])
        else:
            log.warning(
                "the training began on %s and goes on on %s, with other noise: the result is not "
                "that of an undisturbed run", config["device"], self.device.type,
            )  # fmt: skip
            self.generator.manual_seed(self.seed + self.history.steps)


def _finite(number: float) -> float | None:
    """JSON has no infinity."""
    return number if math.isfinite(number) else None


def _infinite(number: float | None) -> float:
    return math.inf if number is None else number


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
