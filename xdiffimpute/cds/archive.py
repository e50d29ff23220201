"""Month by month: fetched, verified, kept, and at the end written as one store.

Beside ``era5.zarr`` stands the folder ``era5.months`` with a folder for each month that is whole.
A month is fetched in a ``.partial`` folder and gets its name when its files have been read, with
their sizes and checksums in ``whole.json``. Another run asks only for months that are missing,
that no longer match their checksums, or that were not out completely.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..exceptions import FetchError, OutputExistsError, StorageError
from ..progress import progress_bar
from ..stores import write_store
from .answer import PRELIMINARY, TIME_ENCODING, open_answer, unpack
from .desk import Desk, desk
from .names import SHORT_NAMES
from .order import Month, Order

__all__ = ["Fetched", "fetch"]

log = logging.getLogger("xdiffimpute")

RECORD = "whole.json"
CHUNK = 16_000_000  # bytes of a chunk of the store


@dataclass(frozen=True)
class Fetched:
    """What a fetch did.

    Parameters
    ----------
    store : Path
        The zarr store.
    asked : list of Month
        Fetched now.
    kept : list of Month
        There already, and verified.
    unfinished : list of Month
        Not out completely yet; the next fetch asks for them again.
    """

    store: Path
    asked: list[Month]
    kept: list[Month]
    unfinished: list[Month]

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        months = {
            name: list(map(str, getattr(self, name))) for name in ("asked", "kept", "unfinished")
        }
        return {"store": str(self.store), **months}


def fetch(
    order: Order,
    store: str | Path,
    *,
    overwrite: bool = False,
    progress: bool = True,
    retry_max: int = 20,
    sleep_max: float = 60.0,
) -> Fetched:
    """Fetch what is missing of an order and write it as one zarr store.

    Parameters
    ----------
    order : Order
    store : path
        Ends in ``.zarr``; the months are kept beside it, in a folder that ends in ``.months``.
    overwrite : bool
        Replace a store that this function did not write.
    progress : bool
        Show bars of months and, on a terminal, of downloads on standard error.
    retry_max : int
        How often a lost connection is tried again.
    sleep_max : float
        Seconds between tries, and the longest time between looks at the queue.

    Returns
    -------
    Fetched

    Raises
    ------
    CredentialsError
        If a key is missing or refused, or the licence has not been accepted.
    FetchError
        If a month cannot be fetched or written; the months before it are kept.
    OutputExistsError
        If the store exists, was not written by this function, and ``overwrite`` is False.

    Examples
    --------
    >>> order = Order(dataset="reanalysis-era5-single-levels", variables=["2m_temperature"],
    ...               years=[2019], months=[3], area=(58, -10, 50, 2))
    >>> ds = xr.open_zarr(fetch(order, "era5.zarr").store)  # doctest: +SKIP
    """
    store = Path(store)
    months = store.with_suffix(".months")
    if store.suffix != ".zarr":
        raise FetchError(f"cannot write {str(store)!r}; give a path that ends in .zarr")
    if store.exists() and not overwrite and not (months / "store.json").exists():
        raise OutputExistsError(
            f"{str(store)!r} exists already and was not written by a fetch; give another path, or "
            "allow it with --overwrite"
        )
    with _kept(months):
        months.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=months).close()
        for left in months.glob("*.partial"):  # by a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        whole = [m for m in order.calendar if _record(months / str(m), order.requests(m))]
    missing = [m for m in order.calendar if m not in whole]
    if whole:
        log.info("kept %s", _listed(whole))
    if missing:
        with desk(retry_max=retry_max, sleep_max=sleep_max, progress=progress) as open_desk:
            for month in progress_bar(missing, show=progress, desc="fetch", unit="month"):
                _fetch_month(open_desk, order, month, months)
    with _kept(months):
        unfinished = _write(order, store, months)
    return Fetched(store, missing, whole, unfinished)


def _fetch_month(open_desk: Desk, order: Order, month: Month, months: Path) -> None:
    """Into a folder that gets its name when everything in it has been read."""
    partial, final = months / f"{month}.partial", months / str(month)
    with _kept(months, f"{month}: "):
        partial.mkdir()
        try:
            _fill_month(open_desk, order, month, partial)
            shutil.rmtree(final, ignore_errors=True)
            partial.rename(final)
        finally:  # a part of a file is of no use, and may be what fills the disk
            shutil.rmtree(partial, ignore_errors=True)


def _fill_month(open_desk: Desk, order: Order, month: Month, folder: Path) -> None:
    """Ask, unpack, read, and write the record."""
    parts = []
    for k, request in enumerate(order.requests(month)):
        download = folder / f"{k}.download"
        log.info("%s: asking for %s", month, ", ".join(order.variables))
        open_desk.retrieve(order.dataset, request, download)
        parts.append(unpack(download, folder, str(k)))
    complete = _check(parts, order, month)
    files = {p.name: _fingerprint(p) for p in sorted(folder.glob("*.nc"))}
    record = {"requests": order.requests(month), "complete": complete, "files": files}
    (folder / RECORD).write_text(json.dumps(record, indent=1))


def _check(parts: list[list[Path]], order: Order, month: Month) -> bool:
    """Read everything once. Is every time there?"""
    with open_answer(parts, order.west) as ds:
        names = {SHORT_NAMES[v] for v in order.variables if v in SHORT_NAMES}
        missing = sorted(names - set(ds.data_vars))
        if missing or len(ds.data_vars) < len(order.variables):
            raise FetchError(
                f"the answer holds {', '.join(map(str, ds.data_vars))} for the variables "
                f"{', '.join(order.variables)}; some are missing"
            )
        try:
            for variable in ds.data_vars.values():
                variable.notnull().any().compute()
        except (OSError, ValueError, RuntimeError) as error:
            raise FetchError(f"the netCDF file that came is broken ({error})") from error
        absent = np.setdiff1d(order.times(month), ds["time"].values.astype("datetime64[h]"))
    if len(absent):
        log.warning(
            "%s: %d times are not out yet, from %s on; the next fetch asks for them again",
            month, len(absent), absent[0],
        )  # fmt: skip
    return not len(absent)


def _record(folder: Path, requests: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The record of a month that is whole and answers these requests, or None."""
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text())
        if record["requests"] != requests or not record["complete"]:
            return None
        good = all(_fingerprint(folder / n) == mark for n, mark in record["files"].items())
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
        return None
    if not good:
        log.warning("%s does not match its checksums; it is asked for again", folder)
    return record if good else None


