"""The file of shared memory: private, with a name for seconds only, and nothing left behind."""

import errno
import os
import stat
import subprocess
import sys

import pytest
from tests.bridges.pairs import SPEC

from tropism.bridges.errors import (
    ShmCorrupt,
    ShmUnavailable,
)
from tropism.bridges.transports.shm import region as regions
from tropism.bridges.transports.shm.region import Region
from tropism.bridges.transports.shm.ring import (
    Plan,
)

NONCE = 2**64 - 1
PLAN = Plan.of(SPEC)
HEAD = PLAN.head(SPEC.hash, NONCE)


def test_a_region_is_private_has_its_blocks_and_a_name_for_seconds_only(directory):
    region = Region.create(1 << 16)
    (path,) = directory.iterdir()
    facts = path.stat()
    assert stat.S_IMODE(facts.st_mode) == 0o600
    assert facts.st_blocks * 512 >= 1 << 16
    assert path.name.startswith(f"tropism_br_{os.getpid()}_")
    other = Region.attach(str(path), 1 << 16)
    region.unlink()
    assert list(directory.iterdir()) == []
    region.memory[5] = 77
    assert other.memory[5] == 77
    other.close()
    region.close()
    region.close()


def test_a_region_that_nobody_took_leaves_nothing(directory):
    Region.create(4096).close()
    assert list(directory.iterdir()) == []


def test_a_full_directory_is_said_with_numbers(directory, monkeypatch):
    def full(fd, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ShmUnavailable, match=r"need 12345678 bytes, \d+ are free"):
        Region.create(12_345_678)
    assert list(directory.iterdir()) == []


def test_a_directory_that_does_not_exist_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv(regions.DIRECTORY, str(tmp_path / "none"))
    with pytest.raises(ShmUnavailable, match=regions.DIRECTORY):
        Region.create(4096)


def test_processors_that_reorder_writes_are_not_trusted(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(ShmUnavailable, match="aarch64"):
        Region.create(4096)


def test_only_what_was_offered_is_mapped(directory):
    path = directory / "x"
    path.write_bytes(bytes(4096))
    (directory / "link").symlink_to(path)
    os.mkfifo(directory / "pipe")
    Region.attach(str(path), 4096).close()
    with pytest.raises(ShmCorrupt, match="4096 bytes, not 8192"):
        Region.attach(str(path), 8192)
    for other in ("none", "link", "nul\0"):
        with pytest.raises(ShmUnavailable):
            Region.attach(str(directory / other), 4096)
    with pytest.raises(ShmCorrupt, match="regular"):
        Region.attach(str(directory / "pipe"), 4096)


def test_the_janitor_removes_what_the_dead_left_and_nothing_else(directory):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = {
        "dead": f"tropism_br_{dead.pid}_{'0' * 32}",
        "young": f"tropism_br_{dead.pid}_{'1' * 32}",
        "alive": f"tropism_br_{os.getpid()}_{'0' * 32}",
        "other": f"tropism_br_{dead.pid}_notes",
        "foreign": "psm_12345",
    }
    for name in names.values():
        (directory / name).write_bytes(b"x")
        if name != names["young"]:
            os.utime(directory / name, (0, 0))
    assert regions.sweep(str(directory)) == [names["dead"]]
    left = {path.name for path in directory.iterdir()}
    assert left == set(names.values()) - {names["dead"]}
