"""What a fill is asked for: a sampler, members, a seed, a law. Checked, and set up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import xarray as xr

from .arguments import is_whole
from .assembly import REALIZATION
from .coordinates import Coordinates
from .exceptions import ImputeError
from .fields import FieldSpec
from .fitted import Fitted
from .guidance import GUIDANCES, Guidance, Penalty
from .methods import METHODS
from .reconstruction import Filler
from .registry import Registry
from .samplers import SAMPLERS, Sampler

__all__ = ["Request", "sampler_settings"]


@dataclass(frozen=True)
class Request:
    """As :meth:`xdiffimpute.accessor.ImputeDatasetAccessor.fill` takes it.

    Parameters
    ----------
    sampler : str or Sampler, optional
        Default: the one that the fit chose, or one that can be guided where there is a law.
    members : int, optional
    seed : int, optional
    guidance : str or Guidance, optional

    Raises
    ------
    ImputeError
        If it is nothing that can be asked for.

    Examples
    --------
    >>> Request(members=3).members
    3
    """

    sampler: str | Sampler | None = None
    members: int | None = None
    seed: int | None = None
    guidance: str | Guidance | None = None

    def __post_init__(self) -> None:
        _refuse_other("sampler", self.sampler, Sampler, SAMPLERS)
        _refuse_other("guidance", self.guidance, Guidance, GUIDANCES)
        for name, least, of in (("seed", 0, ""), ("members", 1, ", of fields to draw")):
            value = getattr(self, name)
            if value is None:
                continue
            if not is_whole(value, least):
                raise ImputeError(f"{name}={value!r} must be a whole number of {least} or more{of}")
            object.__setattr__(self, name, int(value))

    def chosen(self, fitted: Fitted) -> tuple[str, Sampler]:
        """Name and instance of the sampler: as given, or as the method of the fit sets it up.

        Parameters
        ----------
        fitted : Fitted

        Returns
        -------
        str, Sampler
        """
        if isinstance(self.sampler, Sampler):
            return type(self.sampler).__module__.rpartition(".")[2], self.sampler
        name = self.sampler or ("multi_step" if self.guidance is not None else fitted.sampler)
        return name, SAMPLERS.create(name, **sampler_settings(fitted, name))

    def filler(self, fitted: Fitted, ds: xr.Dataset, spec: FieldSpec) -> tuple[str, Filler]:
        """What fills these data so.

        Parameters
        ----------
        fitted : Fitted
        ds : Dataset
        spec : FieldSpec
            Of ``ds``.

        Returns
        -------
        str, Filler
            The sampler's name beside it.

        Raises
        ------
        ImputeError
            If this fit or these data cannot be filled so.
        """
        name, sampler = self.chosen(fitted)
        self._check_members(fitted, name, sampler, ds)
        clock = spec.clock(ds)
        frames = len(clock.days)
        filler = Filler(
            denoiser=fitted.denoiser,
            statistics=fitted.statistics,
            coordinates=Coordinates(spec, clock, like=fitted.spec),
            regressors=clock.regressors(fitted.statistics.harmonics),
            partition=fitted.partition,
            sampler=sampler,
            window=min(fitted.window, frames),
            tile=(min(fitted.tile[0], spec.shape[0]), min(fitted.tile[1], spec.shape[1])),
            periodic=spec.periodic,
            calibration=fitted.calibration_of(name),
            density=fitted.density,
            seed=fitted.seed if self.seed is None else self.seed,
            penalty=self._penalty(fitted, name, sampler, ds, spec, frames),
            members=self.members or 0,
        )
        return name, filler

    def _check_members(self, fitted: Fitted, name: str, sampler: Sampler, ds: xr.Dataset) -> None:
        """Refuse what no members can be drawn from."""
        if self.members is None:
            return
        if REALIZATION in ds.dims or REALIZATION in ds.coords:
            raise ImputeError(
                f"members= puts fields along {REALIZATION!r}, which these data have already; "
                f"rename that: ds.rename({REALIZATION}='member')"
            )
        first = fitted.denoiser.first
        if not sampler.in_place and (first is None or first.reach is None):
            raise ImputeError(
                f"members= with sampler={name!r}: draws are made with the covariance of the first "
                f"guesses, and method {fitted.method!r} has none; use sampler='multi_step'"
            )

    def _penalty(
        self,
        fitted: Fitted,
        name: str,
        sampler: Sampler,
        ds: xr.Dataset,
        spec: FieldSpec,
        frames: int,
    ) -> Penalty | None:
        """The penalty of the law on these data."""
        if self.guidance is None:
            return None
        law = GUIDANCES.create(self.guidance) if isinstance(self.guidance, str) else self.guidance
        if not sampler.guided:
            able = [n for n in SAMPLERS.names() if SAMPLERS.get(n).guided]
            raise ImputeError(
                f"guidance= with sampler={name!r}, which cannot be guided; use sampler={able[0]!r}"
            )
        if fitted.statistics.log.any():
            raise ImputeError(
                "guidance= with variables that were learned in the logarithm: the law is taken of "
                "values, so fit without log="
            )
        penalty = law.read(ds, spec)
        if fitted.window < penalty.frames:
            raise ImputeError(
                f"guidance= compares {penalty.frames} frames, and the imputer sees "
                f"{fitted.window} at once; fit with window={penalty.frames} or more"
            )
        if frames < penalty.frames:
            raise ImputeError(
                f"guidance= compares {penalty.frames} frames, and these data have {frames}; fill "
                "more frames at once, or leave out guidance="
            )
        return penalty


def _refuse_other(argument: str, value: object, base: type[Any], family: Registry[Any]) -> None:
    """Refuse what is neither None, nor a name, nor an instance."""
    if value is None or isinstance(value, str | base):
        return
    names = ", ".join(map(repr, family))
    create = f"{argument.upper()}S.create"
    if isinstance(value, type) and issubclass(value, base):
        own = value.__module__.rpartition(".")[2]
        how = f"{create}({own!r})" if own in family else f"{value.__name__}(...)"
        raise ImputeError(
            f"{argument}={value.__name__} is a class; set one up with {how}, or give a name of "
            f"{names}"
        )
    raise ImputeError(
        f"{argument}={value!r} is neither a name of {names}, nor one that is set up, such as "
        f"{create}({family.names()[0]!r})"
    )


def sampler_settings(fitted: Fitted, name: str) -> dict[str, Any]:
    """The settings that the method of the fit gives a sampler.

    Parameters
    ----------
    fitted : Fitted
    name : str
        Of the sampler.

    Returns
    -------
    dict
    """
    return dict(METHODS.create(fitted.method).samplers.get(name, {}))
