"""Lazy stretches of frames: right under any chunks, and a graph that grows with the frames."""

import dask
import dask.array as da
import numpy as np
import pytest

from xdiffimpute.segments import Span, in_segments

FRAMES = 23


def pieces(frames: int, length: int = 5, halo: int = 2) -> list[Span]:
    """Stretches of ``length`` frames which look ``halo`` frames to either side."""
    return [
        Span(a, min(a + length, frames), max(0, a - halo), min(a + length + halo, frames))
        for a in range(0, frames, length)
    ]


def spreads(factor, values, series, start, stop):
    """Values that tell which frames were seen, for which series and stretch."""
    out = np.empty((2, stop - start, *values.shape[1:]), dtype=np.float32)
    out[0], out[1] = factor * values.sum(axis=0), series + 100 * start
    return out


@pytest.mark.parametrize("chunks", [(1, 1), (1, 4), (2, 5), (2, 7), (1, FRAMES)])
@pytest.mark.parametrize("halo", [0, 2, 9])
def test_the_same_under_any_chunks(chunks: tuple[int, int], halo: int) -> None:
    values = np.random.default_rng(0).normal(size=(2, FRAMES, 2, 3, 4)).astype(np.float32)
    spans = pieces(FRAMES, halo=halo)
    lazy = da.from_array(values, chunks=(*chunks, 1, 3, 2))
    out = in_segments(lazy, spans, spreads, dask.delayed(3.0), lead=2)
    assert out.shape == (2, *values.shape) and out.dtype == np.float32
    got = out.compute()
    for s in range(2):
        for start, stop, low, high in spans:
            expected = spreads(3.0, values[s, low:high], s, start, stop)
            np.testing.assert_array_equal(got[:, s, start:stop], expected)


def test_the_graph_grows_with_the_frames() -> None:
    """Not with their square, as it would if each stretch held the graph of all the data."""

    def tasks(frames: int) -> int:
        lazy = da.zeros((1, frames, 1, 2, 2), chunks=(1, 5, 1, 2, 2))
        out = in_segments(lazy, pieces(frames), spreads, dask.delayed(1.0), lead=2)
        return len(out.__dask_graph__())

    small, large = tasks(100), tasks(1000)
    assert large <= 10 * small


def test_only_what_is_asked_for_is_computed() -> None:
    seen: list[int] = []

    def noting(_, values, series, start, stop):
        seen.append(start)
        return values[: stop - start]

    lazy = da.zeros((1, FRAMES, 1, 2, 2), chunks=(1, 4, 1, 2, 2))
    out = in_segments(lazy, pieces(FRAMES, halo=0), noting, dask.delayed(None))
    out[:, 6:9].compute()
    assert seen == [5]
