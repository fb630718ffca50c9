"""The hash RNG: the same bits everywhere, and bits that look random in every direction one can draw."""

from __future__ import annotations

import random
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tropism.envs.core.baselines import LaneRandom
from tropism.envs.core.random import (
    GOLDEN,
    MASK,
    STREAM_STEP,
    Hash,
    below,
    bits,
    episode_key,
    mix,
    seed_key,
)

WORDS = st.integers(0, MASK)
SEEDS = (0, 1, 2, 7, 2**31, MASK, 2**32, 2**64 + 5)


@pytest.fixture(params=["numpy", "jax.numpy"])
def xp(request: pytest.FixtureRequest) -> ModuleType:
    return pytest.importorskip(request.param)


def _draws(keys: Any, counters: Any, stream: int = 0) -> np.ndarray[Any, Any]:
    """``bits`` over arrays, by NumPy."""
    return Hash(np).bits(np.asarray(keys, np.uint32), np.asarray(counters, np.int64), stream)


def _corr(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    """Correlation in standard deviations of independence."""
    return float(np.corrcoef(a.astype(np.float64), b.astype(np.float64))[0, 1] * np.sqrt(a.size))


# -- the same bits everywhere -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_arrays_give_the_bits_of_python(xp: Any, seed: int) -> None:
    hash_, key = Hash(xp), seed_key(seed)
    counters = [0, 1, 2, 1000, 2**20, 2**31 - 1]
    for episode in (0, 1, 5, 2**20):
        scalar = episode_key(key, episode)
        array = hash_.episode_key(xp.asarray([key], dtype=xp.uint32), xp.asarray([episode]))
        assert tuple(np.asarray(array)[0].tolist()) == scalar
        for stream in (0, 1, 17, 0x5EED):
            found = hash_.bits(array, xp.asarray(counters), stream)
            assert found.dtype == xp.uint32
            assert np.asarray(found).tolist() == [bits(scalar, c, stream) for c in counters]


def test_jit_gives_the_bits_of_python() -> None:
    jax = pytest.importorskip("jax")
    draw = jax.jit(lambda key, counter: Hash(jax.numpy).bits(key, counter, 3))
    key = seed_key(11)
    found = draw(np.array(key, np.uint32), np.arange(100))
    assert np.asarray(found).tolist() == [bits(key, c, 3) for c in range(100)]


def test_the_bits_are_pinned() -> None:
    key = seed_key(0)
    assert key == (0xE599DDA0, 0x5FDA243C)
    assert [bits(key, c, 0) for c in range(3)] == [0x932D0C66, 0xD13615CC, 0x004F57F4]


@given(word=WORDS, n=st.integers(1, 2**16 - 1))
def test_below_is_exact_against_big_integers(word: int, n: int) -> None:
    assert below(word, n) == (word * n) // 2**32 < n
    assert int(Hash(np).below(np.array([word], np.uint32), n)[0]) == below(word, n)


def test_below_is_exact_in_jax() -> None:
    jnp = pytest.importorskip("jax.numpy")
    source = random.Random(0)
    words = [0, 1, MASK - 1, MASK, *(source.randrange(2**32) for _ in range(2000))]
    for n in (1, 2, 3, 97, 100, 2**15, 2**16 - 1):
        found = Hash(jnp).below(jnp.asarray(words, dtype=jnp.uint32), n)
        assert np.asarray(found).tolist() == [below(word, n) for word in words]


# -- keys ---------------------------------------------------------------------------------------------------


def test_keys_are_distinct_over_many_seeds_and_episodes() -> None:
    keys = {seed_key(seed) for seed in range(50_000)}
    assert len(keys) == 50_000
    episodes = {
        episode_key(seed_key(seed), episode) for seed in range(200) for episode in range(200)
    }
    assert len(episodes) == 40_000


@given(seed=st.integers(0, 2**200))
def test_a_seed_of_any_size_gives_two_words(seed: int) -> None:
    assert all(0 <= word <= MASK for word in seed_key(seed))
    assert seed_key(seed) != seed_key(seed + 2**200)


def test_a_numpy_seed_is_the_integer() -> None:
    assert seed_key(np.int64(5)) == seed_key(5)  # type: ignore[arg-type]


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="non-negative integer, got -1"):
        seed_key(-1)


