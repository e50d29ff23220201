"""The imputer that learns: fit on gappy data alone, fill, score, save, load."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import fields, replace
from functools import partial
from typing import Any, Self

import numpy as np
import torch
import xarray as xr
from tqdm import tqdm

from . import pool
from ._typing import BoolArray, IntArray
from .assembly import assemble
from .card import card
from .checkpoint import read
from .compatibility import refuse_incompatible, tell_of_units
from .exceptions import CompatibilityError, ImputeError, NotFittedError, OutputExistsError
from .fields import FieldSpec
from .fitted import Fitted
from .fitting import fit_network
from .guidance import Guidance
from .history import LIMIT
from .imputer import Imputer
from .job import digest
from .options import Options
from .parallel import is_first, joined
from .quantities import dequantify, requantify
from .reconstruction import reconstruct, segment_frames
from .request import Request
from .residuals import Residuals
from .resumption import Resumption
from .samplers import Sampler
from .scoring import compare, describe, skill_lines, skill_table
from .sharing import settled
from .tiling import Stretches
from .validation import check_dataset, check_values
from .withholding import Withheld, withhold

__all__ = ["DiffusionImputer"]

log = logging.getLogger("xdiffimpute")


REQUEST = Request()
COMPARING = "comparing with climatology and linear interpolation at the withheld observations"
STRONGER = (
    "stronger methods without training, to compare with before you choose: "
    "ds.impute.score('thin_plate'), 'optimal_interpolation', 'dineof'"
)


class DiffusionImputer(Imputer):
    """A denoiser trained on the context and query of incomplete data (Algorithm 1).

    Parameters
    ----------
    **options
        As of :meth:`xdiffimpute.accessor.ImputeDatasetAccessor.fit`; and ``schedule``,
        ``training`` (a mapping of :class:`xdiffimpute.training.Training`) and ``summary``
        (whether a fit ends with a table of its skill, which takes seconds to minutes).

    References
    ----------
    "Incomplete Data, Complete Dynamics: A Diffusion Approach", Algorithm 1, Eqs. 9 and 10.

    Examples
    --------
    >>> import tempfile, xdiffimpute as xdi
    >>> ds = xdi.example(days=10)
    >>> imputer = DiffusionImputer(steps=2, window=1, progress=False, summary=False).fit(ds)
    >>> int(imputer.fill(ds)["sst"].isnull().sum())
    0
    >>> skill = imputer.score(ds)  # where it was wrong, cell by cell: imputer.examine(ds)
    >>> [str(name) for name in skill["imputer"].values]
    ['diffusion', 'climatology', 'linear']
    >>> imputer.fitted.partition.name
    'empirical'
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     imputer.save(folder + "/sst.imputer")
    ...     again = DiffusionImputer.load(folder + "/sst.imputer", device="cpu")
    >>> again.fitted.history.steps
    2
    """

    name = "diffusion"

    def __init__(self, **options: Any) -> None:
        known = {f.name for f in fields(Options)}
        unknown = sorted(set(options) - known)
        if unknown:
            raise ImputeError(f"unknown options {unknown}; fit takes {sorted(known)}")
        self.options = Options(**options)
        self._fitted: Fitted | None = None

    @property
    def fitted(self) -> Fitted:
        """What the fit left.

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        """
        if self._fitted is None:
            raise NotFittedError("this imputer has not been fitted; call imputer.fit(ds) first")
        return self._fitted

    @property
    def is_fitted(self) -> bool:
        """Whether there is a trained network.

        Examples
        --------
        >>> DiffusionImputer().is_fitted
        False
        """
        return self._fitted is not None

    def fit(self, ds: xr.Dataset, **options: Any) -> Self:
        """Learn from the gappy data; ends with a summary of the withheld skill.

        Parameters
        ----------
        ds : Dataset
        **options
            In place of those given to the constructor.

        Returns
        -------
        self

        Raises
        ------
        ImputeError
            Before training, when the data cannot be learned from.
        TrainingInterrupted
            After SIGTERM, when the checkpoint is written.
        """
        if options:
            self.options = replace(self.options, **options)
        self.options.settings()
        plain, resumption = dequantify(ds)[0], None
        folder = self.options.folder()
        with joined(self.options.device) as ranks, closing(folder) if folder else nullcontext():
            if folder is not None:
                resumption = Resumption(folder, self.options, _versions(), ranks)
                plain = resumption.known(plain)
            plain = _resident(plain, self.options)
            self._fitted = fit_network(plain, self.options, resumption, ranks)
        if not ranks.first:
            return self
        history = self._fitted.history
        if history.stopped != LIMIT:
            self._tell(f"training ended after {history.steps} steps: {history.stopped}")
        if history.idle and self._fitted.denoiser.first is not None:
            self._tell(
                "training did not lower the withheld error that the first guesses had: what is "
                "filled is kriging and interpolation more than it is learned"
            )
        if not self.options.summary:
            return self
        self._tell(COMPARING, logged=True)
        try:
            skill = self.score(plain)
        except ImputeError as error:  # the training is not lost over it
            log.warning("the comparison after the training failed: %s", error)
            return self
        self._fitted.skill = skill.to_dict()
        self._tell(describe(skill), logged=True)
        self._tell(STRONGER)
        return self

    def _tell(self, said: str, *, logged: bool = False) -> None:
        """A line in the log, and beside the progress bar where the log does not show it."""
        if not logged:
            log.info("%s", said)
        if self.options.progress and not log.isEnabledFor(logging.INFO):
            tqdm.write(said, file=sys.stderr)

    def fill(
        self,
        ds: xr.Dataset,
        *,
        sampler: str | Sampler | None = None,
        members: int | None = None,
        where: xr.DataArray | None = None,
        seed: int | None = None,
        progress: bool = False,
        guidance: str | Guidance | None = None,
    ) -> xr.Dataset:
        """Fill the gaps; see :meth:`xdiffimpute.accessor.ImputeDatasetAccessor.fill`.

        Parameters
        ----------
        ds : Dataset
            The data of the fit, or others with the same variables and grid.
        sampler : str or Sampler, optional
        members : int, optional
        where : bool DataArray, optional
        seed : int, optional
        progress : bool
        guidance : str or Guidance, optional

        Returns
        -------
        Dataset
            Lazy if ``ds`` is.

        Raises
        ------
        CompatibilityError
            If the imputer was fitted on other variables, units or another grid.
        """
        return self._fill(ds, Request(sampler, members, seed, guidance), where, progress)

    def _fill(
        self,
        ds: xr.Dataset,
        request: Request = REQUEST,
        where: xr.DataArray | None = None,
        progress: bool = False,
        cuts: Sequence[int] = (),
    ) -> xr.Dataset:
        """Fill; see :func:`xdiffimpute.reconstruction.reconstruct` about the cuts."""
        fitted = self.fitted
        plain, units = dequantify(ds)
        refuse_incompatible(fitted.spec, plain)
        tell_of_units(fitted.spec, plain)
        check_dataset(plain, fitted.spec)
        fitted.check_clock(fitted.spec.clock(plain))
        spec = self._spec_of(plain)
        packed = fitted.spec.pack(plain)
        if packed.chunks is None:
            check_values(packed, fitted.spec, for_fit=False)
        name, filler = request.filler(fitted, plain, spec)
        domain: BoolArray | xr.DataArray
        if where is not None:
            domain = np.ones((len(spec.channels), *spec.shape), dtype=bool)
        elif fitted.spec.same_grid(plain):
            domain = fitted.domain()
        else:
            domain = settled(packed.notnull().any(("series", "time")))
        if isinstance(domain, np.ndarray) and spec.given:
            domain = domain.copy()
            domain[-spec.given :] = False
        filler.domain = domain if isinstance(domain, np.ndarray) else None
        mean, error, draws = reconstruct(filler, packed, progress=progress, cuts=cuts)
        out = assemble(
            plain, fitted.spec, mean, domain=domain, standard_error=error,
            method=f"{self.name}, {fitted.method}, {name}", where=where,
            calibrated=_calibrated(fitted.spec, filler.calibration.cells),
            members=draws,
        )  # fmt: skip
        return requantify(out, units)

    def stretches(self, ds: xr.Dataset, members: int = 0) -> Stretches:
        """What is computed at once when a dataset is filled.

        Parameters
        ----------
        ds : Dataset
        members : int
            That are drawn.

        Returns
        -------
        Stretches
            Names of the variables, the dimension of time, and frames.

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> ds = xdi.example(days=8)
        >>> imputer = xdi.DiffusionImputer(steps=1, window=1, progress=False, summary=False)
        >>> imputer.fit(ds).stretches(ds)[1]
        'time'
        """
        fitted = self.fitted
        plain, _ = dequantify(ds)
        refuse_incompatible(fitted.spec, plain)
        packed = fitted.spec.pack(plain)
        window = min(fitted.window, packed.sizes["time"])
        return fitted.spec.stretches(packed, segment_frames(packed.shape, window, members))

    def checksum(self) -> str:
        """A line that is another for an imputer that fills otherwise.

        Returns
        -------
        str

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> imputer = xdi.DiffusionImputer(steps=1, window=1, progress=False, summary=False)
        >>> imputer.fit(xdi.example(days=8)).checksum() == imputer.checksum()
        True
        """
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "imputer")
            self.fitted.save(path, {})
            tensors, config = read(path)
        names = sorted(tensors)
        said = np.frombuffer(json.dumps([names, config], sort_keys=True).encode(), dtype=np.uint8)
        return f"{self.name} {digest([said, *(tensors[name] for name in names)])}"

    def _spec_of(self, ds: xr.Dataset) -> FieldSpec:
        """The grid of other data of the same kind; the fitted one where they agree."""
        fitted = self.fitted
        if fitted.spec.same_grid(ds):
            return fitted.spec
        if fitted.statistics.kind != "variable":
            raise CompatibilityError(
                f"the imputer was fitted with a climatology for each cell "
                f"(statistics={fitted.statistics.kind!r}) on a grid of {fitted.spec.shape} cells, "
                "and these data are on another grid; fit with statistics='variable' to fill "
                "elsewhere at the same spacing, or bring these data onto the grid of the fit, of "
                f"{_extent(fitted.spec)} (here: {_extent(fitted.spec.moved_to(ds))})"
            )
        return fitted.spec.moved_to(ds)

    def score(self, ds: xr.Dataset, by: str | None = None) -> xr.Dataset:
        """Skill at withheld observations, beside climatology's and linear interpolation's.

        Parameters
        ----------
        ds : Dataset
            As for :meth:`examine`.
        by : {"distance", "gap_size"}, optional

        Returns
        -------
        Dataset
            See :meth:`xdiffimpute.accessor.ImputeDatasetAccessor.score`.
        """
        return skill_table(self.examine(ds), by)

    def examine(self, ds: xr.Dataset) -> Residuals:
        """Errors cell by cell at withheld observations, also of climatology and linear.

        Parameters
        ----------
        ds : Dataset
            The data of the fit: the cells withheld then are used, which training never
            saw. Other data: observations are withheld afresh.

        Returns
        -------
        Residuals
        """
        plain, _ = dequantify(ds)
        fitted = self.fitted
        refuse_incompatible(fitted.spec, plain)
        tell_of_units(fitted.spec, plain)
        check_dataset(plain, fitted.spec)
        packed, clock = fitted.spec.pack(plain), fitted.spec.clock(plain)
        fitted.check_clock(clock)
        domain = check_values(packed, fitted.spec, for_fit=False) > 0
        withheld = None
        if fitted.spec.same_grid(plain):
            withheld, domain = fitted.withheld.matched(packed, clock.labels), fitted.domain()
        if withheld is None:
            log.info(
                "none of the observations withheld in the fit is in these data: others are "
                "withheld; if the data were part of the fit, the score flatters the network"
            )
            withheld = withhold(
                packed, clock, fitted.partition, window=fitted.window, seed=fitted.seed + 1
            )
        return compare(
            self, plain, self._spec_of(plain), withheld, domain, self.filling_at(withheld)
        )

    def filling_at(
        self, withheld: Withheld, where: xr.DataArray | None = None
    ) -> Callable[[xr.Dataset], xr.Dataset]:
        """How it fills data of which only the withheld frames are looked at.

        Parameters
        ----------
        withheld : Withheld
        where : bool DataArray, optional
            Cells to fill, as of :meth:`fill`.

        Returns
        -------
        callable
            As :meth:`fill`, but no segment of frames holds others beside those withheld, so that
            no more than these is computed.

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> ds = xdi.example(days=8)
        >>> imputer = xdi.DiffusionImputer(steps=1, window=1, progress=False, summary=False)
        >>> fill = imputer.fit(ds).filling_at(imputer.fitted.withheld)
        >>> bool(abs(fill(ds)["sst"] - imputer.fill(ds)["sst"]).max() < 1e-3)
        True
        """
        return partial(self._fill, where=where, cuts=withheld.edges())

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write one file that :func:`xdiffimpute.load` reads: safetensors, no code.

        Parameters
        ----------
        path : path
        overwrite : bool
            Replace a file that exists; it may hold the training of hours.

        Of several processes that ``torchrun`` has started, the first one writes.

        Raises
        ------
        OutputExistsError
            If the file exists and ``overwrite`` was not asked for.
        CheckpointError
            If the file cannot be written.
        """
        if not is_first():
            return
        if not overwrite and os.path.exists(path):
            raise OutputExistsError(
                f"{os.fspath(path)!r} exists already; give another path, or allow it with "
                f"imputer.save({os.fspath(path)!r}, overwrite=True)"
            )
        self.fitted.save(path, _versions())

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: str | None = None) -> Self:
        """Read a saved imputer.

        Parameters
        ----------
        path : path
        device : str, optional
            Where to run it; default: a GPU if there is one.

        Returns
        -------
        DiffusionImputer
        """
        imputer = cls()
        imputer._fitted = Fitted.load(path)
        place = device or ("cuda" if torch.cuda.is_available() else "cpu")
        imputer._fitted.denoiser.to(place)
        return imputer

    def __repr__(self) -> str:
        if self._fitted is None:
            return "<DiffusionImputer, not fitted>"
        fitted = self._fitted
        names = ", ".join(v.name for v in fitted.spec.filled)
        head = (
            f"<DiffusionImputer of {names} on {fitted.spec.shape} cells, window {fitted.window}, "
            f"{fitted.method} method, {fitted.history.steps} steps, {fitted.partition.name} "
            f"partition, {fitted.sampler}>"
        )
        if not fitted.skill:
            return head
        return f"{head}\n{skill_lines(xr.Dataset.from_dict(fitted.skill))}"

    def _repr_html_(self) -> str:
        return card(self._fitted, repr(self))


