from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism.errors import ArtifactError, OptionError
from tropism_moe.compiling import compiled
from tropism_moe.packing import (
    pack_2bit,
    pack_base3,
    transcode,
    unpack_2bit,
    unpack_base3,
)

FEW = settings(deadline=None, max_examples=60, derandomize=True)
ROWS, COLUMNS = st.integers(1, 5), st.integers(1, 1300)
EDGES = (1, 4, 5, 6, 63, 64, 65, 255, 256, 257, 320, 1279, 1280, 1281)
SEEDS = st.integers(0, 2**32 - 1)


def weights(rows, columns, seed):
    return np.random.default_rng(seed).integers(-1, 2, (rows, columns), np.int8)


def fours_by_hand(codes):
    """Weights + 1 as they are coded, four at a time."""
    digits = [int(code) + 1 for code in codes.flat]
    if codes.shape[1] % 256:
        digits += [1] * (-len(digits) % 4)
        return [digits[n : n + 4] for n in range(0, len(digits), 4)]
    return [[digits[n + b + 64 * p] for p in range(4)]
            for n in range(0, len(digits), 256) for b in range(64)]  # fmt: skip


def base3_by_hand(codes):
    fours, out = fours_by_hand(codes), []
    for first in range(0, len(fours), 160):
        some = fours[first : first + 160]
        rest = len(some) // 5
        coded = len(some) - rest
        for j in range(coded):
            fifth = some[coded + j % rest][j // rest] if j < 4 * rest else 1
            out.append(sum(digit * 3**n for n, digit in enumerate([*some[j], fifth])))
    return out


def two_bits_by_hand(codes):
    rows, columns = codes.shape
    blocks = -(-columns // 256)
    out = np.zeros((rows, 64 * blocks), np.uint8)
    for n in range(rows):
        for k in range(256 * blocks):
            digit = int(codes[n, k]) + 1 if k < columns else 1
            plane, byte = divmod(k % 256, 64)
            out[n, k // 256 * 64 + byte] |= digit << 2 * plane
    return out


def test_every_byte_stands_for_the_five_weights_that_its_digits_say():
    for code in range(243):
        digits = [code // 3**i % 3 - 1 for i in range(5)]
        codes = np.zeros((1, 20), np.int8)  # four bytes of five digits, each of five fours
        codes[0, :4], codes[0, 16] = digits[:4], digits[4]
        assert pack_base3(codes).tolist() == [code, 121, 121, 121]
        four = np.array([code, 121, 121, 121], np.uint8)
        np.testing.assert_array_equal(unpack_base3(four, (1, 20)), codes)
        np.testing.assert_array_equal(transcode(four, (1, 20)), two_bits_by_hand(codes))


def test_every_byte_is_taken_apart_alike_wherever_it_stands():
    rng = np.random.default_rng(0)
    for shift in range(64):
        base3 = np.resize(np.arange(243, dtype=np.uint8), 1024)  # 8 groups
        base3 = np.roll(base3, shift)
        codes = unpack_base3(base3, (5, 1024))
        assert pack_base3(codes).tobytes() == base3.tobytes()
        out = rng.integers(0, 256, (5, 256), np.uint8)
        np.testing.assert_array_equal(transcode(base3, (5, 1024), out), two_bits_by_hand(codes))


def test_zeros_are_bytes_of_121_on_disk_and_of_0x55_in_memory():
    zeros = np.zeros((2, 13), np.int8)
    assert (pack_base3(zeros) == 121).all()  # as in seed 002
    assert (pack_2bit(zeros) == 0x55).all()


@pytest.mark.parametrize("columns", EDGES)
@pytest.mark.parametrize("rows", [1, 3, 5])
def test_both_forms_have_the_documented_layout(rows, columns):
    codes = weights(rows, columns, columns)
    assert pack_base3(codes).tolist() == base3_by_hand(codes)
    np.testing.assert_array_equal(pack_2bit(codes), two_bits_by_hand(codes))


@FEW
@given(ROWS, COLUMNS, SEEDS)
def test_weights_survive_both_forms_and_the_way_from_one_to_the_other(rows, columns, seed):
    codes = weights(rows, columns, seed)
    base3, packed = pack_base3(codes), pack_2bit(codes)
    assert unpack_base3(base3, codes.shape).dtype == np.int8
    np.testing.assert_array_equal(unpack_base3(base3, codes.shape), codes)
    np.testing.assert_array_equal(unpack_2bit(packed, columns), codes)
    np.testing.assert_array_equal(transcode(base3, codes.shape), packed)


@pytest.mark.parametrize("columns", [1280, 512, 4096])
def test_a_weight_takes_a_fifth_of_a_byte_on_disk_and_a_quarter_in_memory(columns):
    codes = weights(3, columns, 0)
    assert pack_base3(codes).shape == (-(-codes.size // 5),)
    assert pack_2bit(codes).size == codes.size / 4


def test_bytes_may_come_flat_and_read_only_and_go_to_an_array_that_is_there():
    codes = weights(4, 300, 1)
    flat = np.frombuffer(pack_base3(codes).tobytes(), np.uint8)
    out = np.full((4, 128), 255, np.uint8)
    assert transcode(flat, codes.shape, out) is out
    np.testing.assert_array_equal(out, pack_2bit(codes))
    np.testing.assert_array_equal(unpack_base3(flat, codes.shape), codes)


@FEW
@given(ROWS, COLUMNS, SEEDS)
def test_spare_digits_do_not_reach_memory(rows, columns, seed):
    codes = weights(rows, columns, seed)
    base3, last = pack_base3(codes), -(-codes.size // 4) % 160
    without_fifth = last - 5 * (last // 5)
    base3[base3.size - without_fifth :] %= 81  # where there was a zero, digit 1
    np.testing.assert_array_equal(transcode(base3, codes.shape), pack_2bit(codes))
    np.testing.assert_array_equal(unpack_base3(base3, codes.shape), codes)


@FEW
@given(ROWS, COLUMNS, SEEDS, st.integers(243, 255))
def test_a_byte_beyond_242_is_refused_and_named_wherever_it_stands(rows, columns, seed, byte):
    base3 = pack_base3(weights(rows, columns, seed))
    at = int(np.random.default_rng(seed).integers(base3.size))
    base3[at] = byte
    for read in (unpack_base3, transcode):
        with pytest.raises(ArtifactError, match=f"byte {at} of weights .* is {byte}, expected"):
            read(base3, (rows, columns))


@pytest.mark.parametrize("read", [unpack_base3, transcode])
def test_a_wrong_number_of_bytes_is_refused(read):
    base3 = pack_base3(weights(4, 300, 1)).ravel()
    for wrong in (base3[:-1], base3[:0], np.append(base3, base3[:1])):
        with pytest.raises(ArtifactError, match=rf"\(4, 300\) .* take 240 bytes, got {wrong.size}"):
            read(wrong, (4, 300))
    with pytest.raises(OptionError, match="uint8, got int8"):
        read(base3.view(np.int8), (4, 300))


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (1, 2**24 + 1)])
def test_shapes_that_no_matrix_has_are_refused(shape):
    with pytest.raises(OptionError, match="columns, got"):
        transcode(np.zeros(0, np.uint8), shape)


def test_a_place_that_does_not_fit_is_refused():
    base3 = pack_base3(weights(4, 300, 1))
    out = np.empty((4, 128), np.uint8)
    for wrong in (out[:3], out[:, :64], out.view(np.int8), np.empty((4, 256), np.uint8)[:, ::2]):
        with pytest.raises(OptionError, match=r"contiguous uint8\[4, 128\]"):
            transcode(base3, (4, 300), wrong)
    out.flags.writeable = False
    with pytest.raises(OptionError, match="read-only"):
        transcode(base3, (4, 300), out)


@pytest.mark.parametrize("pack", [pack_base3, pack_2bit])
def test_only_ternary_matrices_are_packed(pack):
    for value in (-128, -2, 2, 127):
        codes = weights(2, 7, 0)
        codes[1, 3] = value
        with pytest.raises(OptionError, match=f"-1, 0 or 1, got {value}"):
            pack(codes)
    for wrong in (weights(2, 7, 0).astype(np.float32), weights(2, 7, 0)[0]):
        with pytest.raises(OptionError, match=r"int8\[N, K\], got"):
            pack(wrong)


def test_a_code_of_3_in_memory_is_refused():
    for plane in range(4):
        packed = pack_2bit(weights(3, 300, 0))
        packed[1, 70] |= 3 << 2 * plane
        with pytest.raises(ArtifactError, match="code 3"):
            unpack_2bit(packed, 300)
    with pytest.raises(OptionError, match=r"uint8\[3, 192\], got uint8\[3, 128\]"):
        unpack_2bit(pack_2bit(weights(3, 300, 0)), 600)


def test_what_can_be_kept_nowhere_is_compiled_all_the_same():
    scope = {}
    exec("def double(x):\n    return 2 * x", scope)  # of no file
    assert compiled(scope["double"])(21) == 42
