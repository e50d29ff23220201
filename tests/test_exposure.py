"""Principle 1 and Theorem 1 (iii), by Monte Carlo and against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from xdiffimpute.exceptions import DataError
from xdiffimpute.exposure import exposure
from xdiffimpute.masks import MASKS
from xdiffimpute.partition import Partition
from xdiffimpute.recognition import resolve

SIZE = 48


@pytest.fixture(scope="module")
def block_gaps() -> np.ndarray:
    """5 of 9 blocks observed in each frame, shape (N, 1, H, W)."""
    full = np.ones((1, 200, SIZE, SIZE), dtype=bool)
    masks = MASKS.create("block", kept=5)(full, np.random.default_rng(0))
    return masks.swapaxes(0, 1)


def centres(array: np.ndarray) -> np.ndarray:
    """The middle cells of the 3 x 3 blocks."""
    middle = [SIZE // 6, SIZE // 2, SIZE - SIZE // 6 - 1]
    return array[:, middle][:, :, middle]


@pytest.mark.parametrize("name", ["block", "empirical"])
def test_thinning_like_the_gaps_exposes_every_cell(block_gaps: np.ndarray, name: str) -> None:
    domain = np.ones((1, SIZE, SIZE), dtype=bool)
    partition, _ = resolve(name, block_gaps, domain)
    found = exposure(partition, block_gaps, domain, np.random.default_rng(0), window=1)
    assert not found.zero.any()
    assert found.missing_share == 0
    assert found.message is None
    assert found.probability.min() > 0.1
    assert found.probability.max() <= 1


def test_pixels_never_expose_the_depth_of_block_gaps(block_gaps: np.ndarray) -> None:
    """The failure of Figures 1 and 10."""
    domain = np.ones((1, SIZE, SIZE), dtype=bool)
    partition, _ = resolve("pixel", block_gaps, domain)
    found = exposure(partition, block_gaps, domain, np.random.default_rng(0), window=1)
    assert centres(found.zero).all()
    assert (centres(found.probability) == 0).all()
    # Beside an edge between blocks a gap is sometimes shallow.
    assert not found.zero[:, :, SIZE // 3].any()
    assert found.missing_share > 0.5
    assert found.message is not None
    number = int(found.zero.sum())
    assert f"{number} of {SIZE * SIZE} cells" in found.message
    assert "partition='empirical'" in found.message


@pytest.mark.parametrize("ratio", [0.3, 0.7])
@pytest.mark.parametrize("share", [0.2, 0.6])
def test_pixels_by_hand(ratio: float, share: float) -> None:
    """P(query | outside) = q (1 - r) / (1 - q r) for a share q and a ratio r."""
    rng = np.random.default_rng(0)
    masks = rng.random((200, 2, 20, 20)) < share
    partition = Partition(MASKS.create("pixel", joint=False), ratio=ratio)
    domain = np.ones((2, 20, 20), dtype=bool)
    found = exposure(partition, masks, domain, rng, window=3)
    expected = share * (1 - ratio) / (1 - share * ratio)
    assert np.median(found.probability) == pytest.approx(expected, rel=0.1)


def test_blocks_by_hand(block_gaps: np.ndarray) -> None:
    """With 4 of 5 of 9 blocks in the context, each other block is asked once in five."""
    domain = np.ones((1, SIZE, SIZE), dtype=bool)
    partition = Partition(MASKS.create("block"), ratio=None)
    found = exposure(partition, block_gaps, domain, np.random.default_rng(0), window=4)
    assert found.probability.mean() == pytest.approx(0.2, rel=0.15)


@pytest.mark.parametrize("query", ["complement", "observed"])
def test_update_frequency_is_the_query_probability_for_blocks(query: str) -> None:
    """Theorem 1 (iii): given the context, a cell outside it has a gradient with frequency p_i."""
    rng = np.random.default_rng(0)
    partition = Partition(
        MASKS.create("block"),
        ratio=0.8,
        query=query,
        query_ratio=0.2 if query == "observed" else None,
    )
    gaps = MASKS.create("block", kept=5)
    full = np.ones((1, 1, 9, 9), dtype=bool)
    updates: dict[bytes, list[np.ndarray]] = {}
    for _ in range(8000):
        context, asked = partition.split(gaps(full, rng), rng)
        truth, output = rng.standard_normal((2, *full.shape))
        gradient = 2 * asked * (output - truth)
        updates.setdefault(context.tobytes(), []).append(gradient != 0)
    # p = P(block observed | context) P(asked | observed, context): one of the five blocks
    # outside is the fifth observed one; it is asked for sure, or once in five.
    expected = 0.2 if query == "complement" else 0.2 * 0.2
    assert len(updates) == 126
    errors = []
    for key, hits in updates.items():
        outside = ~np.frombuffer(key, dtype=bool).reshape(full.shape)
        frequency = np.mean(hits, axis=0)[outside]
        errors.append(frequency - expected)
    pooled = np.concatenate(errors)
    assert abs(pooled.mean()) < 0.01
    # 63 draws for each context: nowhere zero by design, and uniform up to the noise.
    assert np.sqrt((pooled**2).mean()) < 2 * np.sqrt(expected * (1 - expected) / 63)


def test_update_frequency_is_the_query_probability_for_pixels() -> None:
    rng = np.random.default_rng(0)
    share, ratio = 0.6, 0.5
    partition = Partition(MASKS.create("pixel"), ratio=ratio)
    updates: dict[bytes, list[np.ndarray]] = {}
    for _ in range(30000):
        observed = rng.random((1, 1, 2, 3)) < share
        if observed.sum() < 3:  # below, the split may have been retried until both exist
            continue
        context, asked = partition.split(observed, rng)
        updates.setdefault(context.tobytes(), []).append(asked)
    # Where half of the six cells are the context, none of the conditions above binds.
    checked = 0
    expected = share * (1 - ratio) / (1 - share * ratio)
    for key, hits in updates.items():
        context = np.frombuffer(key, dtype=bool).reshape(1, 1, 2, 3)
        if context.sum() != 3:
            continue
        # The query is never empty: condition the binomial on at least one.
        some = expected / (1 - (1 - expected) ** 3)
        frequency = np.mean(hits, axis=0)[~context]
        assert np.abs(frequency - some).max() < 0.08
        checked += 1
    assert checked == 20


def test_cells_that_are_never_queried_or_never_observed_are_zero() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((100, 1, 12, 12)) < 0.5
    masks[..., 0] = False
    library = np.ones((2, 12, 12), dtype=bool)
    library[0, 2:7] = library[1, 7:] = False
    pattern = MASKS.create("empirical", library=library, flip=False, shift=False)
    domain = masks.any(axis=0)
    found = exposure(Partition(pattern, ratio=None), masks, domain, rng, window=1)
    assert found.zero[..., 0].all()
    assert found.zero[:, :2].all()
    assert not found.zero[:, 2:, 1:].any()
    assert found.message is not None
    assert "12 of 144 cells are never observed" in found.message
    assert "22 of 132 cells" in found.message


def test_rarely_observed_cells_are_not_mistaken_for_zero() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((300, 1, 16, 16)) < 0.5
    masks[:, :, :4] &= rng.random((300, 1, 4, 16)) < 0.03
    domain = masks.any(axis=0)
    partition = Partition(MASKS.create("pixel"), ratio=0.5)
    found = exposure(partition, masks, domain, rng, window=1, splits=48)
    assert not (found.zero & domain).any()
    assert found.probability[:, :4].max() < 0.1


def test_frames_without_any_observation_are_out_of_reach_of_a_single_frame() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((60, 1, 16, 16)) < 0.5
    masks[::3] = False
    domain = np.ones((1, 16, 16), dtype=bool)
    partition = Partition(MASKS.create("pixel"), ratio=0.5)
    found = exposure(partition, masks, domain, rng, window=1)
    assert found.missing_share == pytest.approx(0.5, abs=0.1)
    assert not found.zero.any()
    dropping = MASKS.create("empirical", library=masks[:, 0])
    found = exposure(Partition(dropping, ratio=None), masks, domain, rng, window=5)
    assert found.missing_share < 0.01


def test_series_windows_and_determinism() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((4, 6, 2, 8, 8)) < 0.5
    domain = np.ones((2, 8, 8), dtype=bool)
    partition = Partition(MASKS.create("pixel"))
    one = exposure(partition, masks, domain, np.random.default_rng(1), window=99)
    two = exposure(partition, masks, domain, np.random.default_rng(1), window=6)
    np.testing.assert_array_equal(one.probability, two.probability)
    with pytest.raises(DataError, match="do not go with"):
        exposure(partition, masks, domain[0], rng, window=1)
