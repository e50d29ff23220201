"""The optimisation: AdamW, warm-up and decay, gradient clipping, and an average of the weights.

Progress is the larger of the shares of the steps and of the time that are used up; the
learning rate follows it, so a run limited by time ends as annealed as one limited by steps.
Runs limited by ``steps`` alone are deterministic on a CPU.
"""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .checkpoint_folder import CheckpointFolder, Content
from .denoiser import Denoiser, crop
from .exceptions import ImputeError
from .history import LIMIT, History
from .interruption import Interruption
from .parallel import ALONE, Ranks
from .planning import has_bfloat16
from .pool import Position
from .progress import progress_bar
from .state import Average, TrainingState
from .streaming import Batch
from .telemetry import Telemetry
from .training_log import TrainingLog

__all__ = ["Training", "train"]

log = logging.getLogger("xdiffimpute")

LOOK_EVERY = 10
CELLS_AT_ONCE = (50_000, 1_000_000)  # whose layers are kept for the gradient: on a CPU, on a GPU


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


def train(
    denoiser: Denoiser,
    source: Iterator[Batch],
    settings: Training,
    *,
    validate: Callable[[Denoiser], float] | None,
    device: torch.device,
    seed: int,
    progress: bool,
    folder: CheckpointFolder | None = None,
    saved: Content | None = None,
    rows: TrainingLog | None = None,
    ranks: Ranks = ALONE,
    position: Position | None = None,
) -> tuple[Denoiser, History]:
    """Train, and return the averaged network of the best check.

    Parameters
    ----------
    denoiser : Denoiser
        On ``device``; trained in place.
    source : iterator of Batch
        From the position of ``saved`` on.
    settings : Training
        At least one of ``steps`` and ``seconds``.
    validate : callable, optional
        From a network to its error at withheld observations.
    device : torch.device
    seed : int
    progress : bool
        Whether to show a bar on standard error.
    folder : CheckpointFolder, optional
        For checkpoints, at intervals, at the end, and when the process is asked to stop.
    saved : Content, optional
        Of a checkpoint to go on from.
    rows : TrainingLog, optional
    ranks : Ranks
        The processes that train together; ``source`` gives this one's share of each batch.
    position : Position, optional
        Of ``source`` before the first step.

    Returns
    -------
    denoiser : Denoiser
        The moving average with the lowest withheld error, in evaluation mode.
    history : History

    Raises
    ------
    ImputeError
        If the loss is not finite any more.
    TrainingInterrupted, KeyboardInterrupt
        After SIGTERM and SIGINT, where there is a folder for checkpoints: once it is saved.
    """
    optimiser = torch.optim.AdamW(
        denoiser.parameters(), lr=settings.rate, betas=(0.9, 0.98), weight_decay=settings.decay
    )
    average = Average(denoiser, settings.average)
    state = TrainingState(denoiser, average, optimiser, seed=seed, device=device)
    if saved is not None:
        state.restore(*saved)
    elif position is not None:
        state.position = position
    if ranks.rank:
        state.part(ranks.rank)
    loop = _Loop(state, source, settings, validate, folder, rows, ranks)
    if saved is None and validate is not None:
        state.best = loop.judge()
        state.history.validation.append((0, state.best))
    if saved is None and folder is not None and ranks.first:
        folder.save(0, *state.to_arrays())
    loop.run(progress=progress)
    average.model.load_state_dict(state.kept)
    return average.model, state.history


