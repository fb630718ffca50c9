from __future__ import annotations

import numpy as np
import pytest

from tropism_moe.memory_at_play import SPAN, EpisodicMemory
from tropism_moe.proofs import Proof


def proved(*right):
    right = np.array(right)
    return Proof(right, right, np.ones(len(right)))


def test_what_proved_right_is_recalled_where_the_latents_are_alike():
    rng = np.random.default_rng(0)
    memory = EpisodicMemory(16, 40, 1, 5.0)
    seen = rng.standard_normal((30, 1, 16)).astype(np.float32)
    for n, x in enumerate(seen):
        memory.advise(x)
        memory.learn(proved(n % 40))
    again = np.concatenate([memory.advise(x) for x in seen])
    assert (again.argmax(1) == np.arange(30)).all()
    assert (np.count_nonzero(again, 1) == 1).all()
    near = np.concatenate([memory.advise(x + 0.05 * rng.standard_normal(x.shape)) for x in seen])
    assert (near.argmax(1) == np.arange(30)).mean() > 0.9
    assert 3 < near.max(1).mean() < again.max(1).mean() <= 5
    foreign = [memory.advise(rng.standard_normal((1, 16))).max() for _ in range(50)]
    assert np.mean(foreign) < 0.5 * near.max(1).mean()


def test_nothing_is_recalled_of_nothing_and_what_is_unknown_is_not_stored():
    memory = EpisodicMemory(8, 5, 2, 3.0)
    x = np.ones((2, 8), np.float32)
    assert not memory.advise(x).any()
    memory.learn(proved(-1, 4))
    found = memory.advise(x)
    assert not found[0].any()
    assert found[1].argmax() == 4


def test_a_lane_forgets_alone_and_all_of_it():
    memory = EpisodicMemory(8, 5, 2, 3.0)
    x = np.ones((2, 8), np.float32)
    memory.advise(x)
    memory.learn(proved(1, 2))
    kept = memory.advise(x)[1]
    memory.reset(np.array([True, False]))
    found = memory.advise(x)
    assert not found[0].any()
    np.testing.assert_array_equal(found[1], kept)


def test_what_is_older_than_its_span_leaves_nothing_behind():
    rng = np.random.default_rng(1)
    long, short = (EpisodicMemory(8, 5, 1, 3.0) for _ in range(2))
    steps = rng.standard_normal((2 * SPAN, 1, 8)).astype(np.float32)
    for n, x in enumerate(steps):
        for memory in (long, short)[: 1 + (n >= SPAN)]:
            memory.advise(x)
            memory.learn(proved(n % 5))
    for x in rng.standard_normal((20, 1, 8)).astype(np.float32):
        np.testing.assert_array_equal(long.advise(x), short.advise(x))


@pytest.mark.parametrize("lane", [0, 1])
def test_a_lane_has_the_bits_that_it_has_alone(lane):
    rng = np.random.default_rng(2)
    both, alone = EpisodicMemory(8, 5, 2, 3.0), EpisodicMemory(8, 5, 1, 3.0)
    for _ in range(40):
        x, right = rng.standard_normal((2, 8)).astype(np.float32), rng.integers(-1, 5, 2)
        np.testing.assert_array_equal(both.advise(x)[lane], alone.advise(x[[lane]])[0])
        both.learn(proved(*right))
        alone.learn(proved(right[lane]))
