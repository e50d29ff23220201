"""``dt.impute``: the accessor of each group of a DataTree.

A group is a dataset of its own: a baseline is tuned for each, and each has a network of its own
where one is fitted. Groups that hold no field come back as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import xarray as xr

from .arguments import LAYOUT
from .exceptions import ImputeError, TrainingInterrupted

if TYPE_CHECKING:
    from .diffusion import DiffusionImputer
    from .imputer import Imputer

__all__ = ["ImputeDataTreeAccessor"]

log = logging.getLogger("xdiffimpute")

Imputers: TypeAlias = "Imputer | str | Mapping[str, Imputer]"


@xr.register_datatree_accessor("impute")
class ImputeDataTreeAccessor:
    """Impute each group of a DataTree by itself.

    A group takes part if it holds a floating-point variable of two or more dimensions.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> fine = xdi.example()
    >>> dt = xr.DataTree.from_dict({"/coarse": fine.coarsen(lon=2).mean(), "/fine": fine})
    >>> filled = dt.impute.fill("nearest")
    >>> [int(filled[path].isnull().sum()) for path in ("/coarse/sst", "/fine/sst")]
    [0, 0]
    """

    def __init__(self, tree: xr.DataTree) -> None:
        self._tree = tree

    def fit(self, **options: Any) -> dict[str, DiffusionImputer]:
        """Fit a network for each group that holds a field with gaps.

        All groups are checked, which reads their values, before the first one is trained. One that
        fails all the same, or whose training does, is told of in the log as an error, and left out.

        Parameters
        ----------
        **options
            As of :meth:`xdiffimpute.accessor.ImputeDatasetAccessor.fit`, for each group; a limit
            on time is for each of them. In the folder of ``checkpoint`` each has one of its own.

        Returns
        -------
        dict of str to DiffusionImputer
            By the path of the group, such as ``"/fine"``; for :meth:`fill` and :meth:`score`.

        Raises
        ------
        ImputeError
            If a group cannot be learned from, as far as its values tell before any training; the
            message names it.

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> dt = xr.DataTree.from_dict({"/north": xdi.example(days=8), "/empty": xr.Dataset()})
        >>> list(dt.impute.fit(steps=1, window=1, progress=False))
        ['/north']
        """
        if options.get("log_to") is not None:
            raise ImputeError(
                "log_to= is the log of one training, and each group has its own; fit the group "
                "alone: dt['/group'].to_dataset().impute.fit(log_to=...)"
            )
        groups = {path: ds for path, ds in self._groups().items() if _has_fields(ds)}
        # what is wrong with any of them is said before the first one is trained
        whole = [path for path, ds in groups.items() if _named(path, _is_whole, ds, options)]
        if len(whole) < len(groups):
            for path in whole:
                log.warning("the group %r is passed over: nothing is missing in it", path)
                del groups[path]
        fitted: dict[str, DiffusionImputer] = {}
        failed: list[ImputeError] = []
        for path, ds in groups.items():
            try:
                fitted[path] = _named(path, ds.impute.fit, **_below(path, options))
            except TrainingInterrupted:
                raise
            except ImputeError as error:  # what the others have learned is not lost
                failed.append(error)
        if failed and not fitted:
            raise failed[0]
        for why in failed:
            log.error("%s; the other groups are fitted", why)
        return fitted

    def fill(self, imputer: Imputers, **options: Any) -> xr.DataTree:
        """Fill the gaps of each group.

        Parameters
        ----------
        imputer : str, Imputer, or mapping of path to Imputer
            A baseline's name, a fitted imputer that suits every group, or what :meth:`fit`
            returned. Groups that a mapping does not name come back as they are.
        **options
            As of :meth:`xdiffimpute.accessor.ImputeDatasetAccessor.fill`.

        Returns
        -------
        DataTree
            Lazy where the input is.

        Raises
        ------
        ImputeError
            If a group cannot be filled, or a mapping names a group that does not exist.
        """
        return self._over("fill", imputer, options)

    def score(self, imputer: Imputers, **options: Any) -> xr.DataTree:
        """Skill at withheld observations of each group.

        Parameters
        ----------
        imputer : str, Imputer, or mapping of path to Imputer
            As of :meth:`fill`.
        **options
            As of :meth:`xdiffimpute.accessor.ImputeDatasetAccessor.score`.

        Returns
        -------
        DataTree
            Of the tables that :meth:`xdiffimpute.accessor.ImputeDatasetAccessor.score` gives.

        Examples
        --------
        >>> import xdiffimpute as xdi
        >>> dt = xr.DataTree.from_dict({"/north": xdi.example()})
        >>> skill = dt.impute.score("nearest")
        >>> [str(name) for name in skill["/north"]["imputer"].values]
        ['nearest', 'climatology', 'linear']
        """
        return self._over("score", imputer, options)

    def _over(self, method: str, imputer: Imputers, options: Mapping[str, Any]) -> xr.DataTree:
        """A method of each group's accessor; groups without a field, or without an imputer, stay
        as they are in a filled tree and are empty in one of scores."""
        groups = self._groups()
        if isinstance(imputer, Mapping):
            absent = sorted(set(imputer) - set(groups))
            if absent:
                raise ImputeError(
                    f"imputers are given for {absent}, and the groups are {sorted(groups)}; pass "
                    "on what dt.impute.fit() returns, or take the paths from dt.groups"
                )
        out: dict[str, xr.Dataset] = {}
        for inside, node in self._tree.subtree_with_keys:
            ds = groups[node.path]
            chosen = imputer.get(node.path) if isinstance(imputer, Mapping) else imputer
            if chosen is not None and _has_fields(ds):
                out[inside] = _named(node.path, getattr(ds.impute, method), chosen, **options)
            else:
                out[inside] = ds if method == "fill" else xr.Dataset()
        return xr.DataTree.from_dict(out, name=self._tree.name)

    def _groups(self) -> dict[str, xr.Dataset]:
        """Content of each group, with inherited coordinates, by its path in the whole tree."""
        return {node.path: node.to_dataset() for node in self._tree.subtree}


def _has_fields(ds: xr.Dataset) -> bool:
    from .selection import companions

    beside = companions(ds)
    return any(
        v.ndim >= 2 and v.dtype.kind == "f" for n, v in ds.data_vars.items() if n not in beside
    )


def _is_whole(ds: xr.Dataset, options: Mapping[str, Any]) -> bool:
    """Whether nothing is missing; an error if the group cannot be learned from."""
    from .diffusion import DiffusionImputer
    from .fields import FieldSpec
    from .quantities import dequantify
    from .validation import check_dataset, check_values

    told = {k: options[k] for k in (*LAYOUT, "covariates") if k in options}
    plain = dequantify(ds)[0]
    spec = FieldSpec.from_dataset(plain, **told)
    check_dataset(plain, spec)
    packed = spec.pack(plain)
    seen = check_values(packed, spec, for_fit=False)
    if bool((seen[: len(spec.channels) - spec.given] == 1).all()):
        return True
    check_values(packed, spec, for_fit=True)
    DiffusionImputer(**options).options.logarithms(spec)
    return False


def _below(path: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options of a group: its checkpoints are in a folder of their own."""
    if options.get("checkpoint") is None:
        return options
    return options | {"checkpoint": Path(options["checkpoint"], *path.split("/"))}


def _named(path: str, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call; an error says which group it is about."""
    try:
        return call(*args, **options)
    except ImputeError as error:
        raise type(error)(f"in the group {path!r}: {error}") from error
