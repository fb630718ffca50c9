from __future__ import annotations

import mmap
import os
import sys

import numpy as np
import pytest
from plugins.moe.tests.demo_store import DATA, KEYS, MODES, ROOM, child, flags_of, write

from tropism_moe.expert_store import ExpertStore
from tropism_moe.store_writer import StoreWriter


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("store") / "demo.moe")


def can_be_direct(path):
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return False
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="O_DIRECT and /proc are Linux's")
def test_a_ring_reads_past_the_page_cache_and_the_other_modes_do_not(path):
    for mode in MODES:
        with ExpertStore.open(path, mode, 20 * ROOM) as store:
            direct = [bool(flag & os.O_DIRECT) for flag in flags_of(path)]
            assert any(direct) == store.stats.direct_io == (mode == "ring" and can_be_direct(path))


@pytest.mark.skipif(sys.platform != "linux", reason="O_DIRECT is Linux's")
@pytest.mark.parametrize("refused", ["when asked", "when tried"])
def test_where_direct_reads_are_refused_the_ring_reads_as_usual_and_gives_the_pages_back(
    path, monkeypatch, refused
):
    import fcntl

    plain, read, dropped = fcntl.fcntl, os.preadv, []

    def no_direct(file, command, *rest):
        if refused == "when asked" and rest and rest[0] & os.O_DIRECT:
            raise OSError(22, "Invalid argument")
        return plain(file, command, *rest)

    def no_read(file, *rest):
        if plain(file, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(22, "Invalid argument")
        return read(file, *rest)

    monkeypatch.setattr(fcntl, "fcntl", no_direct)
    monkeypatch.setattr(os, "preadv", no_read)
    monkeypatch.setattr(os, "posix_fadvise", lambda *args: dropped.append(args[1:]))
    with ExpertStore.open(path, "ring", 3 * ROOM) as store:
        assert not store.stats.direct_io
        for key in KEYS:
            assert np.array_equal(store.get(*key), DATA[key])
        pages = [(s.offset, s.padded, os.POSIX_FADV_DONTNEED) for s in store.slabs.values()]
    assert dropped == pages


@pytest.mark.skipif(sys.platform != "linux", reason="advice is Linux's")
def test_a_mapped_store_asks_for_whole_slabs_and_gives_back_those_that_leave(path, monkeypatch):
    said = []

    class Noted(mmap.mmap):
        def madvise(self, *advice):
            said.append(advice[:2])
            super().madvise(*advice)

    monkeypatch.setattr(mmap, "mmap", Noted)
    with ExpertStore.open(path, "mmap", 2 * ROOM) as store:
        for key in KEYS[:4]:
            store.get(*key)
        at = [store.slabs[key].offset for key in KEYS]
    wanted, left = mmap.MADV_WILLNEED, mmap.MADV_DONTNEED
    assert said == [(wanted, at[0]), (wanted, at[1]), (left, at[0]), (wanted, at[2]), (left, at[1]), (wanted, at[3])]  # fmt: skip


GROWTH = """
import sys
from pathlib import Path
from tropism_moe.expert_store import ExpertStore
path, mode, budget = sys.argv[1], sys.argv[2], int(sys.argv[3])
def status():
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return [int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "RssAnon")]
before = most = status()
with ExpertStore.open(path, mode, budget or None) as store:
    for order in (list(store.slabs), list(store.slabs)[::-1]):
        store.prefetch(order)
        for key in order:
            assert store.get(*key)[-1] == key[1]
            most = [max(pair) for pair in zip(most, status())]
print(*(b - a for a, b in zip(before, most)))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A store of 64 MiB."""
    path, slab = tmp_path_factory.mktemp("large") / "large.moe", np.zeros(1 << 19, np.uint8)
    with StoreWriter(path, {}) as writer:
        for expert in range(128):
            slab[:] = expert
            writer.add(0, expert, slab)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_grows_by_the_budget_while_four_times_as_much_is_read(large):
    budget, slack = 16 << 20, 6 << 20
    growth = {
        m: [int(x) for x in child(GROWTH, large, m, budget).split()] for m in ("mmap", "ring")
    }
    whole, _ = (int(x) for x in child(GROWTH, large, "resident", 0).split())
    assert budget / 2 < growth["ring"][0] <= budget + slack
    assert growth["mmap"][1] <= slack  # nothing of it is anonymous
    assert growth["mmap"][0] <= budget + slack + 128 * (64 << 10)  # the kernel maps 64 KiB around a fault  # fmt: skip
    assert whole > 63 << 20  # the measurement sees what is not bounded
