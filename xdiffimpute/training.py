"""The optimisation: AdamW, warm-up and decay, gradient clipping, and an average of the weights.

Progress is the larger of the shares of the steps and of the time that are used up; the
learning rate follows it, so a run limited by time ends as annealed as one limited by steps.
Runs limited by ``steps`` alone are deterministic on a CPU.
"""

from __future__ import annotations

import copy
import logging
import math
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .denoiser import Denoiser
from .exceptions import ImputeError
from .planning import has_bfloat16
from .progress import progress_bar
from .streaming import Batch

__all__ = ["History", "Training", "parse_time", "train"]

log = logging.getLogger("xdiffimpute")

UNITS = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "hour": 3600.0, "d": 86400.0}


def parse_time(limit: str | float | None) -> float | None:
    """Seconds in a time limit.

    Parameters
    ----------
    limit : str, float or None
        ``"90s"``, ``"5min"``, ``"1.5h"``, or a number of seconds.

    Returns
    -------
    float or None

    Raises
    ------
    ImputeError
        If it cannot be understood.

    Examples
    --------
    >>> parse_time("5min"), parse_time(30), parse_time(None)
    (300.0, 30.0, None)
    """
    if limit is None:
        return None
    if isinstance(limit, str):
        match = re.fullmatch(r"\s*([0-9.]+)\s*([a-z]*?)s?\s*", limit.lower())
        unit = (match.group(2) or "s") if match else ""
        try:
            seconds = float(match.group(1)) * UNITS[unit] if match else 0.0
        except (KeyError, ValueError):
            seconds = 0.0
    else:
        seconds = float(limit)
    if not 0.0 < seconds < math.inf:
        raise ImputeError(
            f"max_time={limit!r} is not a time; write for example max_time='5min', '90s', '2h', "
            "or a positive number of seconds"
        )
    return seconds


@dataclass(frozen=True)
class Training:
    """Settings of the optimisation.

    Parameters
    ----------
    steps : int, optional
        Limit on the number of updates.
    seconds : float, optional
        Limit on the time.
    rate : float
        Peak learning rate.
    warmup : int
        Updates over which it rises.
    decay : float
        Weight decay of AdamW.
    clip : float
        Largest norm of the gradient.
    average : float
        Limit of the exponential moving average's memory, 1 - 1/updates.
    checks : int
        How often the withheld observations are looked at.
    patience : float
        Stop when the withheld error has not improved for this share of the run.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> imputer = xdi.DiffusionImputer(steps=500, training={"rate": 1e-3})
    >>> imputer.options.settings().rate
    0.001
    """

    steps: int | None = None
    seconds: float | None = None
    rate: float = 1.5e-3
    warmup: int = 50
    decay: float = 1e-2
    clip: float = 1.0
    average: float = 0.995
    checks: int = 12
    patience: float = 0.5


