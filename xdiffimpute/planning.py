"""Choices made from the data and the machine when the user makes none."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch

from .arguments import is_whole
from .exceptions import ImputeError
from .memory import free_memory
from .parallel import local_device
from .tiling import default_window

__all__ = ["Plan", "best_device", "has_bfloat16", "plan"]

log = logging.getLogger("xdiffimpute")

WHOLE_FIELD = 128 * 128
TILE = 64
LEAST_TILE = 16
BYTES_A_CELL = 13_000  # of the layers of a network in training, for a cell of a window
SHARE = 2  # of the free memory
CELLS_A_STEP = {"cpu": 40_000, "cuda": 1_000_000}


def _check_device(device: str | None) -> None:
    """Refuse devices that this machine or this torch does not have."""
    gpu = torch.cuda.is_available()
    valid = ["cpu", *(["cuda"] if gpu else [])]
    kind = None if device is None else str(device).partition(":")[0]
    if kind in ("gpu", "cuda") and not (gpu and kind == "cuda"):
        here = "write device='cuda'" if gpu else "torch finds no GPU here; use device='cpu'"
        raise ImputeError(f"device={device!r}: {here}, or leave it out")
    try:
        if device is not None:
            torch.device(device)
    except RuntimeError as error:
        raise ImputeError(
            f"device={device!r} is not a device; there are {valid}, or leave it out"
        ) from error


def best_device() -> torch.device:
    """A GPU if torch finds one here, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies in bfloat16 by itself, so that training in it is faster.

    Without such instructions a CPU emulates them, at a loss.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


@dataclass(frozen=True)
class Plan:
    """Sizes of a run: window (frames), tile (cells in y and x), batch, network size, device."""

    window: int
    tile: tuple[int, int]
    batch: int
    size: str
    device: torch.device


def _affordable(tile: int, shape: tuple[int, int], layers: int) -> int:
    """A tile, halved until the layers of one have room in the free memory, in training."""
    free = free_memory()
    while tile > LEAST_TILE:
        cells = layers * min(tile, shape[0]) * min(tile, shape[1])
        if cells * BYTES_A_CELL * SHARE <= free:
            return tile
        tile = max(LEAST_TILE, tile // 2)
    return tile


def plan(
    frames: int,
    shape: tuple[int, int],
    channels: int,
    *,
    window: int | None = None,
    tile: int | None = None,
    batch: int | None = None,
    size: str = "auto",
    device: str | None = None,
) -> Plan:
    """Decide sizes.

    Parameters
    ----------
    frames : int
        Length of the time axis.
    shape : (int, int)
        Cells in y and x.
    channels : int
    window, tile, batch, size, device
        What the user asked for; ``None`` or ``"auto"`` means choose.

    Returns
    -------
    Plan

    Examples
    --------
    >>> p = plan(3652, (17, 33), 1, window=5, device="cpu")
    >>> p.window, p.tile, p.size
    (5, (17, 33), 'small')
    """
    for name, asked in (("window", window), ("tile", tile), ("batch", batch)):
        if asked is not None and not is_whole(asked, 1):
            raise ImputeError(
                f"{name}={asked!r} is not a whole number of 1 or more, such as {name}=5"
            )
    _check_device(device)
    device = local_device(device)
    place = best_device() if device is None else torch.device(device)
    if window is None:
        window = default_window(frames)
    window = max(1, min(window, frames))
    h, w = shape
    if tile is None:
        tile = _affordable(max(h, w) if h * w <= WHOLE_FIELD else TILE, shape, window * channels)
    pieces = (min(tile, h), min(tile, w))
    if size == "auto":
        size = "small" if place.type == "cpu" else "medium"
    if batch is None:
        cells = window * pieces[0] * pieces[1]
        batch = int(min(64, max(2, CELLS_A_STEP.get(place.type, 40_000) // cells)))
    log.info(
        "window of %d frame%s, tiles of %d x %d cells, %d channel%s, batch of %d, %s network on %s",
        window, "s"[: window > 1], *pieces, channels, "s"[: channels > 1], batch, size, place,
    )  # fmt: skip
    return Plan(window, pieces, batch, size, place)
