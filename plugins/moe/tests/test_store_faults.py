from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from plugins.moe.tests.versioned_store import (
    BLOCK,
    BUDGET,
    KEYS,
    LENGTH,
    MODES,
    places,
    read_everything,
    slab,
    write,
)

from tropism_moe.expert_store import ExpertStore
from tropism_moe.store_errors import (
    ChecksumError,
    StoreReadError,
    StoreTruncatedError,
)


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "demo.moe")


def spoiled(count):
    """``os.preadv`` whose next ``count`` reads of a slab bring a wrong byte; and the offsets read."""
    plain, offsets = os.preadv, []

    def preadv(file, buffers, offset):
        got = plain(file, buffers, offset)
        offsets.append(offset)
        if len(offsets) <= count:
            buffers[0][100] ^= 1
        return got

    return preadv, offsets


def test_a_wrong_byte_that_is_right_when_read_again_goes_unnoticed(path, monkeypatch):
    with ExpertStore.open(path, "ring", BUDGET) as store:
        preadv, offsets = spoiled(1)
        monkeypatch.setattr(os, "preadv", preadv)
        assert np.array_equal(store.get(0, 0), slab((0, 0)))
        assert offsets == [BLOCK, BLOCK]


def test_a_slab_is_read_twice_and_no_more(path, monkeypatch):
    with ExpertStore.open(path, "ring", BUDGET) as store:
        preadv, offsets = spoiled(2)
        monkeypatch.setattr(os, "preadv", preadv)
        with pytest.raises(ChecksumError):
            store.get(0, 0)
        assert offsets == [BLOCK, BLOCK]
        assert np.array_equal(store.get(0, 0), slab((0, 0)))


def test_a_ring_checks_a_slab_whenever_it_is_read(path):
    with ExpertStore.open(path, "ring", 2 * 8192) as store:
        for key in KEYS:
            store.get(*key)
        with open(path, "r+b") as file:
            file.seek(store.slabs[0, 0].offset + 7)
            file.write(bytes([slab((0, 0))[7] ^ 1]))
            file.flush()
            os.fsync(file.fileno())
        with pytest.raises(ChecksumError, match=r"\(layer 0, expert 0\)"):
            store.get(0, 0)


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("announced", [False, True])
def test_a_disk_that_fails_is_an_error_that_names_the_slab(path, monkeypatch, announced):
    plain, tries = os.preadv, []

    def preadv(file, buffers, offset):
        if offset == places_of[1, 1].offset:
            tries.append(offset)
            raise OSError(errno.EIO, "Input/output error")
        return plain(file, buffers, offset)

    places_of = places(path)
    with ExpertStore.open(path, "ring", BUDGET) as store:
        monkeypatch.setattr(os, "preadv", preadv)
        if announced:
            store.prefetch(KEYS)
        with pytest.raises(StoreReadError, match=r"demo.moe, slab \(layer 1, expert 1\): reading failed \(Input/output error\)") as caught:  # fmt: skip
            store.get(1, 1)
        assert isinstance(caught.value.__cause__, OSError)
        assert len(tries) == 2
        assert not store.resident(1)[1]
        for key in KEYS:
            if key != (1, 1):
                assert np.array_equal(store.get(*key), slab(key))


@pytest.mark.usefixtures("readers")
@pytest.mark.parametrize("announced", [False, True])
@pytest.mark.parametrize("mode", ["mmap", "ring"])
def test_a_file_that_becomes_shorter_is_an_error_and_no_crash(path, mode, announced):
    with ExpertStore.open(path, mode, BUDGET) as store:
        size = store.slabs[1, 1].offset + 100
        store.get(0, 0)
        os.truncate(path, size)
        if announced:
            store.prefetch([(1, 1), (1, 0)])
        with pytest.raises(StoreTruncatedError, match=rf"slab \(layer 1, expert 1\): the file is truncated: expected {size + LENGTH - 100} bytes, found"):  # fmt: skip
            store.get(1, 1)
        assert np.array_equal(store.get(1, 0), slab((1, 0)))


@pytest.mark.parametrize("mode", MODES)
def test_a_store_that_is_replaced_while_open_stays_what_it_was(path, mode):
    with ExpertStore.open(path, mode, BUDGET) as store:
        write(path, version=1)
        for key in KEYS:
            assert np.array_equal(store.get(*key), slab(key))
    assert all(np.array_equal(a, slab(key, 1)) for key, a in read_everything(path, mode).items())
