from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism.errors import ArtifactError, OptionError
from tropism_moe.expert_store import ExpertStore, verify
from tropism_moe.store_errors import (
    ChecksumError,
    StoreError,
    StoreFormatError,
    StoreReadError,
    StoreTruncatedError,
    StoreVersionError,
    StoreWriteError,
)
from tropism_moe.store_format import Slab, pack_header, read_index
from tropism_moe.store_writer import StoreWriter

if sys.platform == "win32":
    pytest.skip("files are read at offsets (os.preadv)", allow_module_level=True)

MODES = ("mmap", "resident", "ring")
BLOCK, LENGTH, BUDGET = 4096, 5000, 20 * 8192
KEYS = [(layer, expert) for layer in range(2) for expert in range(3)]


def slab(key, version=0):
    return np.random.default_rng([*key, version]).integers(0, 256, LENGTH, dtype=np.uint8)


def write(path, version=0, keys=KEYS):
    with StoreWriter(path, {"version": version}) as writer:
        for key in keys:
            writer.add(key[0], key[1], slab(key, version), {"rows": 4})
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "demo.moe")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The bytes of a sound store."""
    return write(tmp_path_factory.mktemp("sound") / "demo.moe").read_bytes()


def places(path):
    with open(path, "rb", buffering=0) as file:
        return read_index(file, path).slabs


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(bytes(data))


def read_everything(path, mode, budget=BUDGET):
    with ExpertStore.open(path, mode, budget) as store:
        store.prefetch(KEYS)
        return {key: store.get(*key).copy() for key in KEYS}


# --- damage -----------------------------------------------------------------------------------------------------------


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


# --- faults while a store is open -------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("mode", ["mmap", "ring"])
def test_a_file_that_becomes_shorter_is_an_error_and_no_crash(path, mode):
    with ExpertStore.open(path, mode, BUDGET) as store:
        size = store.slabs[1, 1].offset + 100
        store.get(0, 0)
        os.truncate(path, size)
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


# --- writing ----------------------------------------------------------------------------------------------------------


def test_a_writer_holds_no_more_than_the_slab_it_is_given(tmp_path):
    with StoreWriter(tmp_path / "x", {}) as writer:
        for expert in range(4):
            writer.add(0, expert, bytes(BLOCK))
            (work,) = tmp_path.iterdir()
            assert work.name.startswith(".tmp-")
            assert work.stat().st_size == (2 + expert) * BLOCK
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def bad_layer(writer):
    writer.add(-1, 0, b"x")


def twice(writer):
    writer.add(0, 0, b"x")
    writer.add(0, 0, b"y")


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (bad_layer, r"slab \(layer -1, expert 0\) is out of range"),
        (twice, r"slab \(layer 0, expert 0\) was added before"),
        (lambda w: w.add(0, 0, b""), r"slab \(layer 0, expert 0\) has 0 bytes, at least 1"),
        (lambda w: w.add(0, 0, np.ones((4, 4))[:, ::2]), "must be contiguous bytes, ndarray is not"),
        (lambda w: w.add(0, 0, 7), "must be contiguous bytes, int is not"),
        (lambda w: w.add(0, 0, b"x", {"scale": np.float32(1)}), r"meta of slab \(layer 0, expert 0\) must be JSON values"),
        (lambda w: w.add(0, 0, b"x", {"scale": float("nan")}), "must be JSON values"),
        (lambda w: None, "a store needs at least one slab"),
    ],
)  # fmt: skip
def test_what_makes_no_store_is_refused_and_the_old_one_stays(path, act, message):
    with pytest.raises(OptionError, match=message), StoreWriter(path, {}) as writer:
        act(writer)
    only_the_old_one(path)


def only_the_old_one(path):
    assert [file.name for file in path.parent.iterdir()] == ["demo.moe"]
    for key, data in read_everything(path, "mmap").items():
        assert np.array_equal(data, slab(key))


def test_facts_and_use_outside_of_with_are_checked(tmp_path):
    with pytest.raises(OptionError, match="facts must be JSON values"):
        StoreWriter(tmp_path / "x", {"set": {1}})
    with pytest.raises(OptionError, match="the writer is not open"):
        StoreWriter(tmp_path / "x", {}).add(0, 0, b"x")


def test_an_error_of_the_caller_leaves_the_old_store(path):
    def stops():
        with StoreWriter(path, {}) as writer:
            writer.add(0, 0, b"x")
            raise KeyError

    with pytest.raises(KeyError):
        stops()
    only_the_old_one(path)


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreWriteError, match="none/x: writing failed"), StoreWriter(tmp_path / "none" / "x", {}):  # fmt: skip
        pass


class Full:
    """A file on a disk with room for ``room`` bytes, which takes at most 3000 at a time."""

    def __init__(self, file, room):
        self._file, self._room = file, room

    def write(self, data):
        if not self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        got = self._file.write(data[: min(3000, self._room)])
        self._room -= got
        return got

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.mark.parametrize("room", [0, 100, BLOCK, BLOCK + 4000, 3 * BLOCK + 10, 7 * 2 * BLOCK - BLOCK, 13 * BLOCK + 80])  # fmt: skip
def test_a_full_disk_is_an_error_that_names_file_and_slab_and_leaves_nothing(
    path, monkeypatch, room
):
    import builtins

    plain = builtins.open
    monkeypatch.setattr("tropism_moe.store_writer.open", lambda *a, **k: Full(plain(*a, **k), room), raising=False)  # fmt: skip
    within = BLOCK <= room < 13 * BLOCK
    message = r"demo.moe, slab \(layer \d, expert \d\): " if within else "demo.moe: "
    with pytest.raises(StoreWriteError, match=message + r"writing failed after \d+ bytes \(No space left on device\); make room") as caught:  # fmt: skip
        write(path, version=1)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    monkeypatch.undo()
    only_the_old_one(path)


def test_a_disk_that_takes_little_at_a_time_gets_all(path, monkeypatch):
    import builtins

    plain, expected = builtins.open, path.read_bytes()
    monkeypatch.setattr("tropism_moe.store_writer.open", lambda *a, **k: Full(plain(*a, **k), 1 << 30), raising=False)  # fmt: skip
    assert write(path).read_bytes() == expected


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_at_the_very_end_leaves_the_old_store(path, monkeypatch, call):
    def fails(*_):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        with pytest.raises(StoreWriteError, match="Disk quota exceeded"):
            write(path, version=1)
    only_the_old_one(path)


WRITER = """
import os, resource, signal, sys
import numpy as np
from tropism_moe.store_errors import StoreWriteError
from tropism_moe.store_writer import StoreWriter
path, what, when = sys.argv[1], sys.argv[2], int(sys.argv[3])
if what == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (when, when))
count = 0
def dies(function):
    def call(*args):
        global count
        count += 1
        if count == when:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args)
    return call
