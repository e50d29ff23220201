"""Properties that hold for every registered mask pattern, and what sets each apart."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xdiffimpute.exceptions import ImputeError, UnknownNameError
from xdiffimpute.masks import MASKS, MaskPattern

LIBRARY = np.random.default_rng(7).random((6, 12, 13)) < 0.6


def make(name: str, **options: object) -> MaskPattern:
    """A pattern by name; those that draw from data get some."""
    cls = MASKS.get(name)
    if "library" in cls.__dataclass_fields__:
        options.setdefault("library", LIBRARY)
    return cls(**options)


shapes = st.tuples(*(st.integers(1, n) for n in (3, 5, 14, 15)))
ratios = st.none() | st.floats(0.05, 0.95)
seeds = st.integers(0, 2**32 - 1)
patterns = pytest.mark.parametrize("name", MASKS.names())


def some(shape: tuple[int, ...], share: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


def test_all_four_are_found() -> None:
    assert {"pixel", "block", "empirical", "track"} <= set(MASKS.names())


@patterns
@settings(max_examples=60, deadline=None)
@given(
    shape=shapes,
    share=st.sampled_from([0.0, 0.1, 0.6, 1.0]),
    seed=seeds,
    ratio=ratios,
    joint=st.booleans(),
    static=st.booleans(),
)
def test_kept_is_a_subset_and_depends_on_the_generator_alone(
    name: str,
    shape: tuple[int, ...],
    share: float,
    seed: int,
    ratio: float | None,
    joint: bool,
    static: bool,
) -> None:
    observed = some(shape, share, seed)
    before = observed.copy()
    pattern = make(name, joint=joint, static=static)
    kept = pattern(observed, np.random.default_rng(seed), ratio)
    again = pattern(observed, np.random.default_rng(seed), ratio)
    assert kept.shape == observed.shape
    assert kept.dtype == bool
    assert not (kept & ~observed).any()
    np.testing.assert_array_equal(kept, again)
    np.testing.assert_array_equal(observed, before)


@patterns
@settings(max_examples=25, deadline=None)
@given(shape=shapes, seed=seeds, ratio=ratios)
def test_joint_and_static_masks_are_shared(
    name: str, shape: tuple[int, ...], seed: int, ratio: float | None
) -> None:
    observed = np.ones(shape, dtype=bool)
    rng = np.random.default_rng(seed)
    joint = make(name, joint=True)(observed, rng, ratio)
    assert (joint == joint[:1]).all()
    static = make(name, joint=False, static=True)(observed, rng, ratio)
    assert (static == static[:, :1]).all()


@patterns
def test_channels_and_frames_differ_unless_told_otherwise(name: str) -> None:
    observed = np.ones((2, 6, 12, 13), dtype=bool)
    kept = make(name, joint=False)(observed, np.random.default_rng(0), 0.5)
    assert (kept[0] != kept[1]).any()
    assert (kept[:, :-1] != kept[:, 1:]).any()


@patterns
@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.8])
def test_kept_share_follows_the_ratio(name: str, ratio: float) -> None:
    observed = np.ones((1, 8, 24, 25), dtype=bool)
    library = np.kron(some((20, 6, 5), 0.6, 1), np.ones((4, 5), dtype=bool)).astype(bool)
    options = {"library": library} if "library" in MASKS.get(name).__dataclass_fields__ else {}
    pattern = make(name, **options)
    rng = np.random.default_rng(1)
    shares = [pattern(observed, rng, ratio).mean() for _ in range(20)]
    assert abs(np.mean(shares) - ratio) < 0.12


@patterns
def test_options_survive_json(name: str) -> None:
    pattern = make(name, joint=False, static=True)
    options = json.loads(json.dumps(pattern.to_dict()))
    assert make(name, **options) == pattern


@patterns
def test_patterns_hash_and_compare(name: str) -> None:
    assert hash(make(name)) == hash(make(name))
    assert make(name) == make(name)
    assert make(name) != make(name, static=True)


def test_unknown_name_says_what_exists() -> None:
    with pytest.raises(UnknownNameError, match=r"'pixle'.*block, empirical.*mean 'pixel'"):
        MASKS.create("pixle")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("pixel", {"ratio": 1.0}, "Pixel\\(ratio=0.7\\)"),
        ("block", {"grid": (1, 1)}, "at least two blocks"),
        ("block", {"kept": 9}, "between 1 and 8"),
        ("empirical", {"library": np.ones((3, 3), dtype=bool)}, r"\(frames, y, x\)"),
        ("empirical", {"drop_frame": 2.0}, "drop_frame=0.1"),
        ("track", {"ratio": 0.0}, "0 < ratio < 1"),
        ("track", {"angle": 90.0}, "-80 to 80"),
    ],
)
def test_bad_options_say_what_to_type(name: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(ImputeError, match=words):
        MASKS.create(name, **options)


class TestPixel:
    def test_cells_are_independent(self) -> None:
        kept = make("pixel")(np.ones((1, 1, 200, 200), bool), np.random.default_rng(0), 0.4)[0, 0]
        assert abs(kept.mean() - 0.4) < 0.02
        assert abs(np.corrcoef(kept[1:].ravel(), kept[:-1].ravel())[0, 1]) < 0.03


class TestBlock:
    @settings(max_examples=60, deadline=None)
    @given(
        height=st.integers(6, 40),
        width=st.integers(6, 40),
        grid=st.tuples(st.integers(1, 4), st.integers(2, 4)),
        seed=seeds,
        data=st.data(),
    )
    def test_exact_counts_on_any_grid(
        self, height: int, width: int, grid: tuple[int, int], seed: int, data: st.DataObject
    ) -> None:
        count = data.draw(st.integers(1, grid[0] * grid[1] - 1))
        kept = make("block", grid=grid, kept=count)(
            np.ones((1, 3, height, width), dtype=bool), np.random.default_rng(seed)
        )[0]
        ys, xs = (
            np.rint(np.linspace(0, n, k + 1)).astype(int)
            for n, k in zip((height, width), grid, strict=True)
        )
        for frame in kept:
            blocks = [
                frame[y0:y1, x0:x1]
                for y0, y1 in zip(ys[:-1], ys[1:], strict=True)
                for x0, x1 in zip(xs[:-1], xs[1:], strict=True)
            ]
            assert all(block.all() or not block.any() for block in blocks)
            assert sum(bool(block.all()) for block in blocks) == count

    def test_a_block_of_few_observed_cells_counts(self) -> None:
        observed = np.zeros((1, 1, 9, 9), dtype=bool)
        observed[0, 0, 0, 0] = observed[0, 0, 5, 5] = observed[0, 0, 8, 8] = True
        kept = make("block", kept=2)(observed, np.random.default_rng(0))
        assert kept.sum() == 2

    def test_one_observed_block_always_leaves_something_to_query(self) -> None:
        observed = np.ones((1, 1, 9, 9), dtype=bool)
        for ratio in (0.01, 0.99):
            kept = make("block")(observed, np.random.default_rng(0), ratio).sum() // 9
            assert kept == (1 if ratio < 0.5 else 8)

    def test_tiles_of_a_frame_get_blocks_of_the_frame_at_a_random_phase(self) -> None:
        observed = np.ones((1, 1, 20, 20), dtype=bool)
        pattern = make("block", grid=(3, 3), frame=(30, 30))
        rng = np.random.default_rng(0)
        widths = set()
        for _ in range(40):
            frame = pattern(observed, rng, 0.5)[0, 0]
            edges = np.flatnonzero((frame[:, 1:] != frame[:, :-1]).any(axis=0)) + 1
            widths |= set(np.diff(edges))
        assert widths <= {10, 20}
        assert 10 in widths


class TestEmpirical:
    def test_thins_by_runs_of_the_library_in_order(self) -> None:
        pattern = make("empirical", flip=False, shift=False, drop_frame=0.0)
        kept = pattern(np.ones((1, 3, 12, 13), bool), np.random.default_rng(3))[0]
        source = LIBRARY | ~LIBRARY.any(axis=0)
        assert any((kept == source[k : k + 3]).all() for k in range(4))

    def test_land_of_the_other_frame_hides_nothing(self) -> None:
        library = LIBRARY.copy()
        library[:, :, :6] = False
        pattern = make("empirical", library=library, drop_frame=0.0)
        rng = np.random.default_rng(0)
        shares = [pattern(np.ones((1, 1, 12, 13), bool), rng).mean() for _ in range(200)]
        assert min(shares) > 0.55

    def test_longer_windows_wrap_and_tiles_are_crops(self) -> None:
        pattern = make("empirical", flip=False, shift=False, drop_frame=0.0)
        long = pattern(np.ones((1, 14, 12, 13), bool), np.random.default_rng(0))[0]
        np.testing.assert_array_equal(long[:6], long[6:12])
        crop = pattern(np.ones((1, 1, 5, 6), bool), np.random.default_rng(0))[0, 0]
        source = LIBRARY | ~LIBRARY.any(axis=0)
        windows = np.lib.stride_tricks.sliding_window_view(source, (5, 6), axis=(1, 2))
        assert (windows == crop).all(axis=(-1, -2)).any()

    def test_whole_frames_are_dropped(self) -> None:
        pattern = make("empirical", drop_frame=1.0)
        kept = pattern(np.ones((1, 4, 12, 13), bool), np.random.default_rng(0))[0]
        assert (~kept.any(axis=(1, 2))).sum() == 1

    def test_without_a_library_the_frames_thin_each_other(self) -> None:
        pattern = MASKS.create("empirical")
        observed = some((1, 5, 12, 13), 0.6, 0)
        kept = pattern(observed, np.random.default_rng(0))
        assert 0 < kept.sum() < observed.sum()

    def test_equality_looks_at_the_library(self) -> None:
        assert make("empirical") != make("empirical", library=~LIBRARY)
        assert make("empirical") != MASKS.create("empirical")


class TestTrack:
    def test_swaths_are_straight_and_parallel(self) -> None:
        pattern = make("track", crossing=False, angle=45.0, tracks=4, ratio=0.3)
        frame = pattern(np.ones((1, 1, 40, 80), bool), np.random.default_rng(0))[0, 0]
        np.testing.assert_array_equal(frame[1:, :-1], frame[:-1, 1:])
        np.testing.assert_array_equal(frame[:, 20:], frame[:, :-20])
