from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism.errors import OptionError
from tropism_moe.hypervector_bundles import FULL, BundleFullError, Bundles
from tropism_moe.hypervectors import (
    DIMENSION,
    Encoder,
    bind,
    distances,
    draw,
    pack,
    permute,
    similarities,
    unpack,
    words,
)

dimensions, seeds = st.integers(1, 300), st.integers(0, 2**32)
quick = settings(deadline=None, max_examples=30, derandomize=True)


def test_ten_thousand_bits_are_157_words():
    assert DIMENSION == 10_000
    assert words(10_000) == 157
    assert draw(3, 0).shape == (3, 157)


@quick
@given(dimensions, seeds)
def test_packing_keeps_every_bit_where_it_was_and_the_spare_ones_zero(dimension, seed):
    bits = np.random.default_rng(seed).integers(0, 2, (4, dimension))
    packed = pack(bits)
    np.testing.assert_array_equal(unpack(packed, dimension), bits)
    for row, vector in zip(bits, packed, strict=True):
        by_hand = sum(int(bit) << place for place, bit in enumerate(row))
        assert by_hand == sum(int(word) << (64 * w) for w, word in enumerate(vector))


@quick
@given(dimensions, seeds)
def test_binding_is_its_own_inverse_and_keeps_distances(dimension, seed):
    a, b, c = draw(3, seed, dimension)
    np.testing.assert_array_equal(bind(bind(a, b), b), a)
    np.testing.assert_array_equal(bind(a, b), bind(b, a))
    apart = distances(bind(a, c)[None], bind(b, c)[None])
    np.testing.assert_array_equal(apart, distances(a[None], b[None]))


@quick
@given(dimensions, seeds, st.integers(-400, 400))
def test_permuting_turns_the_bits_and_can_be_undone(dimension, seed, shift):
    vectors = draw(3, seed, dimension)
    turned = permute(vectors, shift, dimension)
    bits = unpack(vectors, dimension)
    for i, j in itertools.product(range(3), range(dimension)):
        assert unpack(turned, dimension)[i, (j + shift) % dimension] == bits[i, j]
    np.testing.assert_array_equal(permute(turned, -shift, dimension), vectors)


@quick
@given(dimensions, seeds)
def test_distances_count_differing_bits(dimension, seed):
    queries, candidates = draw(3, seed, dimension), draw(5, seed + 1, dimension)
    a, b = unpack(queries, dimension), unpack(candidates, dimension)
    by_hand = [[sum(x != y for x, y in zip(p, q, strict=True)) for q in b] for p in a]
    np.testing.assert_array_equal(distances(queries, candidates), by_hand)
    alike = similarities(queries, candidates, dimension)
    np.testing.assert_allclose(alike, 1 - 2 * np.array(by_hand) / dimension, rtol=0, atol=1e-15)


def test_hypervectors_drawn_apart_differ_in_half_their_bits_give_or_take_fifty():
    vectors = np.concatenate([draw(50, 1), draw(50, 2)])
    apart = distances(vectors, vectors)[np.triu_indices(100, 1)]
    assert apart.mean() == pytest.approx(5000, abs=3)
    assert apart.std() == pytest.approx(50, rel=0.05)
    assert np.abs(apart - 5000).max() < 6 * 50


def xorshift(seed):
    """The seed's generator: linear over bits, in that its output for ``a ^ b`` is the XOR of those for ``a`` and ``b``."""
    state, out = np.uint64(seed), []
    for _ in range(157):
        for left, by in ((True, 13), (False, 7), (True, 17)):
            state ^= state << np.uint64(by) if left else state >> np.uint64(by)
        out.append(state)
    return np.array(out)


def test_bindings_of_different_seeds_never_coincide_as_those_of_the_seed_did():
    pairs = ((1, 2), (4, 7)), ((1, 2), (5, 6)), ((2, 3), (42, 43))
    for (a, b), (c, d) in pairs:
        linear = bind(xorshift(a), xorshift(b)), bind(xorshift(c), xorshift(d))
        np.testing.assert_array_equal(*linear)
        ours = [bind(draw(1, x), draw(1, y)) for x, y in ((a, b), (c, d))]
        assert abs(distances(*ours)[0, 0] - 5000) < 300


