"""A training that is kept in checkpoints: begun before or not, with the same data and options."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import torch
import xarray as xr

from .calendar import Clock, read_clock
from .checkpoint_folder import AFRESH, CheckpointFolder, Content
from .exceptions import CheckpointError
from .fields import FieldSpec
from .identity import Identity
from .options import Options
from .parallel import ALONE, Ranks
from .planning import Plan, plan
from .preparation import Preparation, below

__all__ = ["Resumption"]

log = logging.getLogger("xdiffimpute")

LIMITS = ("steps", "max_time")  # may be others when a training goes on
PARTS = ("variables", "axes", "channels", "series_dims", "grid", "levels")


class Resumption:
    """The checkpoints of a fit.

    Parameters
    ----------
    folder : CheckpointFolder
    options : Options
    versions : mapping of str to str
        Of the packages that the result depends on.
    ranks : Ranks
        The processes that fit together; the first looks and writes.

    Attributes
    ----------
    begun : bool
        Whether there is a training to go on with.

    Raises
    ------
    OutputExistsError
        If a training is there, and resuming was not asked for.
    CheckpointError
        If it was begun with other options.
    """

    def __init__(
        self,
        folder: CheckpointFolder,
        options: Options,
        versions: Mapping[str, str],
        ranks: Ranks = ALONE,
    ) -> None:
        self.folder, self.options = folder, options
        self.machine = {**versions, "threads": torch.get_num_threads()}
        self.machine["processes"] = ranks.size
        begun = ranks.first and folder.open(resume=options.resume)
        self.begun = bool(ranks.agreed(begun))
        if not self.begun:
            if options.resume:
                log.info("nothing to resume in %r: training starts", str(folder.path))
            return
        arrays, self._config = folder.prepared()
        self._decided = Preparation(**Preparation.decisions(arrays, self._config["decided"]))
        self._identity = Identity.from_arrays(below(arrays, "identity."))
        self._compare_options()
        for name, before in self._config["machine"].items():
            if self.machine.get(name) != before:
                log.warning(
                    "the training was begun with %s %s and goes on with %s: the result may differ "
                    "from that of an undisturbed run", name, before, self.machine.get(name),
                )  # fmt: skip

    def _compare_options(self) -> None:
        before, now = self._config["options"], self.options.to_dict()
        other = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        said = {n: f"{n}={before.get(n)!r} (now {now.get(n)!r})" for n in other}
        refused = [text for name, text in said.items() if name not in LIMITS]
        if refused:
            self._refuse(f"was begun with {', '.join(refused)}", "give the same again")
        if said:
            log.warning(
                "the training was begun with %s: its learning rate follows the new limit, so the "
                "result differs from that of one run", ", ".join(said.values()),
            )  # fmt: skip

    def _refuse(self, why: str, remedy: str) -> None:
        raise CheckpointError(
            f"the training in {str(self.folder.path)!r} {why}; {remedy}, or {AFRESH}"
        )

    def known(self, ds: xr.Dataset) -> xr.Dataset:
        """The frames that the training was begun with, of data that have grown since.

        Parameters
        ----------
        ds : Dataset

        Returns
        -------
        Dataset
            All of it, if nothing was added.

        Raises
        ------
        CheckpointError
            If the times are others, or fewer.
        """
        time = self._decided.spec.axes.time if self.begun else None
        if time is None or time not in ds.sizes:
            return ds
        before, now = self._identity.labels, read_clock(ds, time).labels
        count = len(before)
        differ = [k for k in range(min(count, len(now))) if before[k] != now[k]]
        if len(now) < count or differ:
            k = differ[0] if differ else len(now)
            here = f"{now[k]}" if differ else "nothing"
            self._refuse(
                f"was begun with {count} frames, of which number {k} was {before[k]}, here "
                f"{here}", f"select those frames along {time!r}",
            )  # fmt: skip
        if len(now) == count:
            return ds
        log.warning(
            "%d frames were added along %r since the training in %r was begun: it goes on with the "
            "%d frames that it knows, up to %s; to learn from all, %s",
            len(now) - count, time, str(self.folder.path), count, before[-1], AFRESH,
        )  # fmt: skip
        return ds.isel({time: slice(count)})

    def restored(
        self, packed: xr.DataArray, clock: Clock, spec: FieldSpec
    ) -> tuple[Preparation, Plan]:
        """What was decided when the training was begun, once the data are known to be the same.

        Parameters
        ----------
        packed : DataArray, dims (series, time, channel, y, x)
        clock : Clock
        spec : FieldSpec

        Returns
        -------
        Preparation
        Plan

        Raises
        ------
        CheckpointError
            If the data are others.
        """
        decided, sizes = self._decided, self._config["sizes"]
        for part in PARTS:
            before, now = getattr(decided.spec, part), getattr(spec, part)
            if before != now:
                self._refuse(f"was begun with other {part}: {before}, here {now}", "give the same")
        if packed.sizes["series"] != sizes["series"]:
            self._refuse(
                f"was begun with {sizes['series']} series along {spec.series_dims}, here there are "
                f"{packed.sizes['series']}", "select the same",
            )  # fmt: skip
        changed = self._identity.changed(packed)
        if len(changed):
            self._refuse(
                f"was begun with other values: {len(changed)} of the "
                f"{len(self._identity.frames)} frames that were compared are not the same, the "
                f"first is {changed[0]}", "open the same data",
            )  # fmt: skip
        log.info("statistics, partition and withheld observations are those of the checkpoint")
        return replace(decided, spec=spec), plan(
            packed.sizes["time"], spec.shape, len(spec.channels), window=decided.window,
            tile=max(decided.tile), batch=sizes["batch"], size=sizes["size"],
            device=self.options.device,
        )  # fmt: skip

    def keep(self, decided: Preparation, sizes: Plan, packed: xr.DataArray, clock: Clock) -> None:
        """Write what was decided, before the first step."""
        arrays, config = decided.to_arrays()
        marks = Identity.of(packed, clock).to_arrays()
        self.folder.prepare(
            arrays | {f"identity.{name}": value for name, value in marks.items()},
            {
                "decided": config,
                "options": self.options.to_dict(),
                "machine": self.machine,
                "sizes": {
                    "batch": sizes.batch, "size": sizes.size, "series": packed.sizes["series"],
                },
            },
        )  # fmt: skip

    def state(self) -> Content | None:
        """The newest state; None before the first step."""
        saved = self.folder.latest() if self.begun else None
        if saved is not None:
            log.info("going on after %d steps", saved[1]["history"]["steps"])
        return saved
