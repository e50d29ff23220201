"""Small pictures inside HTML, without matplotlib: a map as a PNG, a curve as an SVG."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from ._typing import AnyArray, FloatArray

__all__ = ["SIDE", "data_uri", "map_png", "sparkline"]

SIDE = 96  # pixels, of the longer side at most
# From few to many, legible on white and on black (ends of cmocean's "deep").
RAMP = np.array([[214, 240, 178], [91, 179, 147], [61, 107, 150], [70, 60, 120]], dtype=np.float64)


def map_png(values: FloatArray) -> bytes:
    """A map as a PNG with transparent cells where nothing is known.

    Parameters
    ----------
    values : float array, shape (H, W)
        The first row comes at the top; NaN is transparent.

    Returns
    -------
    bytes

    Examples
    --------
    >>> map_png(np.array([[0.0, 1.0]]))[1:4]
    b'PNG'
    """
    step = -(-max(values.shape) // SIDE)
    small = values[::step, ::step]
    known = np.isfinite(small)
    low, high = (small[known].min(), small[known].max()) if known.any() else (0.0, 1.0)
    share = np.clip((np.nan_to_num(small) - low) / ((high - low) or 1.0), 0, 1)
    place = share * (len(RAMP) - 1)
    rgb = [np.interp(place, np.arange(len(RAMP)), RAMP[:, k]) for k in range(3)]
    return _png(np.stack([*rgb, np.where(known, 255.0, 0.0)], axis=-1).round().astype(np.uint8))


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """Bytes as a URL that holds them."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def sparkline(points: Sequence[tuple[float, float]], width: int = 150, height: int = 36) -> str:
    """A curve as an SVG in the colour of the text around it, a dot at its lowest point.

    Parameters
    ----------
    points : sequence of (float, float)
    width, height : int
        In pixels.

    Returns
    -------
    str
        Empty with fewer than two points that are finite.
    """
    xy = np.array([p for p in points if np.isfinite(p).all()], dtype=np.float64).reshape(-1, 2)
    if len(xy) < 2:
        return ""
    span = np.ptp(xy, axis=0)
    unit = (xy - xy.min(axis=0)) / np.where(span > 0, span, 1.0)
    x, y = 4 + unit[:, 0] * (width - 8), 4 + (1 - unit[:, 1]) * (height - 8)
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    low = int(np.argmin(xy[:, 1]))
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="withheld error by update">'
        f'<polyline points="{path}" fill="none" stroke="currentColor" stroke-width="1.4"/>'
        f'<circle cx="{x[low]:.1f}" cy="{y[low]:.1f}" r="3" fill="currentColor"/></svg>'
    )


def _png(rgba: AnyArray) -> bytes:
    """Encode (H, W, 4) bytes: rows without a filter, deflated (RFC 2083)."""
    height, width = rgba.shape[:2]
    rows = b"".join(b"\x00" + row.tobytes() for row in rgba)

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
