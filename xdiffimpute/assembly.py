"""The Dataset that comes back: observed cells untouched, CF metadata intact, flags and errors.

The filled values are put in by ``fillna`` at the very end, so whatever was observed is
returned bit for bit, in the dtype, with the attributes and the encoding of the input.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import xarray as xr

from ._typing import AnyArray, BoolArray
from .exceptions import CompatibilityError
from .fields import FieldSpec

__all__ = ["FLAGS", "REALIZATION", "assemble", "mean_of_members", "package_version"]

log = logging.getLogger("xdiffimpute")

FLAGS = ("observed", "imputed", "not_imputed")
REALIZATION = "realization"  # CF's name for the members of an ensemble
EDGE = 8  # fill values this near an end of the integers shorten their range

ENCODING_KEPT = ("zlib", "complevel", "shuffle", "chunksizes", "compressors", "chunks")


def assemble(
    ds: xr.Dataset,
    spec: FieldSpec,
    mean: xr.DataArray,
    *,
    domain: BoolArray | xr.DataArray,
    standard_error: xr.DataArray | None,
    method: str,
    where: xr.DataArray | None = None,
    calibrated: Mapping[str, str] | None = None,
    members: Sequence[xr.DataArray] = (),
) -> xr.Dataset:
    """Put estimates into the gaps of a dataset.

    Parameters
    ----------
    ds : Dataset
        The gappy data.
    spec : FieldSpec
    mean : DataArray, dims (series, time, channel, y, x)
        Estimates, in the units of ``spec``.
    domain : bool array or DataArray, shape (C, H, W)
        Cells that may be filled; elsewhere NaN stays.
    standard_error : DataArray or None
        Like ``mean``.
    method : str
        For ``history``.
    where : bool DataArray, optional
        Cells to fill, in place of ``domain``.
    calibrated : mapping of str to str, optional
        How the standard error of each variable was calibrated, for its ``comment``.
    members : sequence of DataArray
        Each like ``mean``. With them the variables hold one field a member, along a dimension
        ``realization`` before the others, in place of the mean.

    Returns
    -------
    Dataset
        With ``*_standard_error`` (when given) and ``*_imputation_flag`` as CF ancillary
        variables; lazy if the input is.

    Raises
    ------
    CompatibilityError
        If ``where`` has dims that a variable lacks.
    """
    allowed = mean.copy(
        data=_like(mean, xr.Variable(("channel", "y", "x"), domain).data[None, None])
    )
    estimates = spec.unpack(mean, like=ds)
    permitted = spec.unpack(allowed, like=_without_units(ds, spec))
    errors = None if standard_error is None else spec.unpack(
        standard_error, like=ds, differences=True
    )  # fmt: skip
    drawn = [spec.unpack(member, like=ds) for member in members]
    new: dict[str, xr.Variable] = {}
    for name, estimate in estimates.items():
        source = ds[name]
        fillable = permitted[name] > 0.5 if where is None else _where(where, source)
        out = _put_into(source, estimate, fillable)
        flag = _flag(source, out, ds.get(f"{name}_imputation_flag"))
        companions = {f"{name}_imputation_flag": _describe_flag(flag, source, name)}
        if errors is not None:
            error = errors[name].where(source.isnull(), _earlier_error(ds, name))
            error = error.where(out.notnull())
            told = (calibrated or {}).get(name, "")
            companions = {
                f"{name}_standard_error": _describe_error(error, source, name, told)
            } | companions
        listed = [*str(source.attrs.get("ancillary_variables", "")).split(), *companions]
        out.attrs["ancillary_variables"] = " ".join(dict.fromkeys(listed))
        companions = {n: _chunked_like(field, source) for n, field in companions.items()}
        if members:
            every = [_put_into(source, member[name], fillable) for member in drawn]
            new[name] = _along_realization(every, out)
        else:
            new[name] = out.variable
        new |= {other: field.variable for other, field in companions.items()}
    result = ds.assign(new)
    if members:
        result = result.assign_coords({REALIZATION: _numbers(len(members))})
    result.attrs = dict(ds.attrs)
    line = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ} xdiffimpute {package_version()}: gaps of "
    line += f"{', '.join(estimates)} filled by {method}"
    result.attrs["history"] = "\n".join(filter(None, [line, str(ds.attrs.get("history", ""))]))
    return result


def mean_of_members(filled: xr.Dataset) -> xr.Dataset:
    """A fill as it is; of one with members, their mean, which is the estimate."""
    if REALIZATION not in filled.dims:
        return filled
    return filled.mean(REALIZATION, keep_attrs=True)


def _put_into(source: xr.DataArray, estimate: xr.DataArray, fillable: xr.DataArray) -> xr.DataArray:
    """The variable with estimates in its gaps, in its dtype, chunks, attributes and encoding."""
    filled = estimate.where(fillable).astype(source.dtype)
    if source.encoding.get("dtype") is not None:
        filled = _within_packing(filled, source.encoding)
    out = source.fillna(filled).transpose(*source.dims).astype(source.dtype)
    out = _chunked_like(out, source)
    out.attrs, out.encoding = dict(source.attrs), dict(source.encoding)
    return out


def _along_realization(members: Sequence[xr.DataArray], like: xr.DataArray) -> xr.Variable:
    """One variable of all members, stored member by member."""
    joined: xr.Variable = xr.Variable.concat(
        [member.variable for member in members], dim=REALIZATION
    )
    joined.attrs, joined.encoding = dict(like.attrs), dict(like.encoding)
    for key in ("chunksizes", "chunks", "shards"):
        if isinstance(joined.encoding.get(key), tuple | list):
            joined.encoding[key] = (1, *joined.encoding[key])
    if "preferred_chunks" in joined.encoding:
        joined.encoding["preferred_chunks"] = {REALIZATION: 1} | joined.encoding["preferred_chunks"]
    joined.encoding.pop("original_shape", None)
    return joined


def _numbers(count: int) -> xr.Variable:
    attrs = {"standard_name": "realization", "long_name": "draw from the posterior", "units": "1"}
    return xr.Variable(REALIZATION, np.arange(count, dtype=np.int32), attrs)


def _chunked_like(field: xr.DataArray, source: xr.DataArray) -> xr.DataArray:
    """In the chunks of the source, which its encoding may name, and not in those of the fill."""
    if source.chunks is None or field.chunks == source.chunks:
        return field
    again = field.chunk(dict(zip(source.dims, source.chunks, strict=True)))
    again.encoding = field.encoding
    return again


def _earlier_error(ds: xr.Dataset, name: str) -> xr.DataArray | float:
    """Standard error of the values at hand: zero, but at cells that an earlier fill imputed."""
    flag, error = ds.get(f"{name}_imputation_flag"), ds.get(f"{name}_standard_error")
    if flag is None:
        return 0.0
    if flag.attrs.get("flag_meanings") != " ".join(FLAGS):
        return 0.0
    known = xr.full_like(ds[name], np.nan) if error is None else error
    return known.where(flag == FLAGS.index("imputed"), 0.0)


def _like(packed: xr.DataArray, values: AnyArray) -> AnyArray:
    """Broadcast to the packed shape, lazily if that is lazy."""
    if packed.chunks is None:
        return np.broadcast_to(values.astype(np.float32), packed.shape)
    import dask.array as da

    spread: AnyArray = da.broadcast_to(
        da.asarray(values.astype(np.float32)), packed.shape, chunks=packed.chunks
    )
    return spread


def _without_units(ds: xr.Dataset, spec: FieldSpec) -> xr.Dataset:
    """The dataset in the spec's own units, so that a mask passes through unchanged."""
    units = {v.name: v.units for v in spec.filled}
    changed = {}
    for name, unit in units.items():
        attrs = {k: v for k, v in ds[name].attrs.items() if k != "units"}
        changed[name] = ds[name].variable._replace(attrs=attrs | ({"units": unit} if unit else {}))
    return ds.assign(changed)


