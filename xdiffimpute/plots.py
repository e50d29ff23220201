"""``ds.impute.plot``: each method computes what a picture needs, and draws it.

The pictures themselves are in :mod:`xdiffimpute.pictures`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import xarray as xr

from .appraisal import examine, exposure_map
from .arguments import LAYOUT, as_list, refuse_unknown
from .assembly import REALIZATION, mean_of_members
from .baselines import Baseline
from .coverage import coverage
from .exceptions import ImputeError
from .fields import FieldSpec
from .frames import Data, as_dataset, choose_frame, filled_names, place_of, spread, within
from .imputer import Imputer
from .pictures.comparison import comparison
from .pictures.exposure import exposure
from .pictures.gaps import gaps
from .pictures.skill import skill
from .pictures.spectrum import spectrum
from .pictures.training import training
from .quantities import dequantify
from .scoring import skill_table
from .spectra import spectra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .partition import Partition

__all__ = ["Plots"]

Path: TypeAlias = str | os.PathLike[str] | None
Size: TypeAlias = tuple[float, float] | None
Resolve: TypeAlias = Callable[[Any, dict[str, Any]], Any]


class Plots:
    """Pictures of one dataset; each method returns a matplotlib ``Figure``.

    Parameters
    ----------
    ds : Dataset
    resolve : callable
        From an imputer, the name of a baseline or None, and options, to an imputer.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> figure = xdi.example().impute.plot.comparison("nearest", frame=2)
    >>> [ax.get_title() for ax in figure.axes[:2]]
    ['observed', 'filled']
    """

    def __init__(self, ds: xr.Dataset, resolve: Resolve) -> None:
        self._ds, self._resolve = ds, resolve

    def gaps(self, *, figsize: Size = None, path: Path = None, **layout: Any) -> Figure:
        """How often each cell is observed, and how much of the domain at each time.

        Parameters
        ----------
        figsize : (float, float), optional
            Width and height in inches.
        path : path, optional
            Where to save the picture; the ending decides the format.
        **layout
            ``variables``, ``time``, ``y``, ``x`` and ``extra_dims`` as in ``ds.impute.fit``.

        Returns
        -------
        matplotlib.figure.Figure

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> xdi.example().impute.plot.gaps(figsize=(8, 3)).get_size_inches().tolist()
        [8.0, 3.0]
        """
        refuse_unknown("ds.impute.plot.gaps", layout, ("figsize", "path", *LAYOUT))
        return gaps(coverage(self._ds, layout), figsize=figsize, path=path)

    def exposure(
        self,
        partition: str | Partition = "auto",
        *,
        window: int | None = None,
        seed: int = 0,
        figsize: Size = None,
        path: Path = None,
        **layout: Any,
    ) -> Figure:
        """Where the data can teach anything (Principle 1).

        Parameters
        ----------
        partition, window, seed, **layout
            As in ``ds.impute.exposure``.
        figsize, path
            As in :meth:`gaps`.

        Returns
        -------
        matplotlib.figure.Figure

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> xdi.example().impute.plot.exposure().axes[0].get_xlabel()
        'longitude (°E)'
        """
        known = ("partition", "window", "seed", "figsize", "path", *LAYOUT)
        refuse_unknown("ds.impute.plot.exposure", layout, known)
        found = exposure_map(self._ds, partition, window=window, seed=seed, options=layout)
        return exposure(found, figsize=figsize, path=path)

    def comparison(
        self,
        filled: Imputer | str | Data | None = None,
        *,
        truth: Data | None = None,
        frame: int | Mapping[str, int] | None = None,
        variables: Sequence[str] | None = None,
        title: str | None = None,
        projection: Any = None,
        figsize: Size = None,
        path: Path = None,
        **options: Any,
    ) -> Figure:
        """One frame: truth, what was observed, the fill, its error and its standard error.

        Parameters
        ----------
        filled : DiffusionImputer, str, Dataset or DataArray, optional
            What ``ds.impute.fill`` returned, of members their mean; or an imputer or the name of a
            baseline that is to fill. Default: the imputer that ``fit`` left on this object.
        truth : Dataset or DataArray, optional
            Adds the columns truth and error.
        frame : int or mapping of dim to int, optional
            Position in time, or along each dim other than the grid's. Default: the middle.
        variables : sequence of str, optional
            Default: all that are filled.
        title : str, optional
            Default: where the frame is.
        projection : str or cartopy.crs.Projection, optional
            Draw the maps on the globe, with cartopy: such as ``"Orthographic"``.
        figsize, path
            As in :meth:`gaps`.
        **options
            For a baseline by name: its own settings, and ``time``, ``y``, ``x``.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImputeError
            If there is no such frame.

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> truth = xdi.example(complete=True)
        >>> figure = xdi.example().impute.plot.comparison("nearest", truth=truth, frame=2)
        >>> [ax.get_title() for ax in figure.axes[:4]]
        ['truth', 'observed', 'filled', 'error (filled − truth)']
        """
        whole, plain = self._filled(filled, options), dequantify(self._ds)[0]
        whole = whole if REALIZATION in plain.dims else mean_of_members(whole)
        names = as_list(variables) or filled_names(whole, plain)
        spec = FieldSpec.from_dataset(plain, variables=names, **_axes(options))
        at = choose_frame(plain, spec, frame)
        parts = [whole, plain] if truth is None else [whole, plain, as_dataset(truth, plain)]
        done, seen, *known = (dequantify(ds)[0].isel(within(at, ds)) for ds in parts)
        where = ", ".join(f"{d} {place_of(seen, d, k)}" for d, k in at.items())
        return comparison(
            seen, done, truth=known[0] if known else None, variables=names,
            title=where if title is None else title, projection=projection, figsize=figsize,
            path=path,
        )  # fmt: skip

    def skill(
        self,
        imputer: Imputer | str | None = None,
        *,
        figsize: Size = None,
        path: Path = None,
        **options: Any,
    ) -> Figure:
        """RMSE at withheld observations: overall, by distance, and by the size of the gap.

        Parameters
        ----------
        imputer, **options
            As in ``ds.impute.score``.
        figsize, path
            As in :meth:`gaps`.

        Returns
        -------
        matplotlib.figure.Figure

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> xdi.example().impute.plot.skill("nearest").axes[0].get_title()
        'sst, 183 cells'
        """
        found = examine(self._resolve(imputer, options), self._ds)
        tables = [skill_table(found, by) for by in (None, "distance", "gap_size")]
        return skill(*tables, figsize=figsize, path=path)

    def spectrum(
        self,
        *fills: Imputer | str | Data,
        truth: Data | None = None,
        variables: Sequence[str] | None = None,
        frames: int = 24,
        figsize: Size = None,
        path: Path = None,
        **axes: str,
    ) -> Figure:
        """Variance by wavelength of one or several fills: is what was filled too smooth?

        Parameters
        ----------
        *fills : DiffusionImputer, str, Dataset or DataArray
            As in :meth:`comparison`; default: the imputer that ``fit`` left.
        truth : Dataset or DataArray, optional
            Drawn in black.
        variables : sequence of str, optional
            Default: all that are filled.
        frames : int
            How many, evenly spread over the record, at most.
        figsize, path
            As in :meth:`gaps`.
        **axes
            ``time``, ``y``, ``x``, where they are not found.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImputeError
            If the grid is too small, or no cell is filled in all frames.

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> truth = xdi.example(complete=True)
        >>> figure = xdi.example().impute.plot.spectrum("nearest", "linear", truth=truth)
        >>> [text.get_text() for text in figure.legends[0].get_texts()]
        ['truth', 'nearest', 'linear']
        """
        if frames < 1:
            raise ImputeError(f"frames={frames} leaves nothing to draw; give 1 or more")
        plain = dequantify(self._ds)[0]
        versions = {} if truth is None else {"truth": as_dataset(truth, plain)}
        for fill in fills or (None,):
            label = _label(fill, taken=versions)
            versions[label] = self._filled(fill, dict(axes) if isinstance(fill, str) else {})
        names = as_list(variables) or filled_names(versions[label], plain)
        spec = FieldSpec.from_dataset(plain, variables=names, **axes)
        found, share = spectra(
            {n: spread(dequantify(ds)[0][names], spec, frames) for n, ds in versions.items()}, spec
        )
        least = min(share.values())
        note = "" if least == 1 else f"cells without values ({1 - least:.0%}) are set to the mean"
        return spectrum(found, note=note, figsize=figsize, path=path)

    def training(
        self, imputer: Imputer | None = None, *, figsize: Size = None, path: Path = None
    ) -> Figure:
        """Loss and withheld error over the updates of a fit.

        Parameters
        ----------
        imputer : DiffusionImputer, optional
            Default: the imputer that ``fit`` left on this object.
        figsize, path
            As in :meth:`gaps`.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImputeError
            If it is a baseline, which is not trained.

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> ds = xdi.example(days=8)
        >>> imputer = xdi.DiffusionImputer(steps=2, window=1, progress=False, summary=False)
        >>> len(ds.impute.plot.training(imputer.fit(ds)).axes)
        2
        """
        chosen = self._resolve(imputer, {})
        if isinstance(chosen, Baseline):
            raise ImputeError(
                f"{chosen.name!r} is not trained and has no curves; fit a network: imputer = "
                "ds.impute.fit(), then ds.impute.plot.training(imputer)"
            )
        history = chosen.fitted.history
        return training(history.loss, history.validation, figsize=figsize, path=path)

    def _filled(self, filled: Imputer | str | Data | None, options: dict[str, Any]) -> xr.Dataset:
        """A fill as it is, or a lazy one, so that only the frames that are drawn are computed."""
        if isinstance(filled, (xr.Dataset, xr.DataArray)):
            return as_dataset(filled, self._ds)
        imputer: Imputer = self._resolve(filled, options)
        return imputer.fill(dequantify(self._ds)[0].chunk())


def _label(fill: Imputer | str | Data | None, taken: Mapping[str, Any]) -> str:
    """What a fill is called in a legend, told apart from those before it."""
    if isinstance(fill, str):
        label = fill
    else:
        label = "filled" if isinstance(fill, (xr.Dataset, xr.DataArray)) else "diffusion"
        label = fill.name if isinstance(fill, Imputer) else label
    again = sum(name == label or name.startswith(f"{label} ") for name in taken)
    return f"{label} {again + 1}" if again else label


def _axes(options: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in options.items() if k in ("time", "y", "x")}
