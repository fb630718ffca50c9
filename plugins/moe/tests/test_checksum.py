from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism_moe import checksum
from tropism_moe.checksum import LEAST, STRIDE, crc32

BYTES = np.random.default_rng(0).bytes(4 * LEAST)


@settings(max_examples=100, deadline=None)
@given(start=st.integers(0, 100), size=st.integers(0, 3 * LEAST))
def test_it_is_that_of_zlib_at_any_place_and_of_any_length(start, size):
    part = memoryview(BYTES)[start : start + size]
    assert crc32(part) == zlib.crc32(part)


@pytest.mark.parametrize(
    "size",
    [LEAST + n for n in (-1, 0, 1, 15, *(k * STRIDE + n for k in (1, 2, 3) for n in (-1, 0, 1)))],
)
@pytest.mark.parametrize("fill", [0, 255])
def test_at_the_edges_and_of_bytes_that_are_all_alike(size, fill):
    data = bytearray([fill]) * size
    assert crc32(data) == zlib.crc32(data)
    data[-1] ^= 1
    assert crc32(data) == zlib.crc32(data)
    assert data[0] == fill  # nothing is written
    data[0] ^= 1  # and the caller's memory stays writable


def test_arrays_of_other_types_and_cpus_without_such_products(monkeypatch):
    array = np.frombuffer(BYTES, np.int32)
    assert crc32(array) == zlib.crc32(BYTES)
    monkeypatch.setattr(checksum, "HAS_PRODUCT", False)
    monkeypatch.setattr(checksum, "crc_of", None)
    assert crc32(BYTES) == zlib.crc32(BYTES)


@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=5 * STRIDE + 7), wide=st.booleans())
def test_compiled_code_computes_it_of_short_bytes_too_in_vectors_of_either_width(data, wide):
    if checksum.HAS_PRODUCT:
        array = np.frombuffer(data, np.uint8)
        assert checksum.crc_of(array, checksum.TABLE, wide) == zlib.crc32(data)
        assert checksum.crc_of(array, checksum.TABLE) == zlib.crc32(data)
