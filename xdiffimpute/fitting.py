"""From a gappy dataset to a trained network: the order of decisions of a fit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import torch
import xarray as xr

from ._typing import BoolArray, FloatArray
from .calendar import Clock
from .calibration import Calibration
from .checkpoint_folder import Content
from .chunking import check_chunks
from .coordinates import Coordinates
from .denoiser import Denoiser
from .dependence import warn_of_dependence
from .exceptions import DataError
from .fields import FieldSpec
from .fitted import Fitted
from .history import History
from .methods import METHODS, Method
from .options import Options
from .parallel import ALONE, Ranks
from .planning import Plan, plan
from .pool import BlockPool, Position
from .prefetching import prefetch
from .preparation import Preparation
from .resumption import Resumption
from .samplers import SAMPLERS
from .schedule import make_schedule
from .splitting import choose_splitting
from .streaming import Batch, batches
from .survey import sample_masks
from .training import train
from .training_log import TrainingLog, open_log
from .transforms import Statistics
from .tuning import KINDS, in_doubt
from .validation import check_dataset, check_values, tell_of_covariates
from .variography import judged_frames, judges
from .verification import Verification
from .weighting import weigh
from .withholding import withhold

__all__ = ["fit_network"]

log = logging.getLogger("xdiffimpute")

BLOCK_FRAMES = 64  # good chunks of a store to read from
GUESS_BATCHES = 48
GUESS_PASSES = 20
REACH = 32  # of the covariance between cells
REHEARSAL = 7919
REHEARSED, REHEARSED_FRAMES, TRIALS = 0.5, 1024, 8  # share of the frames, so many at most
REHEARSED_WINDOWS, REHEARSED_CELLS = 48, 1_200_000  # more windows where they have fewer cells
CLEARLY, FEW = 2.0, 8  # standard errors; of fewer windows none is known
JUDGING = 0.05  # windows to choose a sampler by, over those of the training
LEAST_JUDGED = 8


def fit_network(
    ds: xr.Dataset,
    options: Options,
    resumption: Resumption | None = None,
    ranks: Ranks = ALONE,
) -> Fitted:
    """Run a fit.

    Parameters
    ----------
    ds : Dataset
        Without pint quantities.
    options : Options
    resumption : Resumption, optional
        Of a training that is kept in checkpoints, and was perhaps begun before.
    ranks : Ranks
        The processes that fit together, each on the same data.

    Returns
    -------
    Fitted
        Its ``skill`` is still empty.
    """
    options.settings()
    method = METHODS.create(options.method)
    spec = FieldSpec.from_dataset(
        ds, variables=options.variables, time=options.time, y=options.y, x=options.x,
        extra_dims=options.extra_dims, covariates=options.covariates,
    )  # fmt: skip
    spec.tell_skipped()
    check_dataset(ds, spec)
    check_chunks(ds, [v.name for v in spec.filled], spec.axes.time, BLOCK_FRAMES)
    packed, clock = spec.pack(ds), spec.clock(ds)
    if resumption is not None and resumption.begun:
        prepared, sizes = resumption.restored(packed, clock, spec)
    else:
        prepared, sizes = _shared(
            _prepare(ds, packed, clock, spec, options, method) if ranks.first else None, ranks
        )
        if resumption is not None and ranks.first:
            resumption.keep(prepared, sizes, packed, clock)
    statistics, withheld = prepared.statistics, prepared.withheld
    log.info("climatology: %s; %d observations withheld", statistics.kind, withheld.cells)
    coordinates = Coordinates(spec, clock)
    check = Verification(
        packed, withheld, clock, statistics, coordinates, sizes, prepared.partition,
        density=prepared.density, seed=options.seed, propensity=prepared.propensity,
    )  # fmt: skip
    denoiser, history = _train(
        packed, clock, coordinates, prepared, sizes, options, method, check, resumption, ranks
    )
    sampler, calibration = _choose_sampler(check, denoiser, method, history)
    return Fitted(
        **vars(prepared), method=method.name, denoiser=denoiser, sampler=sampler,
        calibration=calibration, seed=options.seed, history=history, step=clock.step,
    )  # fmt: skip


def _shared(made: tuple[Preparation, Plan] | None, ranks: Ranks) -> tuple[Preparation, Plan]:
    """What the first process has decided, on all: it depends on its memory, say."""
    if made is not None and ranks.size == 1:
        return made
    arrays, config, sizes = ranks.told(None if made is None else (*made[0].to_arrays(), made[1]))
    if made is not None:
        return made
    return Preparation(**Preparation.decisions(arrays, config)), replace(sizes, device=ranks.device)


def _prepare(
    ds: xr.Dataset,
    packed: xr.DataArray,
    clock: Clock,
    spec: FieldSpec,
    options: Options,
    method: Method,
) -> tuple[Preparation, Plan]:
    """The passes over the data, and what is decided from them."""
    share = check_values(packed, spec, for_fit=True)
    sizes = plan(
        packed.sizes["time"], spec.shape, len(spec.channels), window=options.window,
        tile=options.tile, batch=options.batch, size=options.size, device=options.device,
    )  # fmt: skip
    fields = slice(0, len(spec.channels) - spec.given)
    tell_of_covariates(share, spec)
    masks = sample_masks(packed.isel(channel=fields), sizes.window)
    splitting = choose_splitting(
        options.partition, method, masks, share[fields], window=sizes.window, seed=options.seed
    ).beside(spec.given)
    found, partition, density = splitting.found, splitting.training, splitting.density
    withheld = withhold(packed, clock, found, window=sizes.window, seed=options.seed)
    if not withheld.cells:
        raise DataError(
            "no observation could be withheld to measure skill on: there are too few of them, or "
            "the pattern of partition= keeps them all; try partition='pixel'"
        )
    training_data = withheld.remove(packed)
    logs = options.logarithms(spec)
    warn_of_dependence(packed, clock, spec, weighted=options.propensity)
    statistics = Statistics.fit(training_data, clock, kind=options.statistics, log=logs)
    statistics = statistics.without_cells(spec.constant(ds))
    doubtful = in_doubt(options.statistics, statistics) and (
        statistics.kind == "variable" or training_data.chunks is None  # else two more passes
    )
    several = packed.sizes["series"] * packed.sizes["time"] > 2
    if doubtful and several:
        rehearsal = withhold(
            training_data, clock, found, window=sizes.window, seed=options.seed + REHEARSAL
        )

        def verification(trial: Statistics) -> Verification:
            return Verification(
                training_data, rehearsal, clock, trial, Coordinates(spec, clock), sizes, partition,
                density=density, seed=options.seed,
            )  # fmt: skip

        if rehearsal.cells:
            rest = rehearsal.remove(training_data)
            statistics = _with_better_means(
                statistics,
                training_data,
                clock,
                rest,
                verification,
                spec,
                periodic=spec.periodic and sizes.tile[1] == spec.shape[1],
            )
    prepared = Preparation(
        spec=spec, statistics=statistics, partition=partition, reason=splitting.reason,
        window=sizes.window, tile=sizes.tile, density=density, withheld=withheld,
        unreachable=splitting.unreachable,
        propensity=weigh(packed, clock, statistics, spec) if options.propensity else None,
    )  # fmt: skip
    return prepared, sizes


def _with_better_means(
    statistics: Statistics,
    data: xr.DataArray,
    clock: Clock,
    rest: xr.DataArray,
    verification: Callable[[Statistics], Verification],
    spec: FieldSpec,
    *,
    periodic: bool,
) -> Statistics:
    """A mean for each cell instead of each variable, or the reverse, where it helps the guesses.

    Cells seen too seldom to have a mean each by default have one where it clearly helps.
    Judged at training cells that ``rest`` lacks, never at the withheld ones.
    """
    wrong = {
        kind: verification(
            Statistics.fit(rest, clock, kind=kind, log=list(statistics.log))
        ).errors_of_guesses(periodic)
        for kind in KINDS
    }
    (plain, cells), (fine, _) = wrong["variable"], wrong["cell"]
    if statistics.kind == "variable":
        other, better = "cell", _clearly_less(fine, plain, cells)
    else:
        other, better = "variable", plain.sum(axis=1) < fine.sum(axis=1)
    if not better.any():
        return statistics
    named = [c.label for c, yes in zip(spec.channels, better, strict=True) if yes]
    log.info("a mean for each %s helps: %s", other, ", ".join(named))
    found = Statistics.fit(data, clock, kind=other, log=list(statistics.log))
    return found if better.all() else statistics.replaced(found, better)


def _clearly_less(one: FloatArray, other: FloatArray, cells: FloatArray) -> BoolArray:
    """Whether squared errors are less than others by ``CLEARLY`` standard errors, shape (C,).

    These are of sums over independent windows, shape (C, N); of few windows no error is known, and
    what is less counts.
    """
    gain = other - one
    mean = gain.sum(axis=1, keepdims=True) / np.maximum(cells.sum(axis=1, keepdims=True), 1.0)
    doubt = np.sqrt(((gain - mean * cells) ** 2).sum(axis=1)) if gain.shape[1] >= FEW else 0.0
    return np.asarray(gain.sum(axis=1) > CLEARLY * doubt)


def _train(
    packed: xr.DataArray,
    clock: Clock,
    coordinates: Coordinates,
    prepared: Preparation,
    sizes: Plan,
    options: Options,
    method: Method,
    check: Verification,
    resumption: Resumption | None,
    ranks: Ranks,
) -> tuple[Denoiser, History]:
    spec = prepared.spec
    saved = None if resumption is None else resumption.state()
    position = Position() if saved is None else Position.from_dict(saved[1]["position"])
    pool = BlockPool(
        prepared.withheld.remove(packed), clock, prepared.statistics, window=sizes.window,
        seed=options.seed, position=position, part=(ranks.rank, ranks.size),
    )  # fmt: skip
    denoiser = _network(coordinates, prepared, sizes, options, method)
    source = prefetch(
        batches(
            pool, coordinates, prepared.partition, window=sizes.window, tile=sizes.tile,
            batch=sizes.batch, periodic=spec.periodic, seed=options.seed, first=position.step,
            share=ranks.share(sizes.batch), propensity=prepared.propensity,
        )
    )  # fmt: skip
    try:
        if denoiser.guesses and saved is None:
            cells = sizes.batch * len(spec.channels) * sizes.window * int(np.prod(sizes.tile))
            count = int(np.clip(GUESS_PASSES * packed.size // cells, 2, GUESS_BATCHES))
            samples = [next(source).to(sizes.device) for _ in range(count)]
            fields = spec.channels[: len(spec.channels) - spec.given]
            labels, position = [c.label for c in fields], samples[-1].position
            if ranks.first:
                log.info("looking for the best first guesses, before the first step")
                trial = _rehearsal(packed, clock, coordinates, prepared, sizes, options)
                _start(denoiser, samples, labels, sizes.window, packed.sizes["time"], trial)
            ranks.spread(denoiser)
        watched = (
            None if method.check is None else SAMPLERS.create(method.check[0], **method.check[1])
        )
        validate = None if watched is None else partial(check.error, run=watched)
        with _rows(options, saved, ranks) as rows:
            return train(
                denoiser, source, options.settings(), validate=validate, device=sizes.device,
                seed=options.seed, progress=options.progress and ranks.first, saved=saved,
                rows=rows, folder=None if resumption is None else resumption.folder, ranks=ranks,
                position=position,
            )  # fmt: skip
    finally:
        source.close()  # type: ignore[attr-defined]


def _rehearsal(
    packed: xr.DataArray, clock: Clock, coordinates: Coordinates, prepared: Preparation,
    sizes: Plan, options: Options,
) -> Verification | None:  # fmt: skip
    """Training cells that are withheld to judge first guesses, in frames that judge covariances.

    They are hidden in half of all frames, as gaps are, so that about them is what a gap has about
    it, or somewhat less. Queries have as little as a third of that. The climatology has seen them,
    unlike those that the skill is measured at. None where no frame judges.
    """
    known = prepared.withheld.remove(packed)
    judging = partial(judges, window=sizes.window, frames=packed.sizes["time"])
    every = (np.arange(packed.sizes[dim]) for dim in ("series", "time"))
    if not judging(*np.meshgrid(*every)).any():
        return None
    cells = packed.sizes["channel"] * sizes.window * int(np.prod(sizes.tile))
    for trial in range(TRIALS):  # of few frames those that are drawn may be none that judge
        found = withhold(
            known, clock, prepared.partition, window=sizes.window, fraction=REHEARSED,
            most=REHEARSED_FRAMES, seed=options.seed + REHEARSAL + trial,
        )  # fmt: skip
        if found.some(judging(found.series, found.time)).cells:
            break
    else:
        return None
    return Verification(
        known, found, clock, prepared.statistics, coordinates, sizes, prepared.partition,
        density=prepared.density, seed=options.seed, propensity=prepared.propensity,
        most=max(REHEARSED_WINDOWS, REHEARSED_CELLS // cells), counted=judging,
    )  # fmt: skip


def _network(
    coordinates: Coordinates, prepared: Preparation, sizes: Plan, options: Options, method: Method
) -> Denoiser:
    """The network with the weights of the seed."""
    spec = prepared.spec
    whole = sizes.tile[1] == spec.shape[1]
    rows, columns = (min(REACH, n - 1) for n in spec.shape)
    if spec.periodic:
        columns = min(columns, (spec.shape[1] - 1) // 2)
    reach = (sizes.window, rows, columns) if method.network.get("guesses", True) else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        return Denoiser(
            len(spec.channels), coordinates.count if method.coordinates else 0,
            backbone=options.backbone, size=sizes.size, schedule=make_schedule(options.schedule),
            periodic=spec.periodic and whole, reach=reach, **method.network,
        ).to(sizes.device)  # fmt: skip


def _rows(
    options: Options, saved: Content | None, ranks: Ranks
) -> AbstractContextManager[TrainingLog | None]:
    """The log that was asked for; it goes on after the steps of a checkpoint."""
    if options.log_to is None or not ranks.first:
        return nullcontext()
    return open_log(options.log_to, 0 if saved is None else saved[1]["history"]["steps"])


def _start(
    denoiser: Denoiser, batches: Sequence[Batch], labels: Sequence[str], window: int, frames: int,
    rehearsal: Verification | None,
) -> None:  # fmt: skip
    """Tune the first guesses, and say what came out."""
    judged = judged_frames([b.places for b in batches if b.places is not None], window, frames)
    samples = [(b.x, b.context, b.counted) for b in batches]
    hidden = [] if rehearsal is None else rehearsal.samples()
    mixture = denoiser.start_from(samples, judged, hidden)
    if denoiser.first is not None:
        for line in denoiser.first.describe(labels, mixture):
            log.info("%s", line)


def _choose_sampler(
    check: Verification, denoiser: Denoiser, method: Method, history: History
) -> tuple[str, dict[str, Calibration]]:
    """The sampler with the lowest withheld error; the first one where they tie within 1%.

    After a short training on a large grid, only some windows are looked at: an ensemble takes as
    long for a window as three steps of training.
    """
    most = max(LEAST_JUDGED, round(JUDGING * history.samples))
    kriging = check.kriging_variance(denoiser, most)
    judged = {
        name: check.judge(denoiser, SAMPLERS.create(name, **method.samplers[name]), most, kriging)
        for name in method.candidates
    }
    errors = {name: error for name, (error, _) in judged.items()}
    first, best = method.candidates[0], min(errors, key=lambda name: errors[name])
    best = best if errors[best] < 0.98 * errors[first] else first
    log.info(
        "withheld error (standardised RMSE): %s; filling with %s",
        ", ".join(f"{name} {error**0.5:.4f}" for name, error in errors.items()), best,
    )  # fmt: skip
    return best, {name: found for name, (_, found) in judged.items()}