def test_no_binding_of_two_small_seeds_is_like_a_third():
    vectors = np.concatenate([draw(1, seed) for seed in range(24)])
    bound = [bind(vectors[a], vectors[b]) for a, b in itertools.combinations(range(24), 2)]
    assert np.abs(distances(np.array(bound), vectors) - 5000).max() < 300


def test_a_seed_gives_the_same_hypervectors_ever():
    np.testing.assert_array_equal(draw(5, 3), draw(5, 3))
    assert abs(distances(draw(1, 3), draw(1, 4))[0, 0] - 5000) < 300
    assert draw(1, 0)[0, 0] == np.random.Generator(np.random.Philox(0)).integers(0, 2**64, 1, np.uint64)  # fmt: skip


@quick
@given(st.integers(1, 130), seeds, st.lists(st.integers(0, 2), min_size=1, max_size=12))
def test_a_bundle_is_the_majority_with_ties_broken_the_same_way_ever(dimension, seed, which):
    bundles, vectors = Bundles(3, dimension, seed), draw(len(which), seed + 1, dimension)
    bundles.add(np.array(which), vectors)
    ties = Bundles(1, dimension, seed).read(np.zeros(1, np.int64))  # of an empty one all are ties
    tie = unpack(ties, dimension)[0]
    read = unpack(bundles.read(np.arange(3)), dimension)
    for b, d in itertools.product(range(3), range(dimension)):
        bits = [int(unpack(v, dimension)[d]) for v, w in zip(vectors, which, strict=True) if w == b]
        count = sum(2 * bit - 1 for bit in bits)
        assert bundles.counts[b, d] == count
        assert read[b, d] == (tie[d] if count == 0 else count > 0)
    np.testing.assert_array_equal(bundles.read(np.arange(3)), bundles.read(np.arange(3)))
    np.testing.assert_array_equal(bundles.sizes, np.bincount(which, minlength=3))


@quick
@given(seeds, st.permutations(range(6)))
def test_removing_what_was_added_leaves_nothing_in_any_order(seed, order):
    bundles, vectors = Bundles(2, 200, 0), draw(7, seed, 200)
    bundles.add(np.zeros(1, np.int64), vectors[6:])
    counts = bundles.counts.copy()
    which = np.arange(6) % 2
    bundles.add(which, vectors[:6])
    for i in order:
        bundles.remove(which[i : i + 1], vectors[i])
    np.testing.assert_array_equal(bundles.counts, counts)
    assert bundles.sizes.tolist() == [1, 0]


def test_a_bundle_is_like_its_members_by_the_root_of_two_over_pi_k():
    for count in (25, 101):
        bundles, vectors = Bundles(1), draw(count, count)
        bundles.add(np.zeros(count, np.int64), vectors)
        alike = similarities(bundles.read(np.zeros(1, np.int64)), vectors)
        assert alike.mean() == pytest.approx((2 / (np.pi * count)) ** 0.5, rel=0.03)


def test_what_breaks_ties_is_no_hypervector_of_the_same_seed():
    tie = Bundles(1, seed=3).read(np.zeros(1, np.int64))
    assert np.abs(distances(tie, draw(100, 3)) - 5000).max() < 300
    assert unpack(tie).mean() == pytest.approx(0.5, abs=0.03)


def test_a_full_bundle_refuses_and_stays_as_it_was():
    bundles, vector = Bundles(1, 64), draw(1, 0, 64)
    bundles.add(np.zeros(FULL, np.int64), np.repeat(vector, FULL, 0))
    assert np.abs(bundles.counts).min() == FULL
    before = bundles.counts.copy()
    with pytest.raises(BundleFullError, match=r"bundle 0 would hold 32768 .* at most 32767"):
        bundles.add(np.zeros(1, np.int64), vector)
    np.testing.assert_array_equal(bundles.counts, before)
    np.testing.assert_array_equal(bundles.read(np.zeros(1, np.int64)), vector)


