"""How often the truth has which rank among the members: level, if they are draws like it."""

from __future__ import annotations

import xarray as xr

from ..exceptions import DataError
from .base import Dims, Metric, answered, common, selected

__all__ = ["RankHistogram"]


class RankHistogram(Metric):
    """Share of the cells whose truth exceeds just 0, 1, ... N of the N members, along ``rank``.

    Level where members and truth are draws of one distribution; high at both ends where members
    are too alike, high in the middle where they are too far apart, sloping where they are biased.
    A truth that equals members counts in equal parts for all ranks that it may have. Ask for the
    filled cells alone, ``where=gappy.isnull()``: at observed ones all members are right.

    Parameters
    ----------
    members : str
        Dimension of the members.

    References
    ----------
    T. M. Hamill, Monthly Weather Review (2001),
    doi:10.1175/1520-0493(2001)129<0550:IORHFV>2.0.CO;2.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> truth = xdi.example(complete=True)
    >>> members = xr.concat([truth - 1, truth + 1], "realization")
    >>> RankHistogram()(members, truth)["sst"].values.tolist()
    [0.0, 1.0, 0.0]
    """

    def __init__(self, members: str = "realization") -> None:
        self.members = members

    def __call__(
        self,
        filled: xr.Dataset,
        truth: xr.Dataset,
        *,
        where: xr.Dataset | xr.DataArray | None = None,
        dim: Dims = None,
    ) -> xr.Dataset:
        out = {}
        for name in common(filled, truth):
            value = filled[name]
            if self.members not in value.dims:
                raise DataError(
                    f"a rank histogram needs members along {self.members!r}; {name!r} has the dims "
                    f"{list(map(str, value.dims))}; fill with ds.impute.fill(imputer, members=20)"
                )
            known = value.notnull().all(self.members) & truth[name].notnull()
            low = (value < truth[name]).sum(self.members).where(known).rename(name)
            high = low + (value == truth[name]).sum(self.members)
            shares = []
            for k in range(value.sizes[self.members] + 1):
                share = ((low <= k) & (k <= high)) / (high - low + 1)
                mean = selected(share.where(known).rename(name), where).mean(dim)
                shares.append(answered(mean, low, truth[name], where, dim))
            out[name] = xr.concat(shares, "rank").assign_attrs(units="1")
        return xr.Dataset(out)