def _fingerprint(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(order: Order, store: Path, months: Path) -> list[Month]:
    """Write the store unless it holds these very months; which of them are unfinished."""
    records = {m: json.loads((months / str(m) / RECORD).read_text()) for m in order.calendar}
    state = {"dataset": order.dataset, "months": {str(m): records[m]["files"] for m in records}}
    told = months / "store.json"
    unfinished = [m for m in records if not records[m]["complete"]]
    if store.exists() and _told(told) == state:
        log.info("%s holds these months already", store)
        return unfinished
    opened = [open_answer(_parts(months / str(m), records[m]), order.west) for m in records]
    try:
        write_store(_joined(opened, order), str(store))
    finally:
        for ds in opened:
            ds.close()
    partial = told.with_suffix(".partial")
    partial.write_text(json.dumps(state, indent=1))
    partial.replace(told)
    return unfinished


def _told(path: Path) -> Any:
    """What the store was made from; None where nothing says so."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _parts(folder: Path, record: Mapping[str, Any]) -> list[list[Path]]:
    """Files of each request: their names begin with its number."""
    count = len(record["requests"])
    return [
        [folder / n for n in record["files"] if n.split(".")[0] == str(k)] for k in range(count)
    ]


def _joined(opened: list[xr.Dataset], order: Order) -> xr.Dataset:
    try:
        ds = xr.concat(
            opened, "time", join="exact", compat="override", coords="minimal",
            data_vars="minimal", combine_attrs="override",
        )  # fmt: skip
    except ValueError as error:
        raise FetchError(f"the months do not fit together: {error}") from error
    sizes = [v.dtype.itemsize * v[{"time": 0}].size for v in ds.data_vars.values()]
    ds["time"].encoding = dict(TIME_ENCODING)
    preliminary = sum(int(part.attrs[PRELIMINARY]) for part in opened)
    ds.attrs = {
        "Conventions": "CF-1.8",
        "title": f"{order.dataset}, {', '.join(order.variables)}",
        "institution": "European Centre for Medium-Range Weather Forecasts",
        "source": f"{order.dataset} of the Copernicus Climate Data Store",
        "references": "doi:10.1002/qj.3803",
        "history": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} fetched with xdiffimpute and cdsapi",
        "license": "Contains modified Copernicus Climate Change Service information",
    }
    if preliminary:
        ds.attrs["comment"] = (
            f"{preliminary} of {ds.sizes['time']} times are preliminary (ERA5T, expver 5)"
        )
    return ds.chunk(
        {"time": max(1, CHUNK // max(sizes))} | dict.fromkeys(set(ds.dims) - {"time"}, -1)
    )


@contextmanager
def _kept(months: Path, before: str = "") -> Iterator[None]:
    """Say what is kept, where a fetch ends early or the disk does not take what it is given."""
    try:
        yield
    except FetchError as error:
        raise type(error)(f"{before}{error}{_remaining(months)}") from error
    except (OSError, StorageError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        reason = getattr(cause, "strerror", None) or str(error)
        raise FetchError(
            f"{before}cannot write to {str(months)!r}: {reason}; free some space there or give "
            f"store: another folder{_remaining(months)}"
        ) from error


def _remaining(months: Path) -> str:
    done = sorted(p.parent.name for p in months.glob(f"*/{RECORD}") if p.parent.suffix == "")
    if not done:
        return ""
    return (
        f". What was fetched is kept in {str(months)!r} ({_listed(done)}); the same command asks "
        "only for the rest"
    )


def _listed(months: list[Any]) -> str:
    names = [str(m) for m in months]
    return ", ".join(names) if len(names) < 4 else f"{names[0]} to {names[-1]}, {len(names)} months"
