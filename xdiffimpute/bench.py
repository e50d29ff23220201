"""A network and baselines on the same data, at observations that none of them was shown.

:meth:`ds.impute.score` judges a network at the cells that its own fit withheld, which also chose
its state and its sampler. Here observations are set aside first; what is left is all that any
method is fitted on, tuned on and fills from.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from .appraisal import set_aside
from .arguments import LAYOUT
from .baselines import BASELINES, Baseline
from .diffusion import DiffusionImputer
from .exceptions import DataError, ImputeError
from .methods import METHODS
from .quantities import dequantify
from .residuals import residuals, thinned
from .scoring import quiet, skill_table
from .tiling import default_window

__all__ = ["DEFAULT", "bench", "winners"]

log = logging.getLogger("xdiffimpute")

DEFAULT = ("climatology", "linear", "thin_plate", "optimal_interpolation", "dineof")
# So that the fit withholds other observations than those set aside before.
APART = 1009
LEFT_OUT = "%s is left out: %s"

Fill = Callable[[xr.Dataset], xr.Dataset]


def bench(ds: xr.Dataset, methods: Sequence[str] | None = None, **options: Any) -> xr.Dataset:
    """Compare a network with baselines.

    Parameters
    ----------
    ds : Dataset
    methods : sequence of str, optional
        Baselines by name; default: :data:`DEFAULT`.
    **options
        Of :class:`xdiffimpute.DiffusionImputer`.

    Returns
    -------
    Dataset
        As :func:`xdiffimpute.scoring.skill_table` has it, the network first, with ``seconds`` of
        fitting along ``imputer``; methods that could not be fitted, or could not fill, are in the
        attribute ``skipped``. The attribute ``tied`` of each variable names those that the frames
        do not tell from the best (:meth:`xdiffimpute.residuals.Residuals.tied`).

    Raises
    ------
    ImputeError
        If a name or option is unknown, or the data cannot be learned from.
    DataError
        If no observation can be set aside.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> skill = bench(xdi.example(days=12), ["linear"], steps=2, window=3, progress=False)
    >>> [str(name) for name in skill["imputer"].values], skill["seconds"].dims
    (['diffusion', 'linear'], ('imputer',))
    """
    names = _checked(DEFAULT if methods is None else methods)
    network = DiffusionImputer(**{"summary": False} | options)
    network.options.settings()
    plain, _ = dequantify(ds)
    layout = {name: options[name] for name in LAYOUT if options.get(name) is not None}
    spec, withheld, domain = set_aside(
        plain, layout | {"covariates": network.options.covariates},
        window=lambda frames: options.get("window") or default_window(frames),
        seed=network.options.seed + APART,
    )  # fmt: skip
    if not withheld.cells:
        raise DataError(
            "no observation can be set aside in the shape of these data's gaps, and nothing can be "
            "compared; give a longer record, or hide cells yourself (docs/howto/score.md)"
        )
    log.info("%d observations are set aside; no method sees them", withheld.cells)
    shown = thinned(plain, spec, withheld)
    everywhere = xr.DataArray(np.ones(spec.shape, dtype=bool), dims=(spec.axes.y, spec.axes.x))
    fills, seconds, skipped = _baselines(names, shown, spec.layout, everywhere)
    start = time.perf_counter()
    network.fit(shown)
    fills = {network.name: network.filling_at(withheld, everywhere)} | fills
    seconds = {network.name: time.perf_counter() - start} | seconds
    failed: dict[str, str] = {}

    def leave_out(name: str, error: ImputeError) -> None:
        if name == network.name:
            raise error
        failed[name] = str(error)

    with quiet():
        found = residuals(plain, spec, withheld, fills, domain, leave_out)
    skill = skill_table(found)
    for name in skill.data_vars:
        skill[name].attrs["tied"] = " ".join(found.tied(str(name)))
    for name, why in failed.items():
        log.warning(LEFT_OUT, name, why)
    skipped |= failed
    taken = [seconds[str(name)] for name in skill["imputer"].values]
    skill = skill.assign_coords(seconds=("imputer", taken, {"units": "s"}))
    return skill.assign_attrs(skipped=[f"{name}: {why}" for name, why in skipped.items()])


def winners(skill: xr.Dataset) -> dict[str, str]:
    """The method of the lowest root mean square error for each variable that has one.

    Parameters
    ----------
    skill : Dataset
        From :func:`bench` or :func:`xdiffimpute.scoring.skill_table`.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> coords = {"imputer": ["diffusion", "linear"], "metric": ["rmse"]}
    >>> winners(xr.DataArray([[0.5], [0.4]], coords).to_dataset(name="sst"))
    {'sst': 'linear'}
    """
    out = {}
    for name, table in skill.data_vars.items():
        errors = table.sel(metric="rmse").values
        if np.isfinite(errors).any():
            out[str(name)] = str(skill["imputer"].values[int(np.nanargmin(errors))])
    return out


def _checked(methods: Sequence[str]) -> list[str]:
    """Names of baselines, each once."""
    if isinstance(methods, str):
        raise ImputeError(f"methods={methods!r} is not a list of names; try methods=[{methods!r}]")
    for name in methods:
        if name in METHODS and name not in BASELINES:
            raise ImputeError(
                f"methods: {name!r} is a way for the network to learn; a network is always part of "
                f"the comparison; choose how it learns with method={name!r}"
            )
        BASELINES.get(name)
    return list(dict.fromkeys(methods))


def _baselines(
    names: Sequence[str],
    shown: xr.Dataset,
    layout: dict[str, Any],
    everywhere: xr.DataArray,
) -> tuple[dict[str, Fill], dict[str, float], dict[str, str]]:
    """How each fills, its seconds of fitting, and those that cannot be fitted, with the reason."""
    fills: dict[str, Fill] = {}
    seconds: dict[str, float] = {}
    skipped: dict[str, str] = {}
    for name in names:
        start = time.perf_counter()
        try:
            fitted: Baseline = BASELINES.create(name, **layout).fit(shown)
        except ImputeError as error:
            log.warning(LEFT_OUT, name, error)
            skipped[name] = str(error)
            continue
        seconds[name] = time.perf_counter() - start
        fills[name] = _filling(fitted, everywhere)
    return fills, seconds, skipped


def _filling(fitted: Baseline, everywhere: xr.DataArray) -> Fill:
    return lambda gappy: fitted.fill(gappy, where=everywhere)
