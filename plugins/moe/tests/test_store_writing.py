from __future__ import annotations

import errno
import os
import signal
import subprocess

import numpy as np
import pytest
from plugins.moe.tests.versioned_store import BLOCK, read_everything, slab, write, writer

from tropism.errors import OptionError
from tropism_moe.expert_store import ExpertStore, verify
from tropism_moe.store_errors import (
    StoreWriteError,
)
from tropism_moe.store_writer import StoreWriter


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "demo.moe")


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