class _Loop:
    """The steps of a training, its checks and its checkpoints."""

    def __init__(
        self,
        state: TrainingState,
        source: Iterator[Batch],
        settings: Training,
        validate: Callable[[Denoiser], float] | None,
        folder: CheckpointFolder | None,
        rows: TrainingLog | None,
        ranks: Ranks,
    ) -> None:
        self.state, self.source, self.settings = state, source, settings
        self.validate, self.folder, self.rows, self.ranks = validate, folder, rows, ranks
        self.history = state.history
        self.telemetry = Telemetry(state.history, state.device)
        self.began = time.monotonic() - state.history.seconds
        self.done = self._progress() if state.history.steps else 0.0
        if state.history.stopped and self.done < 1.0:
            self._go_on()

    def run(self, *, progress: bool) -> None:
        total = self.settings.steps if self.settings.seconds is None else None
        bar = progress_bar(
            show=progress, desc="fit", unit="step", total=total, initial=self.history.steps
        )
        with bar, Interruption(listen=self.folder is not None) as interruption:
            while not self.history.stopped:
                self._step()
                bar.update(1)
                checked = self.done * self.settings.checks >= self.state.check or self.done >= 1.0
                if checked:
                    self._check()
                if checked or self.history.steps % LOOK_EVERY == 0:
                    bar.set_postfix(self._look(checked), refresh=False)
                if not math.isfinite(self.state.running):
                    raise ImputeError(
                        "training diverged: the loss is not finite; look for outliers with "
                        "ds.impute.observed() and ds.quantile([0, 1]), or try log=[...] for a "
                        "skewed variable"
                    )
                self._save(interruption)

    def _go_on(self) -> None:
        """After a training that had ended, with a limit that was raised since."""
        self.history.stopped = ""
        self.state.check = int(self.done * self.settings.checks) + 1
        self.state.best_at = self.done

    def _step(self) -> None:
        state, history, settings = self.state, self.history, self.settings
        batch = self.telemetry.draw(self.source)
        for group in state.optimiser.param_groups:
            group["lr"] = self._rate()
        batch = batch.to(state.device)
        loss, samples = _update(
            state.denoiser, batch, state.optimiser, settings, state.generator, self.ranks
        )
        state.average.update(state.denoiser, history.steps)
        state.position = batch.position
        history.steps += 1
        history.samples += samples
        state.running = loss if history.steps == 1 else 0.98 * state.running + 0.02 * loss
        self.done = self._progress()

    def judge(self) -> float:
        """The first process's withheld error of the average, or its loss where none is watched."""
        error = self.state.running
        if self.validate is not None and self.ranks.first:
            error = self.validate(self.state.average.model)
        return self.ranks.agreed(error)

    def _check(self) -> None:
        """Judge the average, keep the best, and see whether it is time to stop."""
        state, history = self.state, self.history
        state.check = int(self.done * self.settings.checks) + 1
        history.loss.append((history.steps, state.running))
        error = self.judge()
        history.validation.append((history.steps, error))
        if error < state.best_trained:
            state.best_trained, state.best_at = error, self.done
        if error < state.best:
            state.best = error
            state.keep()
        elif self.done - state.best_at > self.settings.patience:
            history.stopped = "the withheld error had stopped falling"
        self.done = max(self.done, self._progress())
        if self.done >= 1.0 and not history.stopped:
            history.stopped = LIMIT

    def _look(self, checked: bool) -> dict[str, str]:
        """Write a row of the log, and say how it goes for the bar."""
        state, history = self.state, self.history
        numbers = self.telemetry.look()
        last = history.validation[-1][1] if history.validation else math.nan
        if self.rows is not None:
            row = {"step": history.steps, "seconds": history.seconds, "loss": state.running}
            row |= {"withheld": last} if checked else {}
            self.rows.write(row | {"learning_rate": self._rate()} | numbers)
        return {
            "loss": f"{state.running:.4f}",
            "withheld": f"{last**0.5:.4f}",
            "done": f"{min(self.done, 1.0):.0%}",
            "samples/s": f"{numbers['samples_per_second']:.0f}",
            "waiting": f"{numbers['waiting']:.0%}",
            "memory": f"{numbers['memory'] / 2**20:.0f} MiB",
        }

    def _save(self, interruption: Interruption) -> None:
        """Write a checkpoint if it is time, or the end, or if the process has to stop."""
        if self.folder is None:
            return
        steps = self.history.steps
        if self.ranks.either(interruption.received is not None):
            interruption.received = interruption.received or signal.SIGTERM
        received = interruption.received
        if self.ranks.first and (received or self.history.stopped or self.folder.due()):
            self.folder.save(steps, *self.state.to_arrays())
        if received is not None:
            interruption.stop(
                f"training was stopped by {received.name} after {steps} steps and is saved in "
                f"{str(self.folder.path)!r}; go on by the same call with resume=True (on the "
                "command line: the same command with --resume)"
            )

    def _rate(self) -> float:
        """The learning rate of the next step."""
        settings = self.settings
        return settings.rate * _shape(self.done, self.history.steps, settings.warmup)

    def _progress(self) -> float:
        """Share of the run that is done."""
        self.history.seconds = time.monotonic() - self.began
        done = _progress(self.history.steps, self.history.seconds, self.settings)
        return self.ranks.agreed(done)


def _update(
    denoiser: Denoiser,
    batch: Batch,
    optimiser: torch.optim.Optimizer,
    settings: Training,
    generator: torch.Generator,
    ranks: Ranks,
) -> tuple[float, int]:
    """A step; the loss of this process's samples, and the number of all processes' samples."""
    denoiser.train()
    device = batch.x.device
    t = denoiser.sample_time(len(batch.x), generator, device)
    optimiser.zero_grad(set_to_none=True)
    cells, loss = _queried(batch), torch.zeros((), device=device)
    for part, times in zip(*_parts(batch, t), strict=True):
        share = _queried(part) / cells.clamp(min=1.0)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=has_bfloat16(device)):
            objective, found = denoiser.loss(
                part.x, part.context, part.query, part.features, times, generator, part.offsets,
                part.weights,
            )  # fmt: skip
        (share * objective).backward()
        loss += share * found
    weight = float(cells) if ranks.size > 1 else 0.0
    samples = ranks.sum_gradients(denoiser.parameters(), len(batch.x), weight)
    nn.utils.clip_grad_norm_(denoiser.parameters(), settings.clip)
    optimiser.step()
    return float(loss), samples


def _parts(batch: Batch, t: Tensor) -> tuple[list[Batch], Sequence[Tensor]]:
    """The samples in parts that go through the network one after the other, and their times."""
    cells = batch.x[0, :, :, 0, 0].numel() * batch.features[0, 0, 0].numel()
    size = max(1, CELLS_AT_ONCE[batch.x.device.type != "cpu"] // cells)
    return batch.split(size), t.split(size)


def _queried(batch: Batch) -> Tensor:
    """Number of cells that the loss is taken over."""
    size = (batch.features.shape[-2], batch.features.shape[-1])
    return crop(batch.query, batch.offsets, size).sum()


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
