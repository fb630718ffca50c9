from __future__ import annotations

import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugins.moe.tests.versioned_store import (
    BLOCK,
    BUDGET,
    KEYS,
    LENGTH,
    MODES,
    places,
    slab,
    write,
)

from tropism.errors import ArtifactError
from tropism_moe.expert_store import ExpertStore, verify
from tropism_moe.store_errors import (
    ChecksumError,
    StoreError,
    StoreFormatError,
    StoreReadError,
    StoreTruncatedError,
    StoreVersionError,
)
from tropism_moe.store_format import Slab, pack_header


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "demo.moe")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The bytes of a sound store."""
    return write(tmp_path_factory.mktemp("sound") / "demo.moe").read_bytes()


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("at", [0, 2500, LENGTH - 1])
@pytest.mark.parametrize("announced", [False, True])
def test_a_flipped_byte_is_reported_with_its_slab_and_the_others_are_read(
    path, mode, at, announced
):
    place = places(path)[1, 2]
    flip(path, place.offset + at)
    message = rf"demo.moe, slab \(layer 1, expert 2\): the slab is damaged, its CRC-32 differs: expected {place.crc32:#010x}, found 0x"  # fmt: skip
    if mode == "resident":
        with pytest.raises(ChecksumError, match=message):
            ExpertStore.open(path, mode)
        return
    with ExpertStore.open(path, mode, BUDGET) as store:
        if announced:
            store.prefetch(KEYS)
        for _ in range(2):
            with pytest.raises(ChecksumError, match=message) as caught:
                store.get(1, 2)
            assert caught.value.slab == (1, 2)
            assert caught.value.expected == f"{place.crc32:#010x}" != caught.value.found
        for key in KEYS[:-1]:
            assert np.array_equal(store.get(*key), slab(key))


@given(st.data())
@settings(deadline=None, max_examples=60, derandomize=True)
def test_no_byte_of_the_file_can_be_changed_unseen_but_the_zeros_after_a_slab(
    tmp_path_factory, sound, data
):
    path = tmp_path_factory.mktemp("flip") / "demo.moe"
    end = len(sound) - 1
    at = data.draw(st.integers(0, end) | st.integers(end - 400, end) | st.integers(0, 50))
    path.write_bytes(sound)
    slabs = list(places(path).values())
    owner = {n: s.key for s in slabs for n in range(s.offset, s.offset + s.length)}
    zeros = {n for s in slabs for n in range(s.offset + s.length, s.offset + s.padded)}
    flip(path, at)
    try:
        found = [error.slab for error in verify(path).damaged]
    except StoreError:
        assert at not in owner
        assert at not in zeros
    else:
        assert found == ([owner[at]] if at in owner else [])
        assert at in owner or at in zeros


@pytest.mark.parametrize("mode", MODES)
@given(st.data())
@settings(deadline=None, max_examples=20, derandomize=True)
def test_a_file_that_is_cut_off_anywhere_is_refused(mode, tmp_path_factory, sound, data):
    size = data.draw(st.integers(0, len(sound) - 1) | st.sampled_from([0, 7, 8, BLOCK]))
    path = tmp_path_factory.mktemp("cut") / "demo.moe"
    path.write_bytes(sound[:size])
    kind = StoreTruncatedError if size >= 8 else StoreFormatError
    with pytest.raises(kind, match=f"demo.moe: .*expected .*found .*{size if size >= 8 else ''}"):
        ExpertStore.open(path, mode, BUDGET)


def test_bytes_that_were_appended_are_refused(path):
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(StoreFormatError, match=r"the length is wrong: expected .* bytes, found"):
        ExpertStore.open(path)


def test_another_version_is_refused_by_number(path):
    data = bytearray(path.read_bytes())
    data[8:12] = (7).to_bytes(4, "little")
    path.write_bytes(bytes(data))
    with pytest.raises(StoreVersionError, match="has another version: expected 1, found 7; pack it again"):  # fmt: skip
        ExpertStore.open(path)


def test_other_files_and_no_file_are_refused(tmp_path):
    (tmp_path / "text").write_text("no store, by any means")
    with pytest.raises(StoreFormatError, match="text: this is no store of experts"):
        ExpertStore.open(tmp_path / "text")
    for name in ("missing", "."):
        with pytest.raises(StoreReadError, match="cannot be opened"):
            ExpertStore.open(tmp_path / name)
        with pytest.raises(StoreReadError, match="cannot be opened"):
            verify(tmp_path / name)


def forge(path, change):
    """Change the index and make every checksum fit."""
    data = path.read_bytes()
    end = data.rindex(b'{"facts"')
    index = json.loads(data[end:])
    change(index)
    packed = json.dumps(index).encode()
    path.write_bytes(pack_header(packed, end) + data[BLOCK:end] + packed)


def setter(place, value):
    def change(index):
        index["slabs"][1][place] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (setter(2, 5000), r"slab \(layer 0, expert 1\): the slab starts where none can: expected a multiple of 4096, found 5000"),
        (setter(2, 0), r"slab \(layer 0, expert 1\): the slab starts where none can"),
        (setter(2, 1 << 40), r"slab \(layer 0, expert 1\): the slab has a wrong length"),
        (setter(3, 1 << 20), r"slab \(layer 0, expert 1\): the slab has a wrong length: expected 1 to .* bytes, found 1048576"),
        (setter(3, 0), r"slab \(layer 0, expert 1\): the slab has a wrong length"),
        (setter(3, -1), "malformed"),
        (setter(1, 0), "the index names slabs twice: expected 6, found 5"),
        (setter(0, "a"), "malformed"),
        (setter(5, None), "malformed"),
        (lambda index: index.pop("facts"), "malformed"),
        (lambda index: index["slabs"].append([1]), "malformed"),
        (lambda index: index["slabs"].clear(), "expected at least one slab, found none"),
    ],
)  # fmt: skip
def test_an_index_that_contradicts_itself_is_refused(path, change, message):
    forge(path, change)
    with pytest.raises(StoreFormatError, match=message):
        ExpertStore.open(path)


def test_a_wrong_length_with_a_place_inside_the_file_is_a_wrong_checksum(path):
    forge(path, setter(3, LENGTH - 1))
    with (
        ExpertStore.open(path) as store,
        pytest.raises(ChecksumError, match=r"\(layer 0, expert 1\)"),
    ):
        store.get(0, 1)


def test_a_check_names_all_damaged_slabs(path):
    for key in ((0, 1), (1, 0)):
        flip(path, places(path)[key].offset + 9)
    report = verify(path)
    assert not report.sound
    assert [error.slab for error in report.damaged] == [(0, 1), (1, 0)]


def test_the_checksum_is_that_of_zlib_and_errors_are_the_suite_s_own(path):
    for key, place in places(path).items():
        assert place == Slab(
            *key, place.offset, LENGTH, zlib.crc32(slab(key).tobytes()), {"rows": 4}
        )
    assert issubclass(StoreError, ArtifactError)
