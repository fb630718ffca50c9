from __future__ import annotations

import itertools
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism.errors import ArtifactError, OptionError
from tropism_moe.delta import _HEADER, _checksum, apply, encode, smaller
from tropism_moe.packing import pack_2bit, pack_base3

FEW = settings(deadline=None, max_examples=60, derandomize=True)


def pair(rows, columns, share, seed=0):
    """Two matrices that differ in about this share of their weights."""
    rng = np.random.default_rng(seed)
    old = rng.integers(-1, 2, (rows, columns), np.int8)
    turned = (old + 1 + rng.integers(1, 3, old.shape)) % 3 - 1
    return old, np.where(rng.random(old.shape) < share, turned, old).astype(np.int8)


def changes_by_hand(delta):
    """Place in memory and change mod 3 of every weight, read byte by byte."""
    _, _, count, _ = struct.unpack_from("<4I", delta)
    data, place, places = iter(delta[16:]), -1, []
    for _ in range(count):
        distance = shift = 0
        while True:
            byte = next(data)
            distance += (byte % 128) << shift
            shift += 7
            if byte < 128:
                break
        place += distance + 1
        places.append(place)
    bits = [byte >> i & 1 for byte in data for i in range(8)]
    assert len(bits) - count in range(8)
    return {place: bit + 1 for place, bit in zip(places, bits, strict=False)}


@FEW
@given(
    st.integers(1, 6), st.integers(1, 700), st.sampled_from([0, 0.01, 0.1, 0.5, 1]), st.integers(0, 99)
)  # fmt: skip
def test_a_difference_leads_both_ways_to_the_bit(rows, columns, share, seed):
    old, new = pair(rows, columns, share, seed)
    delta, packed = encode(old, new), pack_2bit(old)
    apply(packed, delta)
    np.testing.assert_array_equal(packed, pack_2bit(new))
    apply(packed, delta, backward=True)
    np.testing.assert_array_equal(packed, pack_2bit(old))


def test_every_change_of_a_weight_leads_both_ways_wherever_it_stands():
    for a, b in itertools.product((-1, 0, 1), repeat=2):
        for column in (0, 63, 64, 255, 256, 399):
            old, new = (np.zeros((2, 400), np.int8) for _ in range(2))
            old[1, column], new[1, column] = a, b
            packed = pack_2bit(old)
            apply(packed, encode(old, new))
            np.testing.assert_array_equal(packed, pack_2bit(new))
            apply(packed, encode(old, new), backward=True)
            np.testing.assert_array_equal(packed, pack_2bit(old))


def test_the_bytes_are_the_documented_ones():
    old, new = pair(3, 300, 0.2)
    row, column = np.nonzero(old != new)
    expected = (new.astype(int) - old)[row, column] % 3
    found = changes_by_hand(encode(old, new))
    assert found == dict(zip((512 * row + column).tolist(), expected.tolist(), strict=True))
    assert _HEADER.unpack_from(encode(old, new))[:3] == (3, 300, len(row))


def test_distances_of_every_length_are_kept():
    columns = 2**22 + 2**17
    old, new = (np.zeros((1, columns), np.int8) for _ in range(2))
    at = np.cumsum([0, 1, 127, 128, 129, 2**14 - 1, 2**14, 2**14 + 1, 2**21, 2**21 + 1])
    new[0, at] = np.arange(len(at)) % 2 * 2 - 1
    delta, packed = encode(old, new), pack_2bit(old)
    assert len(delta) == _HEADER.size + sum([1, 1, 1, 1, 2, 2, 2, 3, 3, 4]) + 2
    apply(packed, delta)
    np.testing.assert_array_equal(packed, pack_2bit(new))


def test_it_is_smaller_only_where_few_weights_change():
    sizes = {share: (smaller(*m), len(encode(*m))) for share in (0, 0.02, 0.1, 0.15, 0.2, 1)
             for m in [pair(256, 512, share)]}  # fmt: skip
    full = pack_base3(pair(256, 512, 0)[0]).size
    assert [yes for yes, _ in sizes.values()] == [True, True, True, True, False, False]
    assert all(yes == (size < full) for yes, size in sizes.values())
    assert sizes[0][1] == _HEADER.size
    # a byte and a bit each, and longer distances here and there: seed 002 counted on a tenth of base 3
    assert sizes[0.1][1] == pytest.approx(9 / 8 * 0.1 * 256 * 512, rel=0.02)


def test_what_is_damaged_is_refused_before_anything_changes():
    old, new = pair(3, 300, 0.05)
    delta, packed = encode(old, new), pack_2bit(old)
    for at in range(len(delta)):
        broken = bytearray(delta)
        broken[at] ^= 1 << at % 8
        with pytest.raises(ArtifactError, match="checksum"):
            apply(packed, bytes(broken))
    for size in range(len(delta)):
        with pytest.raises(ArtifactError, match="truncated"):
            apply(packed, delta[:size])
    np.testing.assert_array_equal(packed, pack_2bit(old))


@pytest.mark.parametrize(
    ("count", "body"),
    [
        (2, b"\x00"),  # ends before its distances do
        (1, b"\x80"),  # within one
        (1, b"\x00"),  # no choices
        (1, b"\x00\x00\x00"),  # more than one byte of them
        (0, b"\x00"),
        (1, b"\xff\x03\x00\x00"),
        (2, b"\x00\xff\x03\x00"),  # beyond the end: place 512 of 512
        (1, b"\x80\x80\x80\x80\x80\x00\x00"),  # longer than any
    ],
)
def test_a_body_that_contradicts_its_header_is_refused(count, body):
    packed = pack_2bit(np.zeros((1, 300), np.int8))
    facts = 1, 300, count
    with pytest.raises(ArtifactError, match=f"{count} weights does not fit"):
        apply(packed, _HEADER.pack(*facts, _checksum(facts, body)) + body)
    assert (packed == 0x55).all()


def test_matrices_that_do_not_fit_are_refused():
    old, new = pair(3, 300, 0.1)
    delta = encode(old, new)
    for wrong in (pack_2bit(old[:2]), pack_2bit(np.zeros((3, 600), np.int8)), old):
        with pytest.raises(OptionError, match=r"\(3, 300\) in 2 bits must be"):
            apply(wrong, delta)
    packed = pack_2bit(old)
    packed.flags.writeable = False
    with pytest.raises(OptionError, match="read-only"):
        apply(packed, delta)
    with pytest.raises(OptionError, match=r"one shape, got \(3, 300\) and \(2, 300\)"):
        encode(old, new[:2])
    with pytest.raises(OptionError, match="-1, 0 or 1"):
        smaller(old, new + np.int8(3))