@dataclass
class History:
    """What happened: losses, withheld errors (both in standardised units, squared) and cost."""

    steps: int = 0
    seconds: float = 0.0
    loss: list[tuple[int, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    stopped: str = ""


class _Average:
    """Exponential moving average of a model's weights."""

    def __init__(self, model: Denoiser, limit: float) -> None:
        self.model: Denoiser = copy.deepcopy(model).eval().requires_grad_(False)
        self.limit = limit

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        keep = min(self.limit, (1.0 + step) / (10.0 + step))
        mine: list[Tensor] = list(self.model.parameters())
        theirs: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(mine, theirs, 1.0 - keep)


def train(
    denoiser: Denoiser,
    source: Iterator[Batch],
    settings: Training,
    *,
    validate: Callable[[Denoiser], float] | None,
    device: torch.device,
    seed: int,
    progress: bool,
) -> tuple[Denoiser, History]:
    """Train, and return the averaged network of the best check.

    Parameters
    ----------
    denoiser : Denoiser
        On ``device``; trained in place.
    source : iterator of Batch
    settings : Training
        At least one of ``steps`` and ``seconds``.
    validate : callable, optional
        From a network to its error at withheld observations.
    device : torch.device
    seed : int
    progress : bool
        Whether to show a bar on standard error.

    Returns
    -------
    denoiser : Denoiser
        The moving average with the lowest withheld error, in evaluation mode.
    history : History
    """
    optimiser = torch.optim.AdamW(
        denoiser.parameters(), lr=settings.rate, betas=(0.9, 0.98), weight_decay=settings.decay
    )
    average = _Average(denoiser, settings.average)
    generator = torch.Generator(device=device).manual_seed(seed)
    history, best, kept = History(), math.inf, average.model.state_dict()
    best_at, check, began, done = 0.0, 1, time.monotonic(), 0.0
    total = settings.steps if settings.seconds is None else None
    bar = progress_bar(show=progress, desc="fit", unit="step", total=total)
    running, trained = 0.0, math.inf
    if validate is not None:
        best = validate(average.model)
        kept = copy.deepcopy(kept)
        history.validation.append((0, best))
        began = time.monotonic()
    with bar:
        while done < 1.0:
            for group in optimiser.param_groups:
                group["lr"] = settings.rate * _shape(done, history.steps, settings.warmup)
            loss = _update(denoiser, next(source).to(device), optimiser, settings, generator)
            average.update(denoiser, history.steps)
            history.steps += 1
            running = loss if history.steps == 1 else 0.98 * running + 0.02 * loss
            done = _progress(history.steps, time.monotonic() - began, settings)
            bar.update(1)
            if done * settings.checks >= check or done >= 1.0:
                check = int(done * settings.checks) + 1
                history.loss.append((history.steps, running))
                error = validate(average.model) if validate is not None else running
                history.validation.append((history.steps, error))
                if error < trained:
                    trained, best_at = error, done
                if error < best:
                    best, kept = error, copy.deepcopy(average.model.state_dict())
                elif done - best_at > settings.patience:
                    history.stopped = "the withheld error had stopped falling"
                    break
                done = max(done, _progress(history.steps, time.monotonic() - began, settings))
            if history.steps % 10 == 0:
                last = history.validation[-1][1] if history.validation else float("nan")
                bar.set_postfix(
                    loss=f"{running:.4f}", withheld=f"{last:.4f}", done=f"{done:.0%}", refresh=False
                )
            if not math.isfinite(running):
                raise ImputeError(
                    "training diverged: the loss is not finite; look for outliers with "
                    "ds.impute.observed() and ds.quantile([0, 1]), or try log=[...] for a skewed "
                    "variable"
                )
    average.model.load_state_dict(kept)
    history.seconds = time.monotonic() - began
    history.stopped = history.stopped or "the limit was reached"
    return average.model, history


def _update(
    denoiser: Denoiser,
    batch: Batch,
    optimiser: torch.optim.Optimizer,
    settings: Training,
    generator: torch.Generator,
) -> float:
    denoiser.train()
    device = batch.x.device
    t = denoiser.sample_time(len(batch.x), generator, device)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=has_bfloat16(device)):
        objective, loss = denoiser.loss(
            batch.x, batch.context, batch.query, batch.features, t, generator, batch.offsets
        )
    optimiser.zero_grad(set_to_none=True)
    objective.backward()
    nn.utils.clip_grad_norm_(denoiser.parameters(), settings.clip)
    optimiser.step()
    return float(loss)


def _progress(steps: int, seconds: float, settings: Training) -> float:
    shares = [0.0]
    if settings.steps is not None:
        shares.append(steps / settings.steps)
    if settings.seconds is not None:
        shares.append(seconds / settings.seconds)
    return max(shares)


def _shape(done: float, step: int, warmup: int) -> float:
    """Learning rate as a share of its peak: linear warm-up, then a cosine to 1%."""
    rise = min(1.0, (step + 1) / warmup)
    return rise * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done))))
