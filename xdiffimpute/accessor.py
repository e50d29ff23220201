"""``ds.impute`` and ``da.impute``: the whole toolkit behind one accessor.

xarray drops accessor state on every derived object (``ds.isel``, ``ds.chunk``,
``ds["sst"]``), so ``fill()`` without an imputer works on the very object that was fitted, and
elsewhere asks for the explicit form ``ds.impute.fill(imputer)``.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import xarray as xr

from .arguments import LAYOUT, called, refuse_unknown
from .exceptions import ImputeError, NotFittedError

if TYPE_CHECKING:
    from .diffusion import DiffusionImputer
    from .filling import Written
    from .guidance import Guidance
    from .imputer import Imputer
    from .partition import Partition
    from .plots import Plots
    from .samplers import Sampler

__all__ = ["ImputeDataArrayAccessor", "ImputeDatasetAccessor"]

X = TypeVar("X", bound=xr.Dataset | xr.DataArray)

UNNAMED = "unnamed"


class _Impute(ABC, Generic[X]):
    """What both accessors share; each says how its object becomes a Dataset and comes back."""

    def __init__(self, obj: X) -> None:
        self._obj: X = obj
        self._imputer: DiffusionImputer | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_obj": self._obj, "_imputer": None}

    @abstractmethod
    def _dataset(self) -> xr.Dataset:
        """The object as a Dataset."""

    @abstractmethod
    def _back(self, ds: xr.Dataset) -> X:
        """A resulting Dataset as the kind of object that came in."""

    @called("ds.impute.fit")
    def fit(
        self,
        *,
        variables: Sequence[str] | None = None,
        time: str | None = None,
        y: str | None = None,
        x: str | None = None,
        extra_dims: str | Mapping[str, str] = "series",
        partition: str | Partition = "auto",
        method: str = "standard",
        backbone: str = "unet",
        statistics: Literal["auto", "variable", "cell", "seasonal"] = "auto",
        log: Sequence[str] = (),
        propensity: bool = False,
        covariates: Sequence[str] = (),
        window: int | None = None,
        tile: int | None = None,
        size: Literal["auto", "small", "medium", "large"] = "auto",
        batch: int | None = None,
        steps: int | None = None,
        max_time: str | float | None = None,
        device: str | None = None,
        seed: int = 0,
        progress: bool = True,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: str | float | None = None,
        resume: bool = False,
        log_to: str | os.PathLike[str] | None = None,
    ) -> DiffusionImputer:
        """Learn to fill from the gappy data alone (Algorithm 1).

        Parameters
        ----------
        variables : sequence of str, optional
            What to learn, jointly, as channels. Default: every floating-point variable on the
            grid; integers are left as they are.
        time, y, x : str, optional
            Dimension names, where CF attributes and common names do not tell.
        extra_dims : {"series", "channels"} or mapping of dim to one of them
            Whether a further dimension (level, member) holds further samples or further channels.
        partition : {"auto", "pixel", "block", "empirical"} or Partition
            How observations are split into context and query (Principle 1).
        method : str
            How the network learns: ``"standard"``, the settings of ``"paper"``, or a method that
            it compares with, such as ``"miss_diff"``; see ``xdiffimpute list methods``.
        backbone : str
            ``"unet"``, ``"karras_unet"`` or ``"fno"``.
        statistics : {"auto", "variable", "cell", "seasonal"}
            The climatology that anomalies are taken from; observed cells only.
        log : sequence of str
            Positive, skewed variables to learn in the logarithm.
        propensity : bool
            For gaps that depend on the values that are missing (:meth:`dependence`): let a queried
            observation count by the odds that one of its value is missing, so that those like the
            missing ones count most.
        covariates : sequence of str
            Variables without gaps that say something of those to fill, such as orography, a
            land-sea mask as numbers, or a forecast. They are given to the network in whole, are
            not filled, and must be there when filling; they may lack the dimension of time.
        window : int, optional
            Frames the network sees at once; 1 or more.
        tile : int, optional
            Side of the tiles that larger fields are learned and filled in, in cells.
        size : {"auto", "small", "medium", "large"}
            Network size.
        batch : int, optional
            Windows in a training step.
        steps : int, optional
            Limit on the number of updates; deterministic on a CPU for a given seed.
        max_time : str or float, optional
            Limit on the time of the updates, such as ``"10min"`` or a number of seconds. Default,
            when ``steps`` is not given: 10 minutes. Reading the data, tuning the first guesses
            and scoring the result come on top: half a minute to a few minutes.
        device : str, optional
            ``"cpu"``, ``"cuda"``, ...; default: a GPU if there is one.
        seed : int
            Fixes every random choice.
        progress : bool
            Show a progress bar on standard error.
        checkpoint : path, optional
            A folder, made if there is none, for what the training needs to go on after it was
            stopped: written at intervals, at the end, and on SIGTERM and SIGINT.
        checkpoint_every : str or float, optional
            Time from one to the next, such as ``"10min"``; default: five minutes.
        resume : bool
            Go on with the training in ``checkpoint``, with the same data and options, or start it
            if there is none yet. On a CPU the result is, bit for bit, that of an undisturbed run,
            if ``steps`` is the limit.
        log_to : path, optional
            A CSV file, by its name, for a row every ten steps: loss, withheld error, learning
            rate, samples per second, share of the time spent waiting for data, memory. Any other
            name: a folder for TensorBoard.

        Returns
        -------
        DiffusionImputer
            Also remembered by this accessor, for :meth:`fill`.

        Raises
        ------
        ImputeError
            Before any training starts, when the data cannot be learned from.
        CheckpointError
            If a checkpoint cannot be written, or is of other data or options.
        TrainingInterrupted
            After SIGTERM, when ``checkpoint`` has been written.

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> imputer = xdi.example(days=10).impute.fit(steps=2, window=3, progress=False)
        >>> imputer.fitted.window, imputer.fitted.history.steps
        (3, 2)
        """
        from .diffusion import DiffusionImputer

        imputer = DiffusionImputer(
            variables=variables, time=time, y=y, x=x, extra_dims=extra_dims, partition=partition,
            method=method, backbone=backbone, statistics=statistics, log=log,
            propensity=propensity, covariates=covariates, window=window, tile=tile, size=size,
            batch=batch, steps=steps, max_time=max_time, device=device, seed=seed,
            progress=progress, checkpoint=checkpoint, checkpoint_every=checkpoint_every,
            resume=resume, log_to=log_to,
        )  # fmt: skip
        try:
            imputer.fit(self._dataset())
        finally:
            if imputer.is_fitted:  # also where the comparison after the training was stopped
                self._imputer = imputer
        return imputer

    @called("ds.impute.fill")
    def fill(
        self,
        imputer: Imputer | str | None = None,
        *,
        sampler: str | Sampler | None = None,
        members: int | None = None,
        where: xr.DataArray | None = None,
        seed: int | None = None,
        progress: bool = True,
        guidance: str | Guidance | None = None,
        **options: Any,
    ) -> X:
        """Fill the gaps; observed cells are returned bit for bit.

        Parameters
        ----------
        imputer : DiffusionImputer, str, optional
            A fitted imputer, or the name of a baseline such as ``"biharmonic"``. Default: the
            imputer that :meth:`fit` left on this object.
        sampler : str or Sampler, optional
            ``"single_pass"``, ``"ensemble"`` or ``"multi_step"``, or one that is set up already:
            ``SAMPLERS.create("multi_step", steps=50, weight="t2")``, from
            ``xdiffimpute.samplers``. Default: what measured better in ``fit``.
        members : int, optional
            Draw so many fields of the posterior, which the variables then hold along a dimension
            ``realization`` in place of the mean: each is complete, agrees with the observations,
            and differs from the others by as much as the standard error says (of what was learned
            in the logarithm, that of a lognormal distribution), in patterns that the data's
            covariance has. With ``sampler="multi_step"``: samples of the diffusion,
            as far apart as these are.
        where : bool DataArray, optional
            Cells to fill; default: those that training could ask for (:meth:`exposure` above
            zero), for which a cell has to be observed at least once; on another grid than that
            of the fit, those observed at least once. Elsewhere the network's answer would be
            arbitrary (Theorem 1), and NaN is kept. A baseline fills all that were ever observed.
        seed : int, optional
            For a baseline by name, of its tuning. For a network, of the contexts and of the noise
            that ``"multi_step"`` starts from: another seed,
            another sample. Default: that of the fit.
        progress : bool
            Show a bar, when the data are in memory.
        guidance : str or Guidance, optional
            A law of physics that ``"multi_step"`` is pulled towards, by no more than the standard
            error: ``"shallow_water"``, ``"divergence_free"``, or one set up already:
            ``GUIDANCES.create("divergence_free", u="u10", v="v10")``, from
            ``xdiffimpute.guidance``.
        **options
            For a baseline by name: its own settings, and ``variables``, ``time``, ``y``, ``x``.

        Returns
        -------
        Dataset or DataArray
            As the input, lazy if the input is, with CF ancillary variables
            ``*_standard_error`` (of a network) and ``*_imputation_flag`` (of a DataArray: as
            coordinates), also where nothing is missing.

        Raises
        ------
        NotFittedError
            If there is no imputer.
        CompatibilityError
            If the imputer was fitted on other variables, units or another grid.

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> ds = xdi.example()
        >>> filled = ds.impute.fill("nearest")
        >>> int(ds["sst"].isnull().sum()), int(filled["sst"].isnull().sum())
        (1407, 0)
        >>> filled["sst_imputation_flag"].attrs["flag_meanings"]
        'observed imputed not_imputed'
        """
        options, seed = _of_tuning(imputer, options, seed)
        chosen = self._resolve(imputer, options)
        from .baselines import Baseline

        if isinstance(chosen, Baseline):
            _refuse_of_networks(
                chosen.name, sampler=sampler, members=members, seed=seed, guidance=guidance
            )
            return self._back(chosen.fill(self._dataset(), where=where))
        return self._back(
            chosen.fill(
                self._dataset(),
                sampler=sampler,
                members=members,
                where=where,
                seed=seed,
                progress=progress,
                guidance=guidance,
            )
        )

    @called("ds.impute.fill_to")
    def fill_to(
        self,
        out: str | os.PathLike[str],
        imputer: Imputer | str | None = None,
        *,
        overwrite: bool = False,
        restart: bool = False,
        skip_bad: bool = False,
        progress: bool = True,
        sampler: str | Sampler | None = None,
        members: int | None = None,
        where: xr.DataArray | None = None,
        seed: int | None = None,
        guidance: str | Guidance | None = None,
        **options: Any,
    ) -> Written:
        """Fill the gaps into a zarr store, region by region; a fill that was cut off goes on.

        One region is in memory at a time. ``out`` gets its name when it is whole; until then
        it lies in a hidden folder beside it, ``.OUT.partial``, from which the same call goes on,
        with the result of an undisturbed fill, up to rounding. One process at a time writes an
        output.

        Parameters
        ----------
        out : path
            Ends in ``.zarr``, or in ``.nc``: netCDF is written whole, and does not go on.
        imputer : DiffusionImputer, str, optional
            As in :meth:`fill`.
        overwrite : bool
            Replace what has that name.
        restart : bool
            Discard what a fill that was cut off has written.
        skip_bad : bool
            Leave out chunks of the input that cannot be read, which are looked for first. They
            stay missing, with the flag ``not_imputed``. Otherwise such a chunk is an error.
        progress : bool
            Show a bar.
        sampler, members, where, seed, guidance
            As in :meth:`fill`.
        **options
            For a baseline by name, as in :meth:`fill`.

        Returns
        -------
        Written
            Names of the variables, regions that were there already, chunks that were left out.

        Raises
        ------
        OutputExistsError
            If ``out`` exists, or is being written, or what was cut off was another fill.
        DataError
            If a chunk of the input cannot be read, or does not fit into memory.
        StorageError
            If the disk is full.

        Examples
        --------
        >>> import numpy as np
        >>> field = xr.DataArray(np.ones((3, 4, 5)), dims=("time", "lat", "lon"), name="sst")
        >>> ds = field.where(field.lat > 0).to_dataset()
        >>> ds.impute.fill_to("filled.zarr", "nearest", progress=False).variables
        ('sst', 'sst_imputation_flag')
        """
        from .baselines import Baseline
        from .filling import fill_to

        options, seed = _of_tuning(imputer, options, seed)
        chosen = self._resolve(imputer, options)
        asked: dict[str, Any] = {"where": where}
        of_network: dict[str, Any] = {
            "sampler": sampler, "members": members, "seed": seed, "guidance": guidance,
        }  # fmt: skip
        if not isinstance(chosen, Baseline):
            from .request import Request

            asked |= vars(Request(**of_network))
        else:
            _refuse_of_networks(chosen.name, **of_network)
        return fill_to(
            self._dataset(), out, chosen, options=asked, overwrite=overwrite, restart=restart,
            skip_bad=skip_bad, progress=progress, known=isinstance(self._obj, xr.Dataset),
        )  # fmt: skip

    @called("ds.impute.score")
    def score(
        self,
        imputer: Imputer | str | None = None,
        *,
        by: Literal["distance", "gap_size"] | None = None,
        **options: Any,
    ) -> xr.Dataset:
        """Skill at observations withheld in the shape of the data's own gaps.

        For the data an imputer was fitted on, cells that training never saw are used: they are
        recognised by their times and values. They also told which state of the network to keep
        and which sampler to use, so the score is a little kind to it. Other data have observations
        withheld afresh. All methods are compared at the cells that all of them fill.

        Parameters
        ----------
        imputer : DiffusionImputer, str, optional
            As in :meth:`fill`.
        by : {"distance", "gap_size"}, optional
            Sort the cells by the distance to the nearest observation in the same frame, or by the
            size of the gap they are in, both in cells.
        **options
            For a baseline by name: as in :meth:`fill`.

        Returns
        -------
        Dataset
            For each variable, dims (imputer, metric) or (imputer, metric, by): RMSE, mean absolute
            error, bias (in the variable's units) and number of cells, for the imputer,
            climatology and linear interpolation.

        Raises
        ------
        UnknownNameError
            If ``by`` or the name of a baseline is unknown.

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> skill = xdi.example().impute.score("linear")
        >>> [str(name) for name in skill["imputer"].values]
        ['linear', 'climatology']
        >>> bool(skill["sst"].sel(imputer="linear", metric="rmse") < 2)
        True
        """
        from .appraisal import examine
        from .scoring import skill_table

        return skill_table(examine(self._resolve(imputer, options), self._dataset()), by)

    @called("ds.impute.bench")
    def bench(
        self, methods: Sequence[str] | None = None, *, progress: bool = True, **options: Any
    ) -> xr.Dataset:
        """Compare a network with baselines, at observations that none of them was shown.

        Observations are set aside in the shape of the data's own gaps before anything is fitted.
        Then a network is trained and every baseline tuned on what is left. None of the fits is
        kept: whichever method wins is worth fitting on all of the data.

        Parameters
        ----------
        methods : sequence of str, optional
            Baselines by name; default: climatology, linear, thin_plate, optimal_interpolation and
            dineof.
        progress : bool
            Show a progress bar on standard error.
        **options
            As of :meth:`fit`, such as ``max_time``.

        Returns
        -------
        Dataset
            As from :meth:`score`, the network first, with the ``seconds`` of each fit along
            ``imputer``. Methods that cannot fill these data are in the attribute ``skipped``.

        Raises
        ------
        ImputeError
            If a name or option is unknown, or the data cannot be learned from.

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> ds = xdi.example(days=12)
        >>> skill = ds.impute.bench(["linear"], steps=2, window=3, progress=False)
        >>> [str(name) for name in skill["imputer"].values]
        ['diffusion', 'linear']
        >>> errors = skill["sst"].sel(metric="rmse").to_series()
        >>> best = errors.idxmin()  # "diffusion" is the network; else: ds.impute.fill(best)
        """
        from .bench import bench

        return bench(self._dataset(), methods, progress=progress, **options)

    @called("ds.impute.exposure")
    def exposure(
        self,
        partition: str | Partition = "auto",
        *,
        window: int | None = None,
        seed: int = 0,
        **options: Any,
    ) -> X:
        """Probability that a cell is queried, given the context: where the data can teach.

        By Theorem 1 the gradient for a cell scales with this probability, and what is filled
        where it is zero is arbitrary; the number of such cells is warned about.

        Parameters
        ----------
        partition : str or Partition
            As in :meth:`fit`.
        window : int, optional
            As in :meth:`fit`.
        seed : int
        **options
            ``variables``, ``time``, ``y``, ``x`` and ``extra_dims`` as in :meth:`fit`.

        Returns
        -------
        Dataset or DataArray
            One map for each variable, in [0, 1].

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> exposure = xdi.example().impute.exposure()
        >>> exposure.attrs["partition"], exposure["sst"].dims, bool(exposure["sst"].min() > 0)
        ('empirical', ('lat', 'lon'), True)
        """
        from .appraisal import exposure_map

        known = ("partition", "window", "seed", *LAYOUT)
        refuse_unknown("ds.impute.exposure", options, known)
        ds = exposure_map(self._dataset(), partition, window=window, seed=seed, options=options)
        return self._back(ds)

    @called("ds.impute.dependence")
    def dependence(self, *, seed: int = 0, **options: Any) -> xr.Dataset:
        """Whether being observed depends on the data: on the value, on neighbours, on the season.

        What is missing because it is high cannot be learned from what is left without a bias. The
        value of a cell is not known where it is missing; its values just before and after, and
        those of the cells around, stand for it. Bounded in memory: of long records runs of frames
        are looked at, of large grids squares.

        Parameters
        ----------
        seed : int
            Of the random signs that the test draws.
        **options
            ``variables``, ``time``, ``y``, ``x`` and ``extra_dims`` as in :meth:`fit`.

        Returns
        -------
        Dataset
            With dims (variable, kind), the kinds being ``"value"``, ``"neighbours"`` and
            ``"season"``: ``p_value``, the probability of so strong a dependence by chance, NaN
            where it cannot be told; ``effect``, by how much the chance of being observed changes
            with one standard deviation of what is known (for the season: the standard deviation
            of its cycle); ``blocks``, the parts of the record that count as independent. With
            dims (variable, kind, y, x): ``association``, the correlation in each cell.

        Notes
        -----
        The chance is that of random signs of the contributions of blocks of time, which are long
        against the memory of the gaps and of the values, so correlation in space and time does
        not pass for dependence. A constant, the season and a trend of each cell are taken out
        before.

        References
        ----------
        I. A. Canay, J. P. Romano and A. M. Shaikh, "Randomization tests under an approximate
        symmetry assumption", 2017 (doi:10.3982/ECTA13081).

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> ds = xdi.example(days=60)
        >>> found = ds.where(ds < 14).impute.dependence()  # where it is warm, nothing is seen
        >>> test = found.sel(variable="sst", kind="neighbours")
        >>> float(test["effect"].round(2)), bool(test["p_value"] < 0.01)
        (-0.09, True)
        >>> bool((ds.impute.dependence()["p_value"] < 0.01).any())  # clouds that do not care
        False
        """
        from .dependence import dependence

        refuse_unknown("ds.impute.dependence", options, ("seed", *LAYOUT))
        return dependence(self._dataset(), seed=seed, options=options)

    def observed(self) -> X:
        """Where values are present: True or False, lazy, on the same dims, without units.

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> round(float(xdi.example().impute.observed()["sst"].mean()), 2)
        0.63
        """
        with xr.set_options(keep_attrs=True):  # those of the coordinates
            seen = self._dataset().notnull().drop_attrs(deep=False)
        for name in seen.data_vars:
            seen[name].attrs = {}
        return self._back(seen)

    @property
    def plot(self) -> Plots:
        """Pictures by ``ds.impute.plot.gaps()``, ``.exposure()``, ``.comparison(imputer)``,
        ``.skill(imputer)``, ``.spectrum(imputer)``, ``.training(imputer)``.

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> xdi.example().impute.plot.gaps().get_size_inches().size
        2
        """
        from .plots import Plots

        return Plots(self._dataset(), self._resolve)

    def _resolve(self, imputer: Imputer | str | None, options: dict[str, Any]) -> Any:
        if isinstance(imputer, os.PathLike) or (
            isinstance(imputer, str) and os.path.isfile(imputer)
        ):
            raise ImputeError(
                f"{os.fspath(imputer)!r} is a file; open the imputer it holds with "
                f"xdi.load({os.fspath(imputer)!r}), and pass that on"
            )
        if isinstance(imputer, str):
            from .baselines import BASELINES
            from .methods import METHODS

            if imputer in METHODS and imputer not in BASELINES:
                raise ImputeError(
                    f"{imputer!r} is a method that learns; fit it first: imputer = "
                    f"ds.impute.fit(method={imputer!r}), then ds.impute.fill(imputer)"
                )
            if imputer not in BASELINES and os.path.splitext(imputer)[1]:
                raise ImputeError(
                    f"there is no file {imputer!r}, and no baseline of that name; a fitted imputer "
                    "is saved by imputer.save(path) and opened by xdi.load(path)"
                )
            return BASELINES.create(imputer, **options)
        if options:
            raise ImputeError(
                f"unexpected arguments {sorted(options)}; further settings are only for a "
                "baseline given by name, such as ds.impute.fill('telea')"
            )
        if imputer is not None:
            return imputer
        if self._imputer is None:
            raise NotFittedError(
                "nothing has been fitted on this object (xarray forgets a fit on every derived "
                "object, such as ds.isel(...) or ds['sst']); keep what fit returns and pass it on: "
                "imputer = ds.impute.fit(); ds.impute.fill(imputer), or name a baseline: "
                "ds.impute.fill('biharmonic')"
            )
        return self._imputer


def _of_tuning(
    imputer: Imputer | str | None, options: dict[str, Any], seed: int | None
) -> tuple[dict[str, Any], int | None]:
    """The seed is a setting of a baseline by name: which observations it is tuned at."""
    if isinstance(imputer, str) and seed is not None:
        return options | {"seed": seed}, None
    return options, seed


def _refuse_of_networks(name: str, **given: Any) -> None:
    """Refuse what a baseline, fitted already or without a seed of its own, cannot heed."""
    wrong = [f"{argument}=" for argument, value in given.items() if value is not None]
    if wrong:
        raise ImputeError(
            f"{' and '.join(wrong)} can be given for a fitted network, and {name!r} is a baseline; "
            "leave it out"
        )


@xr.register_dataset_accessor("impute")
class ImputeDatasetAccessor(_Impute[xr.Dataset]):
    """Impute a Dataset: its variables are learned and filled jointly.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> ds = xdi.example()
    >>> list(ds.impute.fill("nearest").data_vars)
    ['sst', 'sst_imputation_flag']
    """

    def _dataset(self) -> xr.Dataset:
        return self._obj

    def _back(self, ds: xr.Dataset) -> xr.Dataset:
        return ds


@xr.register_dataarray_accessor("impute")
class ImputeDataArrayAccessor(_Impute[xr.DataArray]):
    """Impute a DataArray.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> filled = xdi.example()["sst"].impute.fill("nearest")
    >>> filled.name, list(filled.coords)
    ('sst', ['time', 'lat', 'lon', 'sst_imputation_flag'])
    """

    def _dataset(self) -> xr.Dataset:
        name = UNNAMED if self._obj.name is None else str(self._obj.name)
        return self._obj.to_dataset(name=name)

    def _back(self, ds: xr.Dataset) -> xr.DataArray:
        name = UNNAMED if self._obj.name is None else str(self._obj.name)
        extra = [v for v in ds.data_vars if v != name]
        return ds.set_coords(extra)[name].rename(self._obj.name)