def _where(where: xr.DataArray, source: xr.DataArray) -> xr.DataArray:
    if not isinstance(where, xr.DataArray) or where.dtype != bool:
        kind = f"a DataArray of {where.dtype}" if isinstance(where, xr.DataArray) else type(where)
        raise CompatibilityError(
            f"where= is {kind}; give a boolean DataArray on dims of "
            f"{list(map(str, source.dims))}, such as ds[{source.name!r}].notnull().any('time')"
        )
    extra = [d for d in where.dims if d not in source.dims]
    if extra:
        raise CompatibilityError(
            f"where= has the dims {list(map(str, where.dims))}, of which {source.name!r} lacks "
            f"{extra}; give a boolean DataArray on dims of {list(map(str, source.dims))}"
        )
    try:
        xr.align(where, source, join="exact")
    except ValueError as error:
        raise CompatibilityError(
            f"where= lies on other coordinates than {source.name!r} ({error}); select the same "
            "cells, or bring it onto them with where.reindex_like(ds, fill_value=False)"
        ) from error
    return where


def _within_packing(filled: xr.DataArray, encoding: dict[str, Any]) -> xr.DataArray:
    """Keep imputed values inside what the integer encoding can hold, where there is one."""
    kind = np.dtype(encoding["dtype"])
    if not np.issubdtype(kind, np.integer):
        return filled
    if str(encoding.get("_Unsigned", "")).lower() == "true":
        kind = np.dtype(f"u{kind.itemsize}")
    scale = float(encoding.get("scale_factor", 1.0))
    offset = float(encoding.get("add_offset", 0.0))
    given = [encoding.get(k) for k in ("_FillValue", "missing_value")]
    fills = {int(np.array(f).astype(kind)) for f in given if f is not None and np.isfinite(f)}
    info = np.iinfo(kind)
    low = max([f for f in fills if f < info.min + EDGE] + [info.min - 1]) + 1
    high = min([f for f in fills if f > info.max - EDGE] + [info.max + 1]) - 1
    ends = sorted((low * scale + offset, high * scale + offset))
    slack = min(4.0 * np.finfo(filled.dtype).eps * max(map(abs, ends)), 0.5 * (ends[1] - ends[0]))
    inside = filled.clip(ends[0] + slack, ends[1] - slack, keep_attrs=True)
    for fill in fills:  # a number that would be packed as "missing" takes the one beside it
        if low < fill < high:
            beside = np.asarray((fill + 1) * scale + offset, dtype=filled.dtype)[()]
            inside = inside.where(np.rint((inside - offset) / scale) != fill, beside)
    return inside


