"""The law of the gaps is found again in masks drawn from it, and real masks are told apart."""

from __future__ import annotations

import numpy as np
import pytest

from xdiffimpute.exceptions import DataError, UnknownNameError
from xdiffimpute.masks import MASKS
from xdiffimpute.partition import Partition
from xdiffimpute.recognition import recognise, resolve


def draw(
    name: str,
    shape: tuple[int, int, int, int, int],
    *,
    joint: bool = True,
    static: bool = False,
    ratio: float | None = None,
    **options: object,
) -> np.ndarray:
    """Masks of shape (S, N, C, H, W) of a named pattern."""
    pattern = MASKS.create(name, joint=joint, static=static, **options)
    rng = np.random.default_rng(0)
    full = np.ones((shape[2], shape[1], *shape[3:]), dtype=bool)
    return np.stack([pattern(full, rng, ratio).swapaxes(0, 1) for _ in range(shape[0])])


def blobs(frames: int, height: int = 40, width: int = 50) -> np.ndarray:
    """Cloud-like masks of shape (frames, 1, height, width)."""
    from scipy import ndimage

    noise = np.random.default_rng(0).standard_normal((frames, 1, height, width))
    return ndimage.gaussian_filter(noise, (0, 0, 4, 4)) > 0


def choose(masks: np.ndarray, domain: np.ndarray | None = None) -> tuple[Partition, str]:
    axes = tuple(range(masks.ndim - 3))
    return recognise(masks, masks.any(axis=axes) if domain is None else domain)


@pytest.mark.parametrize("ratio", [0.01, 0.2, 0.8, 0.99])
def test_pixels(ratio: float) -> None:
    partition, reason = choose(draw("pixel", (1, 100, 2, 32, 33), ratio=ratio))
    assert partition.name == "pixel"
    assert partition.pattern.joint
    assert not partition.pattern.static
    assert "independent" in reason


@pytest.mark.parametrize(
    ("shape", "grid", "kept"),
    [
        ((1, 100, 1, 17, 33), (3, 3), 5),
        ((1, 100, 1, 32, 50), (4, 6), 12),
        ((1, 60, 2, 30, 31), (2, 3), 4),
        ((40, 1, 2, 24, 24), (3, 3), 7),
    ],
)
def test_blocks_with_their_grid(
    shape: tuple[int, int, int, int, int], grid: tuple[int, int], kept: int
) -> None:
    partition, reason = choose(draw("block", shape, grid=grid, kept=kept))
    assert partition.name == "block"
    assert partition.pattern.grid == grid
    assert partition.pattern.frame == shape[3:]
    assert f"{grid[0]} x {grid[1]} grid, of which {kept} are observed" in reason


