"""From a gappy dataset to a trained network: the order of decisions of a fit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr

from .backbones import BACKBONES
from .calendar import Clock
from .coordinates import Coordinates
from .denoiser import Denoiser
from .exceptions import DataError, ImputeError, UnknownNameError
from .fields import FieldSpec
from .first_guess import describe_guesses
from .fitted import Fitted
from .methods import METHODS, Method
from .partition import Partition
from .planning import Plan, plan
from .prefetching import prefetch
from .samplers import SAMPLERS
from .schedule import make_schedule
from .splitting import choose_splitting
from .streaming import Batch, BlockPool, batches
from .survey import sample_masks
from .training import Training, parse_time, train
from .transforms import Statistics
from .validation import check_dataset, check_values
from .verification import Verification
from .withholding import Withheld, withhold

__all__ = ["Options", "fit_network"]

log = logging.getLogger("xdiffimpute")

DEFAULT_TIME = "10min"
GUESS_BATCHES = 12
GUESS_PASSES = 20
REHEARSAL = 7919


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

    def settings(self) -> Training:
        """The settings of the optimisation.

        Raises
        ------
        ImputeError
            If a limit is not positive.
        """
        if self.steps is not None and (self.steps != int(self.steps) or self.steps < 1):
            raise ImputeError(
                f"steps={self.steps} must be a whole number of 1 or more, such as steps=2000"
            )
        if self.seed != int(self.seed) or self.seed < 0:
            raise ImputeError(f"seed={self.seed!r} must be a whole number of 0 or more")
        sizes = ("auto", *BACKBONES.get(self.backbone).SIZES)
        if self.size not in sizes:
            raise UnknownNameError(f"size={self.size!r}: there are {', '.join(map(repr, sizes))}")
        limit = self.max_time
        if limit is None and self.steps is None:
            limit = DEFAULT_TIME
        return Training(steps=self.steps, seconds=parse_time(limit), **self.training)


def fit_network(ds: xr.Dataset, options: Options) -> Fitted:
    """Run a fit.

    Parameters
    ----------
    ds : Dataset
        Without pint quantities.
    options : Options

    Returns
    -------
    Fitted
        Its ``skill`` is still empty.
    """
    settings = options.settings()
    method = METHODS.create(options.method)
    spec = FieldSpec.from_dataset(
        ds, variables=options.variables, time=options.time, y=options.y, x=options.x,
        extra_dims=options.extra_dims,
    )  # fmt: skip
    spec.tell_skipped()
    check_dataset(ds, spec)
    packed, clock = spec.pack(ds), spec.clock(ds)
    share = check_values(packed, spec, for_fit=True)
    sizes = plan(
        packed.sizes["time"], spec.shape, len(spec.channels), window=options.window,
        tile=options.tile, batch=options.batch, size=options.size, device=options.device,
    )  # fmt: skip
    masks = sample_masks(packed, sizes.window)
    splitting = choose_splitting(
        options.partition, method, masks, share, window=sizes.window, seed=options.seed
    )
    found, partition, density = splitting.found, splitting.training, splitting.density
    withheld = withhold(packed, clock, found, window=sizes.window, seed=options.seed)
    if not withheld.cells:
        raise DataError(
            "no observation could be withheld to measure skill on: there are too few of them, or "
            "the pattern of partition= keeps them all; try partition='pixel'"
        )
    training_data = withheld.remove(packed)
    logs = _logarithms(options.log, spec)
    coordinates = Coordinates(spec, clock)

    def verification(held: Withheld, statistics: Statistics, of: xr.DataArray) -> Verification:
        return Verification(
            of, held, clock, statistics, coordinates, sizes, partition,
            density=density, seed=options.seed,
        )  # fmt: skip

    statistics = Statistics.fit(training_data, clock, kind=options.statistics, log=logs)
    if options.statistics == "auto" and statistics.kind == "variable" and len(clock.days) > 2:
        rehearsal = withhold(
            training_data, clock, found, window=sizes.window, seed=options.seed + REHEARSAL
        )
        if rehearsal.cells:
            statistics = _with_cell_means(
                statistics, training_data, clock, rehearsal.remove(training_data),
                lambda trial: verification(rehearsal, trial, training_data), spec,
            )  # fmt: skip
    log.info("climatology: %s; %d observations withheld", statistics.kind, withheld.cells)
    check = verification(withheld, statistics, packed)
    pool = BlockPool(training_data, clock, statistics, window=sizes.window, seed=options.seed)
    denoiser, history = _train(
        pool, coordinates, partition, sizes, spec, settings, options, method, check
    )
    sampler, inflation = _choose_sampler(check, denoiser, method)
    return Fitted(
        method=method.name, spec=spec, statistics=statistics, partition=partition,
        reason=splitting.reason, denoiser=denoiser, window=sizes.window, tile=sizes.tile,
        sampler=sampler, density=density, inflation=inflation, withheld=withheld,
        seed=options.seed, history=history, step=clock.step, unreachable=splitting.unreachable,
    )  # fmt: skip


def _logarithms(asked: str | Sequence[str], spec: FieldSpec) -> list[bool]:
    """Which channels are learned in the logarithm."""
    wanted = {asked} if isinstance(asked, str) else set(asked)
    names = [v.name for v in spec.variables]
    if not wanted <= set(names):
        raise ImputeError(
            f"log={asked!r} names {sorted(wanted - set(names))}, which are not among the variables "
            f"{names}"
        )
    return [channel.variable in wanted for channel in spec.channels]


def _with_cell_means(
    statistics: Statistics,
    data: xr.DataArray,
    clock: Clock,
    rest: xr.DataArray,
    verification: Callable[[Statistics], Verification],
    spec: FieldSpec,
) -> Statistics:
    """A mean for each cell instead of each variable, for the channels where it helps the guesses.

    Judged at training cells that ``rest`` lacks, never at the withheld ones.
    """
    variable, cell = (
        verification(
            Statistics.fit(rest, clock, kind=kind, log=list(statistics.log))
        ).error_of_guesses(spec.periodic)
        for kind in ("variable", "cell")
    )
    better = cell < variable
    if not better.any():
        return statistics
    named = [c.label for c, yes in zip(spec.channels, better, strict=True) if yes]
    log.info("a mean for each cell helps: %s", ", ".join(named))
    other = Statistics.fit(data, clock, kind="cell", log=list(statistics.log))
    return statistics.replaced(other, better)


def _train(
    pool: BlockPool,
    coordinates: Coordinates,
    partition: Partition,
    sizes: Plan,
    spec: FieldSpec,
    settings: Training,
    options: Options,
    method: Method,
    check: Verification,
) -> tuple[Denoiser, Any]:
    whole = sizes.tile[1] == spec.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        denoiser = Denoiser(
            len(spec.channels), coordinates.count if method.coordinates else 0,
            backbone=options.backbone, size=sizes.size, schedule=make_schedule(options.schedule),
            periodic=spec.periodic and whole, **method.network,
        ).to(sizes.device)  # fmt: skip
    source = prefetch(
        batches(
            pool, coordinates, partition, window=sizes.window, tile=sizes.tile,
            batch=sizes.batch, periodic=spec.periodic, seed=options.seed,
        )
    )  # fmt: skip
    try:
        if denoiser.guesses:
            cells = sizes.batch * len(spec.channels) * sizes.window * int(np.prod(sizes.tile))
            count = int(np.clip(GUESS_PASSES * pool.packed.size // cells, 2, GUESS_BATCHES))
            samples = [next(source).to(sizes.device) for _ in range(count)]
            _start(denoiser, samples, [c.label for c in spec.channels])
        watched = (
            None if method.check is None else SAMPLERS.create(method.check[0], **method.check[1])
        )
        validate = None if watched is None else partial(check.error, run=watched)
        return train(
            denoiser, source, settings, validate=validate, device=sizes.device,
            seed=options.seed, progress=options.progress,
        )  # fmt: skip
    finally:
        source.close()  # type: ignore[attr-defined]


def _start(denoiser: Denoiser, batches: Sequence[Batch], labels: Sequence[str]) -> None:
    """Tune the first guesses, and say what came out."""
    mixture = denoiser.start_from([(b.x, b.context, b.query) for b in batches])
    for line in describe_guesses(labels, mixture, denoiser.springs):
        log.info("%s", line)


def _choose_sampler(
    check: Verification, denoiser: Denoiser, method: Method
) -> tuple[str, dict[str, Any]]:
    """The sampler with the lowest withheld error; the first one where they tie within 1%."""
    judged = {
        name: check.judge(denoiser, SAMPLERS.create(name, **method.samplers[name]))
        for name in method.candidates
    }
    errors = {name: error for name, (error, _) in judged.items()}
    first, best = method.candidates[0], min(errors, key=lambda name: errors[name])
    best = best if errors[best] < 0.98 * errors[first] else first
    log.info(
        "withheld error (standardised RMSE): %s; filling with %s",
        ", ".join(f"{name} {error**0.5:.4f}" for name, error in errors.items()), best,
    )  # fmt: skip
    return best, {name: factor for name, (_, factor) in judged.items()}