def test_mix_is_a_bijection_on_a_sample() -> None:
    words = np.arange(2**20, dtype=np.uint32) * np.uint32(4093)
    assert np.unique(Hash(np).mix(words)).size == words.size
    assert mix(0) == 0


# -- quality ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 10, 100, 256])
@pytest.mark.parametrize("along", ["counters", "episodes", "seeds", "streams"])
def test_draws_are_uniform_in_every_direction(along: str, n: int) -> None:
    size = 20_000
    key = np.array(seed_key(3), np.uint32)
    if along == "counters":
        words = _draws(key, np.arange(size))
    elif along == "episodes":
        words = _draws(Hash(np).episode_key(np.tile(key, (size, 1)), np.arange(size)), 0)
    elif along == "seeds":
        words = _draws([episode_key(seed_key(seed), 0) for seed in range(size)], 0)
    else:
        words = np.array([bits(seed_key(3), 0, stream) for stream in range(size)], np.uint32)
    values = Hash(np).below(words, n)
    assert values.min() >= 0
    assert values.max() < n
    assert stats.chisquare(np.bincount(values, minlength=n)).pvalue > 1e-4


def test_every_bit_is_fair() -> None:
    words = _draws(seed_key(1), np.arange(100_000))
    ones = (words[:, None] >> np.arange(32, dtype=np.uint32) & 1).sum(0, dtype=np.int64)
    assert np.abs(ones - 50_000).max() < 5 * np.sqrt(25_000)


@pytest.mark.parametrize("bit", [0, 1, 15, 16, 31])
@pytest.mark.parametrize("what", ["counter", "k0", "k1", "episode"])
def test_one_flipped_bit_flips_half_of_the_output(what: str, bit: int) -> None:
    source, flips, trials = random.Random(bit), np.zeros(32), 2000
    for _ in range(trials):
        key = (source.getrandbits(32), source.getrandbits(32))
        counter, flip = source.getrandbits(31), 1 << min(bit, 30)
        changed = {"k0": (key[0] ^ 1 << bit, key[1]), "k1": (key[0], key[1] ^ 1 << bit)}.get(
            what, key
        )
        if what == "episode":
            key, changed = episode_key(key, counter), episode_key(key, counter ^ flip)
        other = counter ^ flip if what == "counter" else counter
        word = bits(key, counter, 0) ^ bits(changed, other, 0)
        flips += word >> np.arange(32) & 1
    assert np.abs(flips / trials - 0.5).max() < 5 * 0.5 / np.sqrt(trials)


def test_neighbouring_counters_streams_episodes_and_seeds_are_uncorrelated() -> None:
    size = 50_000
    counters, key = np.arange(size), np.array(seed_key(4), np.uint32)
    here = _draws(key, counters)
    episodes = [np.array(episode_key(seed_key(4), e), np.uint32) for e in (0, 1)]
    others = {
        "next counter": _draws(key, counters + 1),
        "next stream": _draws(key, counters, 1),
        "next seed": _draws(seed_key(5), counters),
        "high seed word": _draws(seed_key(4 + 2**32), counters),
    }
    for name, words in others.items():
        assert abs(_corr(here, words)) < 5, name
        assert not np.array_equal(here, words), name
    assert abs(_corr(_draws(episodes[0], counters), _draws(episodes[1], counters))) < 5


def test_pairs_fill_the_square() -> None:
    words = _draws(seed_key(6), np.arange(80_001))
    first, second = Hash(np).below(words[:-1], 16), Hash(np).below(words[1:], 16)
    assert stats.chisquare(np.bincount(first * 16 + second, minlength=256)).pvalue > 1e-4


def test_no_stream_repeats_another_within_reach() -> None:
    """Counter and stream enter as one sum, so each stream is another one shifted: the shift must be far off."""
    streams = [*range(32), LaneRandom.STREAM]
    back = pow(GOLDEN, -1, 2**32)
    shifts = [(a - b) * STREAM_STEP * back % 2**32 for a in streams for b in streams if a != b]
    assert min(min(shift, 2**32 - shift) for shift in shifts) > 2**20  # far beyond any episode
    key, shift = seed_key(8), (1 - 0) * STREAM_STEP * back % 2**32
    assert bits(key, 5, 1) == bits(key, 5 + shift, 0)  # it is one: the test measures what it says