@pytest.mark.parametrize("shape", [(17, 20), (17, 33), (20, 29)])
def test_blocks_cut_as_numpy_cuts_them(shape: tuple[int, int]) -> None:
    """Sides that do not divide have their larger blocks first: 17 rows are 6, 6 and 5."""
    rng = np.random.default_rng(0)
    rows, columns = (np.array_split(np.arange(n), 3) for n in shape)
    masks = np.ones((60, 1, *shape), dtype=bool)
    for mask in masks:
        for hidden in rng.choice(9, 4, replace=False):
            mask[0][np.ix_(rows[hidden // 3], columns[hidden % 3])] = False
    partition, reason = choose(masks)
    assert partition.name == "block" and partition.pattern.grid == (3, 3)
    assert "3 x 3 grid, of which 5 are observed" in reason
    context, query = partition.split(masks[0][:, None], rng)
    for block in ((r, c) for r in rows for c in columns):
        assert len(np.unique(context[0, 0][np.ix_(*block)])) == 1
    again = type(partition.pattern)(**partition.pattern.to_dict())
    assert again == partition.pattern


def test_blocks_under_land_and_among_complete_frames() -> None:
    masks = draw("block", (1, 60, 1, 30, 36), kept=5)
    masks[:, ::2] = True
    masks[..., :4, :9] = False
    partition, _ = choose(masks)
    assert partition.name == "block"
    assert partition.pattern.grid == (3, 3)


@pytest.mark.parametrize("name", ["pixel", "block"])
@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("static", [True, False])
def test_joint_and_static_are_inferred(name: str, joint: bool, static: bool) -> None:
    masks = draw(name, (20, 6, 2, 24, 24), joint=joint, static=static, ratio=0.6)
    partition, reason = choose(masks)
    assert partition.name == name
    assert partition.pattern.joint is joint
    assert partition.pattern.static is static
    assert ("constant in time" in reason) is static


def test_rare_gaps_are_not_taken_for_shared_or_constant_ones() -> None:
    partition, _ = choose(draw("pixel", (1, 60, 2, 40, 40), joint=False, ratio=0.992))
    assert partition.name == "pixel"
    assert not partition.pattern.joint
    assert not partition.pattern.static


def test_anything_else_is_thinned_by_itself() -> None:
    masks = blobs(400)
    partition, reason = choose(masks)
    assert partition.name == "empirical"
    assert partition.library is not None
    assert partition.library.shape == (256, 40, 50)
    assert "256 masks of their own" in reason
    frames = {frame.tobytes() for frame in masks[:, 0]}
    assert all(frame.tobytes() in frames for frame in partition.library)


def test_library_counts_land_as_kept() -> None:
    masks = blobs(20)
    masks[..., :20] = False
    partition, _ = choose(masks)
    assert partition.library is not None
    assert partition.library[:, :, :20].all()


def test_independent_channels_are_all_in_the_library() -> None:
    masks = np.concatenate([blobs(20), ~blobs(20)], axis=1)
    partition, _ = choose(masks)
    assert not partition.pattern.joint
    assert partition.library is not None
    assert len(partition.library) == 40


def test_long_outages_of_single_cells_are_not_independent_pixels() -> None:
    masks = np.repeat(np.random.default_rng(0).random((6, 1, 24, 24)) < 0.6, 20, axis=0)
    partition, reason = choose(masks)
    assert partition.name == "empirical"
    assert "last" in reason


def test_missing_frames_alone() -> None:
    masks = np.ones((60, 1, 16, 16), dtype=bool)
    masks[::5] = False
    partition, reason = choose(masks)
    assert partition.name == "empirical"
    assert "whole frames" in reason
    observed = np.ones((1, 5, 16, 16), dtype=bool)
    _, query = partition.split(observed, np.random.default_rng(0))
    assert set(query.mean(axis=(0, 2, 3))) == {0.0, 1.0}


def test_fixed_stations() -> None:
    masks = draw("pixel", (1, 30, 1, 20, 20), static=True, ratio=0.2)
    partition, reason = choose(masks)
    assert partition.name == "pixel"
    assert partition.pattern.static
    assert "fixed stations" in reason


@pytest.mark.parametrize("land", [0, 6])
def test_nothing_missing(land: int) -> None:
    masks = np.ones((30, 2, 20, 20), dtype=bool)
    masks[..., :land] = False
    partition, reason = choose(masks)
    assert partition.name == "block"
    assert not partition.pattern.static
    assert "no pattern of gaps" in reason


def test_one_gap_again_and_again() -> None:
    masks = np.ones((40, 1, 40, 60), dtype=bool)
    masks[:20, :, 11:21, 23:33] = False
    partition, reason = choose(masks)
    assert partition.name == "block"
    assert partition.pattern.grid == (4, 6)
    assert "all gaps are the same" in reason


def test_reading_masks_is_quick() -> None:
    import time

    masks = blobs(100, 200, 300)
    start = time.perf_counter()
    choose(masks)
    assert time.perf_counter() - start < 3


@pytest.mark.parametrize("name", MASKS.names())
def test_a_name_gives_that_pattern_set_up_for_the_data(name: str) -> None:
    masks = draw("block", (1, 40, 2, 24, 24), grid=(4, 4), kept=8, joint=False)
    partition, reason = resolve(name, masks, np.ones((2, 24, 24), dtype=bool))
    assert partition.name == name
    assert not partition.pattern.joint
    assert "as asked for" in reason
    if name == "block":
        assert partition.pattern.grid == (4, 4)
    if name == "empirical":
        assert partition.library is not None
        assert partition.library.shape == (80, 24, 24)


def test_auto_partitions_and_patterns_pass_through() -> None:
    masks, domain = blobs(20), np.ones((1, 40, 50), dtype=bool)
    assert resolve("auto", masks, domain)[0] == recognise(masks, domain)[0]
    given = Partition(MASKS.create("pixel"), ratio=0.5)
    assert resolve(given, masks, domain)[0] is given
    assert resolve(given.pattern, masks, domain)[0] == Partition(given.pattern)


def test_errors_say_what_is_wrong() -> None:
    masks, domain = blobs(20), np.ones((1, 40, 50), dtype=bool)
    with pytest.raises(UnknownNameError, match=r"'blok'.*mean 'block'.*'auto'"):
        resolve("blok", masks, domain)
    with pytest.raises(DataError, match="do not go with"):
        recognise(masks, domain[0])
    with pytest.raises(DataError, match="no cell is observed"):
        recognise(np.zeros_like(masks), domain)