if what == "kill":
    StoreWriter._write = dies(StoreWriter._write)
    os.fsync, os.replace = dies(os.fsync), dies(os.replace)
    StoreWriter._give_up = dies(StoreWriter._give_up)
print("go", flush=True)
while True:
    try:
        with StoreWriter(path, {"version": 1}) as writer:
            for layer in range(2):
                for expert in range(3):
                    rng = np.random.default_rng([layer, expert, 1])
                    writer.add(layer, expert, rng.integers(0, 256, 5000, dtype=np.uint8), {"rows": 4})
    except StoreWriteError as error:
        print(error)
    if what != "loop":
        break
"""


def writer(path, what, when):
    command = [sys.executable, "-c", WRITER, str(path), what, str(when)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_limit_on_the_size_of_files_is_met_like_a_full_disk(path):
    told, _ = writer(path, "limit", 20000).communicate(timeout=60)
    assert "demo.moe, slab (layer 0, expert 1): writing failed after 12288 bytes (File too large)" in told  # fmt: skip
    only_the_old_one(path)


# 1 block, 6 slabs with their zeros, index and header are 15 writes; then fsync, replace, fsync of the directory, removal
@pytest.mark.parametrize("when", [1, 2, 9, 14, 15, 16, 17, 18, 19])
@pytest.mark.parametrize("old", [True, False])
def test_a_writer_that_is_killed_leaves_the_old_store_or_none_or_the_whole_new_one(
    tmp_path, when, old
):
    path = tmp_path / "demo.moe"
    if old:
        write(path)
    process = writer(path, "kill", when)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    finished = when > 17
    if finished or old:
        assert verify(path).sound
        for key, data in read_everything(path, "ring").items():
            assert np.array_equal(data, slab(key, int(finished)))
    else:
        assert not path.exists()
    others = [file for file in tmp_path.iterdir() if file != path]
    assert all(file.name.startswith(".tmp-") for file in others)


def test_a_writer_that_is_killed_at_any_time_leaves_a_sound_store(path):
    rng = np.random.default_rng(0)
    for _ in range(4):
        process = writer(path, "loop", 0)
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        try:
            process.wait(rng.uniform(0, 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert verify(path).sound
        found = read_everything(path, "mmap")
        with ExpertStore.open(path) as store:
            version = store.facts["version"]
        assert all(np.array_equal(data, slab(key, version)) for key, data in found.items())


def test_the_checksum_is_that_of_zlib_and_errors_are_the_suite_s_own(path):
    for key, place in places(path).items():
        assert place == Slab(
            *key, place.offset, LENGTH, zlib.crc32(slab(key).tobytes()), {"rows": 4}
        )
    assert issubclass(StoreError, ArtifactError)
