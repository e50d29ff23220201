"""Splitting into context and query: subsets, never empty, and the paper's settings."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xdiffimpute.exceptions import ImputeError
from xdiffimpute.masks import MASKS
from xdiffimpute.partition import Partition

LIBRARY = np.random.default_rng(7).random((6, 12, 13)) < 0.6
patterns = pytest.mark.parametrize("name", MASKS.names())


def make(name: str, *, joint: bool = True, static: bool = False, **options: object) -> Partition:
    cls = MASKS.get(name)
    extra = {"library": LIBRARY} if "library" in cls.__dataclass_fields__ else {}
    return Partition(cls(joint=joint, static=static, **extra), **options)


@patterns
@settings(max_examples=80, deadline=None)
@given(
    shape=st.tuples(*(st.integers(1, n) for n in (3, 4, 13, 13))),
    share=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    seed=st.integers(0, 2**32 - 1),
    joint=st.booleans(),
    static=st.booleans(),
    query=st.sampled_from(["complement", "observed"]),
    ratio=st.sampled_from([None, 0.01, 0.5, 0.99, (0.35, 0.95)]),
    query_ratio=st.sampled_from([None, 0.2]),
)
def test_split_gives_two_subsets_that_are_not_empty(
    name: str,
    shape: tuple[int, ...],
    share: float,
    seed: int,
    joint: bool,
    static: bool,
    query: str,
    ratio: object,
    query_ratio: float | None,
) -> None:
    rng = np.random.default_rng(seed)
    observed = rng.random(shape) < share
    before = observed.copy()
    partition = make(
        name, joint=joint, static=static, query=query, ratio=ratio, query_ratio=query_ratio
    )
    context, asked = partition.split(observed, rng)
    np.testing.assert_array_equal(observed, before)
    assert context.shape == asked.shape == shape
    assert context.dtype == asked.dtype == bool
    assert not (context & ~observed).any()
    assert not (asked & ~observed).any()
    assert not np.shares_memory(asked, observed)
    if query == "complement":
        assert not (context & asked).any()
        if query_ratio is None:
            np.testing.assert_array_equal(context | asked, observed)
    if observed.sum() >= 2:
        assert context.any()
        assert asked.any()


@patterns
def test_same_generator_same_split(name: str) -> None:
    observed = np.random.default_rng(0).random((2, 3, 12, 13)) < 0.7
    one = make(name).split(observed, np.random.default_rng(5))
    two = make(name).split(observed, np.random.default_rng(5))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@patterns
def test_survives_json(name: str) -> None:
    partition = make(name, static=True, ratio=(0.2, 0.6), query="observed", query_ratio=0.5)
    saved = json.loads(json.dumps(partition.to_dict()))
    assert Partition.from_dict(saved, library=partition.library) == partition
    assert partition.name == name
    for ratio in (0.4, None):
        other = make(name, ratio=ratio)
        saved = json.loads(json.dumps(other.to_dict()))
        assert Partition.from_dict(saved, library=other.library) == other


def test_algorithm_5_draws_context_and_query_independently() -> None:
    observed = np.random.default_rng(0).random((1, 1, 300, 300)) < 0.5
    partition = make("pixel", ratio=0.4, query="observed", query_ratio=0.3)
    context, query = partition.split(observed, np.random.default_rng(0))
    total = observed.sum()
    assert abs(context.sum() / total - 0.4) < 0.02
    assert abs(query.sum() / total - 0.3) < 0.02
    assert abs((context & query).sum() / total - 0.12) < 0.01


def test_algorithm_6_keeps_four_and_asks_one_of_five_blocks() -> None:
    rng = np.random.default_rng(0)
    observed = MASKS.create("block", kept=5)(np.ones((1, 1, 9, 9), dtype=bool), rng)
    partition = make("block", ratio=0.8, query="observed", query_ratio=0.2)
    overlap = 0
    for _ in range(200):
        context, query = partition.split(observed, rng)
        assert context.sum() == 4 * 9
        assert query.sum() == 9
        overlap += bool((context & query).any())
    assert abs(overlap / 200 - 0.8) < 0.1
    context, query = make("block", ratio=None).split(observed, rng)
    assert context.sum() == 4 * 9
    assert query.sum() == 9


def test_ratio_is_drawn_from_its_range_or_as_called() -> None:
    observed = np.ones((1, 1, 60, 60), dtype=bool)
    rng = np.random.default_rng(0)
    shares = [make("pixel").split(observed, rng)[0].mean() for _ in range(200)]
    assert min(shares) > 0.3
    assert max(shares) < 0.98
    assert np.std(shares) > 0.12
    assert abs(make("pixel").split(observed, rng, 0.1)[0].mean() - 0.1) < 0.03


def test_a_pattern_that_cannot_split_falls_back_on_cells() -> None:
    partition = Partition(MASKS.create("empirical", library=np.ones((2, 4, 4), bool)), ratio=None)
    observed = np.ones((1, 1, 4, 4), dtype=bool)
    context, query = partition.split(observed, np.random.default_rng(0))
    assert context.sum() == query.sum() == 8


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ratio": 1.5}, r"ratio=0.7 or ratio=\(0.35, 0.95\)"),
        ({"ratio": (0.9, 0.2)}, "strictly between 0 and 1"),
        ({"query_ratio": 0.0}, "query_ratio=0.0"),
        ({"query": "all"}, "'complement', 'observed'"),
    ],
)
def test_bad_options_say_what_to_type(options: dict[str, object], words: str) -> None:
    with pytest.raises(ImputeError, match=words):
        Partition(MASKS.create("pixel"), **options)


@patterns
@pytest.mark.parametrize(("shape", "limit"), [((1, 5, 17, 33), 1e-3), ((3, 10, 96, 96), 1e-2)])
def test_split_is_fast(name: str, shape: tuple[int, ...], limit: float) -> None:
    """The limits are three times what is wanted, since machines are shared."""
    rng = np.random.default_rng(0)
    observed = rng.random(shape) < 0.7
    partition = make(name)
    best = np.inf
    for _ in range(20):
        start = time.perf_counter()
        partition.split(observed, rng)
        best = min(best, time.perf_counter() - start)
    assert best < limit


def test_contexts_without_frames_where_the_data_have_such() -> None:
    observed = np.ones((1, 6, 8, 8), dtype=bool)
    partition = Partition(MASKS.create("block", grid=(2, 2), kept=3), empty=0.5)
    rng = np.random.default_rng(0)
    dropped = 0
    for _ in range(200):
        context, query = partition.split(observed, rng)
        blank = ~context.any(axis=(0, 2, 3))
        assert context.any()
        assert query[:, blank].all()
        dropped += bool(blank.any())
    assert 60 < dropped < 120
    assert not any(
        (~partition.split(observed, rng, 0.7)[0].any(axis=(0, 2, 3))).any() for _ in range(20)
    )
    assert Partition.from_dict(json.loads(json.dumps(partition.to_dict()))) == partition
    with pytest.raises(ImputeError, match=r"empty=1.0.*empty=0.1"):
        Partition(MASKS.create("pixel"), empty=1.0)
