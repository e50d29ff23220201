"""The imputer in a notebook: what it was trained on, how good it is, a small map and a curve.

Colours are taken from the page around it, so that it is legible in light and in dark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from .geometry import Geometry
from .markup import facts, score_table, text
from .thumbnail import data_uri, map_png, sparkline

if TYPE_CHECKING:
    from .fitted import Fitted

__all__ = ["STYLE", "card"]

WIDE = 150  # pixels, of the map
# Where a notebook is not trusted its styles are dropped: then the text stays, and the rest is
# hidden by its own attribute.
STYLE = """
.xdi-text{display:none}
.xdi-card{display:block!important;max-width:760px;font-size:13px;line-height:1.45;color:inherit}
.xdi-card .xdi-head{border-bottom:1px solid rgba(128,128,128,.45);padding:4px 0;margin-bottom:6px}
.xdi-card .xdi-body{display:flex;flex-wrap:wrap;gap:8px 28px}
.xdi-card dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:1px 14px;margin:0;
align-content:start;flex:1 1 380px}
.xdi-card dt{opacity:.65;font-weight:normal}.xdi-card dd{margin:0}
.xdi-card figure{margin:0}.xdi-card figcaption{opacity:.65;font-size:11px}
.xdi-card img{image-rendering:pixelated;border:1px solid rgba(128,128,128,.45);
background:transparent;display:block}
.xdi-card table{border-collapse:collapse;margin:6px 0;font-size:inherit;
background:transparent;color:inherit}
.xdi-card th,.xdi-card td{padding:2px 10px;text-align:right;color:inherit;background:transparent}
.xdi-card th:first-child{text-align:left}
.xdi-card tr{background:transparent}
.xdi-card thead th{border-bottom:1px solid rgba(128,128,128,.45);font-weight:normal;opacity:.75}
.xdi-card tbody th{font-weight:normal}
.xdi-card summary{cursor:pointer;opacity:.8}
"""


def card(fitted: Fitted | None, plain: str) -> str:
    """HTML of an imputer.

    Parameters
    ----------
    fitted : Fitted or None
        None before the fit.
    plain : str
        What ``repr`` gives, for places that do not show HTML.

    Returns
    -------
    str
        One element, complete in itself; all text in it is escaped.
    """
    head = '<div class="xdi-head"><b>xdiffimpute.DiffusionImputer</b>'
    if fitted is None:
        body = f"{head} (not fitted)</div><div>{text('imputer.fit(ds), or ds.impute.fit()')}</div>"
    else:
        names = ", ".join(v.name for v in fitted.spec.filled)
        body = (
            f'{head} of {text(names)}</div><div class="xdi-body">{facts(_facts(fitted))}'
            f"{_pictures(fitted)}</div>{_skill(fitted)}"
        )
    return (
        f"<div><style>{STYLE}</style><pre class='xdi-text'>{text(plain)}</pre>"
        f"<div class='xdi-card' style='display:none'>{body}</div></div>"
    )


def _facts(fitted: Fitted) -> list[tuple[str, object]]:
    spec, history = fitted.spec, fitted.history
    named = [f"{v.name} ({v.units})" if v.units else v.name for v in spec.filled]
    channels = f", {len(spec.channels)} channels" if len(spec.channels) > len(named) else ""
    fields = len(spec.channels) - spec.given
    counted = np.asarray(fitted.statistics.count) > 0  # without what was withheld for good
    seen = float((fitted.domain() | counted)[:fields].mean())
    return [
        ("variables", ", ".join(named) + channels),
        ("grid", f"{spec.shape[0]} × {spec.shape[1]} cells{_extent(fitted)}"),
        ("ever observed", f"{seen:.0%} of the cells"),
        ("window", f"{fitted.window} frames{_step(fitted)}"),
        ("partition", fitted.reason or fitted.partition.name),
        ("climatology", f"by {fitted.statistics.kind}"),
        ("network", f"{fitted.method} method, filled by {fitted.sampler}"),
        ("training", f"{history.steps} updates in {_duration(history.seconds)}; {history.stopped}"),
        ("withheld", f"{fitted.withheld.cells:,} observations in {len(fitted.withheld)} frames"),
    ]


def _step(fitted: Fitted) -> str:
    """Time from frame to frame, where the times are dates: their labels have dashes then."""
    if fitted.step is None or not any("-" in str(label)[1:] for label in fitted.withheld.labels):
        return ""
    for size, unit in ((1.0, "day"), (1 / 24, "hour"), (1 / 1440, "minute")):
        if fitted.step >= 0.999 * size or unit == "minute":
            break
    count = f"{fitted.step / size:.3g}"
    return f", one every {unit}" if count == "1" else f", one every {count} {unit}s"


def _extent(fitted: Fitted) -> str:
    parts = [
        f"{dim} {values.min():g} to {values.max():g}"
        for dim, values in (
            (fitted.spec.axes.y, fitted.spec.grid.y), (fitted.spec.axes.x, fitted.spec.grid.x)
        )
        if values is not None
    ]  # fmt: skip
    return f", {', '.join(parts)}" if parts else ""


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _pictures(fitted: Fitted) -> str:
    """How often each cell of the first channel was observed; the withheld error by update."""
    spec = fitted.spec
    count = np.array(fitted.statistics.count[0], dtype=np.float64)
    count[count == 0] = np.nan
    if spec.grid.y is None or spec.grid.y[-1] > spec.grid.y[0]:
        count = count[::-1]  # y runs upwards
    aspect = Geometry.of(spec.shape, latitude=spec.latitude, longitude=spec.longitude).aspect
    high = int(np.clip(WIDE * spec.shape[0] / (spec.shape[1] * aspect), 30, 300))
    most = int(np.nanmax(count, initial=0))
    drawn = (
        f'<figure><img src="{data_uri(map_png(count))}" width="{WIDE}" height="{high}" '
        f'alt="{text(f"map of how often {spec.channels[0].label} was observed")}">'
        f"<figcaption>{text(spec.channels[0].label)}: observed up to {most:,} times</figcaption>"
        "</figure>"
    )
    curve = sparkline(fitted.history.validation)
    if not curve:
        return f"<div>{drawn}</div>"
    return (
        f"<div>{drawn}<figure>{curve}<figcaption>withheld error by update; dot: kept</figcaption>"
        "</figure></div>"
    )


def _skill(fitted: Fitted) -> str:
    if not fitted.skill:
        return ""
    table = score_table(xr.Dataset.from_dict(fitted.skill))
    return f"<details open><summary>skill</summary>{table}</details>"
