"""What tells whether data are those that a training began with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import dask
import numpy as np
import xarray as xr

from ._typing import AnyArray, IntArray
from .calendar import Clock
from .tiling import evenly

__all__ = ["Identity"]

SAMPLED = 64
BYTES_AT_ONCE = 64 * 2**20


@dataclass(frozen=True)
class Identity:
    """Times of all frames, and digests of the values of some.

    All frames of data in memory are digested; of data that are read from a store, 64 at even
    distances, so that looking costs no pass over the store.

    Parameters
    ----------
    labels : str array, shape (T,)
        See :class:`xdiffimpute.calendar.Clock`.
    frames : int array, shape (K,)
        Which were digested.
    digests : uint64 array, shape (K,)
    """

    labels: AnyArray
    frames: AnyArray
    digests: AnyArray

    @classmethod
    def of(cls, packed: xr.DataArray, clock: Clock) -> Identity:
        """Take it.

        Parameters
        ----------
        packed : DataArray, dims (series, time, channel, y, x)
        clock : Clock

        Returns
        -------
        Identity
        """
        count = packed.sizes["time"]
        frames: IntArray = np.arange(count)
        if packed.chunks is not None:
            frames = evenly(count, SAMPLED)
        return cls(clock.labels, frames, _digests(packed, frames))

    def changed(self, packed: xr.DataArray) -> AnyArray:
        """Labels of frames whose values are not those that were digested.

        Parameters
        ----------
        packed : DataArray, dims (series, time, channel, y, x)
            With the times of this identity.

        Returns
        -------
        str array
        """
        other = _digests(packed, self.frames) != self.digests
        return np.asarray(self.labels[self.frames[other]])

    def to_arrays(self) -> dict[str, AnyArray]:
        """As a file can hold it: labels as bytes."""
        text = "\n".join(map(str, self.labels)).encode()
        return {
            "labels": np.frombuffer(text, dtype=np.uint8),
            "frames": self.frames,
            "digests": self.digests,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, AnyArray]) -> Identity:
        """Rebuild from :meth:`to_arrays`."""
        labels = np.array(bytes(arrays["labels"]).decode().split("\n"))
        return cls(labels, arrays["frames"], arrays["digests"])


def _digests(packed: xr.DataArray, frames: AnyArray) -> AnyArray:
    """One number for the values of each frame, which does not depend on chunks."""
    found = []
    data = packed.transpose("time", "series", "channel", "y", "x").data
    count = max(1, BYTES_AT_ONCE // max(1, 4 * int(np.prod(data.shape[1:]))))
    for k in range(0, len(frames), count):
        for frame in dask.compute(*(data[int(n)] for n in frames[k : k + count])):
            values = np.array(frame, dtype="<f4")
            values[np.isnan(values)] = np.nan  # one of the many bit patterns
            digest = hashlib.blake2b(values.tobytes(), digest_size=8).digest()
            found.append(int.from_bytes(digest, "little"))
    return np.array(found, dtype=np.uint64)