def _versions() -> dict[str, str]:
    """Of the packages that a result depends on."""
    from . import __version__

    return {"xdiffimpute": __version__, "torch": str(torch.__version__)}


def _extent(spec: FieldSpec) -> str:
    """From where to where a grid goes, as text."""
    ends = [
        f"{dim} {values[0]:g} to {values[-1]:g}"
        for dim, values in ((spec.axes.y, spec.grid.y), (spec.axes.x, spec.grid.x))
        if values is not None
    ]
    return f"{' x '.join(map(str, spec.shape))} cells{''.join(f', {end}' for end in ends)}"


def _calibrated(spec: FieldSpec, cells: IntArray) -> dict[str, str]:
    """What the standard error of each variable rests on, for its comment."""
    counts = dict.fromkeys((v.name for v in spec.filled), 0)
    for channel, count in zip(spec.channels, cells, strict=True):
        if channel.variable in counts:
            counts[channel.variable] += int(count)
    return {
        name: f"calibrated by the errors at {count} withheld observations"
        if count
        else "not calibrated, since too few observations were withheld"
        for name, count in counts.items()
    }


def _resident(ds: xr.Dataset, options: Options) -> xr.Dataset:
    """Data that the training would hold in memory anyway are read once, not once a look."""
    names = list(map(str, ds.data_vars))
    if options.variables is not None:
        asked = (options.variables, options.covariates)
        parts = ([part] if isinstance(part, str) else list(part) for part in asked)
        names = list(dict.fromkeys(name for part in parts for name in part))
    if not set(names) <= set(ds.data_vars) or all(ds[n].chunks is None for n in names):
        return ds
    size = sum(ds[n].size * max(4, ds[n].dtype.itemsize) for n in names)
    return ds[names].compute() if size <= pool.POOL_BYTES else ds