@pytest.mark.parametrize(("width", "count"), [(1, 3), (4, 9), (37, 20)])
def test_an_encoder_says_on_which_side_of_its_hyperplanes_a_vector_lies(width, count):
    encoder = Encoder(width, 300, seed=5)
    normals = np.random.Generator(np.random.Philox(5)).standard_normal((width, 320), np.float32)
    x = np.random.default_rng(0).standard_normal((count, width))
    bits = unpack(encoder.encode(x), 300)
    for i, j in itertools.product(range(count), range(300)):
        side = sum(float(a) * float(b) for a, b in zip(x[i], normals[:, j], strict=True))
        assert bits[i, j] == (side > 0) or abs(side) < 1e-5


def test_encoded_vectors_differ_by_their_angle():
    encoder, rng = Encoder(64), np.random.default_rng(1)
    for angle in (0.05, 0.5, 1.0, 2.5):
        a, b = np.linalg.qr(rng.standard_normal((64, 2)))[0].T
        turned = np.cos(angle) * a + np.sin(angle) * b
        apart = distances(encoder.encode(a), encoder.encode(turned))[0, 0]
        share = angle / np.pi
        assert apart / DIMENSION == pytest.approx(share, abs=5 * (share * (1 - share) / DIMENSION) ** 0.5)  # fmt: skip


@quick
@given(seeds, st.integers(-1000, 960))
def test_a_vector_has_the_same_bits_alone_in_a_batch_and_at_any_length(seed, exponent):
    encoder, x = Encoder(9, 500, 2), np.random.default_rng(seed).standard_normal((6, 9))
    batch = encoder.encode(x)
    for i in range(6):
        np.testing.assert_array_equal(encoder.encode(x[i])[0], batch[i])
    np.testing.assert_array_equal(encoder.encode(np.ldexp(x, exponent)), batch)
    np.testing.assert_array_equal(encoder.encode(-x), batch ^ pack(np.ones(500)))
    np.testing.assert_array_equal(Encoder(9, 500, 2).encode(x), batch)
    assert (Encoder(9, 500, 3).encode(x) != batch).any()


def test_a_vector_of_zeros_has_no_bit_set():
    assert not Encoder(4).encode(np.zeros(4)).any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: draw(1, 0, 0), "dimension is 0"),
        (lambda: Bundles(0), "count is 0"),
        (lambda: Encoder(0), "width is 0"),
        (lambda: Encoder(3).encode(np.ones((2, 4))), r"shape \(2, 4\); \(n, 3\) expected"),
        (lambda: Encoder(3).encode([1.0, np.nan, 0.0]), "not finite"),
        (lambda: Encoder(3).encode([1.0, -np.inf, 0.0]), "not finite"),
        (lambda: distances(draw(1, 0), draw(1, 0, 64)), "differ in words"),
        (lambda: Bundles(2).add(np.array([0]), draw(1, 0, 64)), r"uint64\[1, 1\]; .* uint64\[n, 157\]"),
        (lambda: Bundles(2).add(np.array([0]), np.zeros((1, 157))), "vectors is float64"),  # pyright: ignore[reportArgumentType]
        (lambda: Bundles(2).add(np.array([2]), draw(1, 0)), "from 2 to 2; bundles 0 to 1"),
        (lambda: Bundles(2).add(np.array([-1]), draw(1, 0)), "from -1 to -1; bundles 0 to 1"),
        (lambda: Bundles(2).add(np.array([0]), draw(2, 0)), "1 places for 2 vectors"),
        (lambda: Bundles(2).read(np.array([2])), "from 2 to 2; bundles 0 to 1"),
        (lambda: Bundles(2).remove(np.array([1]), draw(1, 0)), "bundle 1 holds 0 hypervectors"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(wrong, message):
    with pytest.raises(OptionError, match=message):
        wrong()