def _flag(source: xr.DataArray, out: xr.DataArray, before: xr.DataArray | None) -> xr.DataArray:
    """0 observed, 1 imputed, 2 not imputed; what an earlier fill imputed stays imputed."""
    flag = source.isnull().astype(np.int8) + out.isnull().astype(np.int8)
    if before is not None and before.attrs.get("flag_meanings") == " ".join(FLAGS):
        flag = flag.where((flag != 0) | (before != FLAGS.index("imputed")), 1)
    return flag.transpose(*source.dims).astype(np.int8)


def _describe_flag(flag: xr.DataArray, source: xr.DataArray, name: str) -> xr.DataArray:
    attrs: dict[str, Any] = {
        "long_name": f"origin of {name}",
        "flag_values": np.arange(len(FLAGS), dtype=np.int8),
        "flag_meanings": " ".join(FLAGS),
    }
    return _finish(flag, source, attrs, "status_flag")


def _describe_error(
    error: xr.DataArray, source: xr.DataArray, name: str, calibrated: str
) -> xr.DataArray:
    attrs: dict[str, Any] = {
        "long_name": f"standard error of imputed {name}",
        "comment": "; ".join(filter(None, ["zero where observed", calibrated])),
    }
    if "units" in source.attrs:
        attrs["units"] = source.attrs["units"]
    out = _finish(error.astype(np.float32), source, attrs, "standard_error")
    out.encoding.setdefault("_FillValue", np.float32(np.nan))
    return out


def _finish(
    field: xr.DataArray, source: xr.DataArray, attrs: dict[str, Any], modifier: str
) -> xr.DataArray:
    standard_name = str(source.attrs.get("standard_name", "")).split(" ")[0]
    if standard_name not in ("", "unknown"):
        attrs = {"standard_name": f"{standard_name} {modifier}", **attrs}
    if "grid_mapping" in source.attrs:
        attrs["grid_mapping"] = source.attrs["grid_mapping"]
    field.attrs = attrs
    field.encoding = {k: v for k, v in source.encoding.items() if k in ENCODING_KEPT}
    if "grid_mapping" in source.encoding:
        field.encoding["grid_mapping"] = source.encoding["grid_mapping"]
    listed = source.encoding.get("coordinates")
    if listed is not None:  # without names that the file promised and did not hold
        kept = [name for name in str(listed).split() if name in source.coords]
        field.encoding["coordinates"] = " ".join(kept)
    return field


def package_version() -> str:
    """As it is installed, for what is written into files."""
    try:
        return version("xdiffimpute")
    except PackageNotFoundError:
        return "(not installed)"
