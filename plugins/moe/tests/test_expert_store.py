from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugins.moe.tests.demo_store import BLOCK, DATA, KEYS, LAYERS, MODES, ROOM, write

from tropism_moe.expert_store import ExpertStore
from tropism_moe.store_errors import BudgetError


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("store") / "demo.moe")


class Plain:
    """The rule, slowly: which slabs are in memory after a sequence of requests without prefetches."""

    def __init__(self, count):
        self.count, self.held, self.hits = count, OrderedDict(), 0

    def get(self, key):
        if key in self.held:
            self.hits += 1
            self.held.move_to_end(key)
            return
        if len(self.held) == self.count:
            self.held.popitem(last=False)
        self.held[key] = None


# --- the same bytes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_gives_the_bytes_that_were_written_and_what_was_noted(path, mode):
    with ExpertStore.open(path, mode, 20 * ROOM) as store:
        assert store.facts == {"model": "demo", "width": 8}
        assert list(store.slabs) == KEYS
        for key in KEYS:
            found = store.get(*key)
            assert found.dtype == np.uint8
            assert not found.flags.writeable
            assert found.ctypes.data % BLOCK == 0
            assert np.array_equal(found, DATA[key])
            assert store.slabs[key].meta == {"rows": key[0], "scale": 0.5}


@given(st.data())
@settings(deadline=None, max_examples=40, derandomize=True)
def test_any_sequence_of_requests_and_prefetches_gives_the_same_bytes_in_every_mode(data):
    keys = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), min_size=1, max_size=12, unique=True))  # fmt: skip
    lengths = data.draw(st.lists(st.integers(1, 3 * BLOCK), min_size=len(keys), max_size=len(keys)))
    rng = np.random.default_rng(1)
    slabs = {k: rng.bytes(n) for k, n in zip(keys, lengths, strict=True)}
    some = st.lists(st.sampled_from(keys), max_size=6)
    steps = data.draw(st.lists(st.tuples(some, st.booleans(), st.sampled_from(keys)), max_size=25))
    budget = data.draw(st.integers(2, 6)) * 3 * BLOCK
    with tempfile.TemporaryDirectory() as work:
        path = write(Path(work) / "x", slabs)
        for mode in MODES:
            with ExpertStore.open(path, mode, None if mode == "resident" else budget) as store:
                for ahead, more, key in steps:
                    if ahead:
                        store.prefetch(ahead, more)
                    assert store.get(*key).tobytes() == slabs[key]
                assert store.stats.requests == len(steps)


def test_slabs_are_aligned_and_nothing_is_pickled(path):
    raw = path.read_bytes()
    with ExpertStore.open(path) as store:
        for key, slab in store.slabs.items():
            assert slab.offset % BLOCK == 0
            assert raw[slab.offset :][: slab.length] == DATA[key].tobytes()
    index = json.loads(raw[raw.rindex(b'{"facts"') :])
    assert len(index["slabs"]) == len(KEYS)


def test_the_same_slabs_make_the_same_file(path, tmp_path):
    assert write(tmp_path / "again").read_bytes() == path.read_bytes()


# --- what is kept -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["mmap", "ring"])
@given(st.lists(st.sampled_from(KEYS), max_size=60), st.integers(2, 7))
@settings(deadline=None, max_examples=25, derandomize=True)
def test_the_least_recently_used_slabs_leave_as_in_the_plain_rule(mode, path, requests, count):
    plain = Plain(count)
    with ExpertStore.open(path, mode, count * ROOM) as store:
        for key in requests:
            plain.get(key)
            store.get(*key)
            held = {k for k in KEYS if store.resident(k[0])[k[1]]}
            assert held == set(plain.held)
        assert store.stats.hits == plain.hits
        assert store.stats.misses == store.stats.prefetch_misses == len(requests) - plain.hits
        assert store.stats.evictions == store.stats.misses - len(plain.held)
        assert store.stats.bytes_read == store.stats.misses * ROOM


def test_what_is_in_memory_depends_on_the_requests_and_not_on_the_disk(path, monkeypatch):
    """Nor on who reads: the first one has compiled readers, the others such as run Python."""
    rng = np.random.default_rng(3)
    steps = [
        ([KEYS[i] for i in rng.integers(0, 15, 3)], n % 4 > 0, KEYS[rng.integers(0, 15)])
        for n in range(80)
    ]

    def history(mode):
        seen = []
        with ExpertStore.open(path, mode, 5 * ROOM) as store:
            for ahead, more, key in steps:
                store.prefetch(ahead, more)
                seen.append([store.resident(layer).tolist() for layer in range(LAYERS)])
                store.get(*key)
                seen.append([store.resident(layer).tolist() for layer in range(LAYERS)])
            stats = store.stats
        return seen, stats.hits, stats.prefetch_hits, stats.prefetch_misses

    swift = history("ring")
    slow, plain = np.random.default_rng(4), os.preadv

    def late(*args):
        time.sleep(slow.choice([0, 0.002]))
        return plain(*args)

    monkeypatch.setattr(os, "preadv", late)
    monkeypatch.setattr("tropism_moe.store_serve.AVAILABLE", False)
    assert history("ring") == swift
    assert history("mmap") == swift
    assert swift[2] > 0


@pytest.mark.usefixtures("interpreted")
def test_several_slabs_are_read_at_the_same_time(path, monkeypatch):
    meeting, plain = threading.Barrier(2), os.preadv

    def together(*args):
        meeting.wait(20)  # breaks, and the read fails, if nobody else reads meanwhile
        return plain(*args)

    with ExpertStore.open(path, "ring", 8 * ROOM) as store:
        monkeypatch.setattr(os, "preadv", together)
        store.prefetch(KEYS[:4])
        for key in KEYS[:4]:
            assert np.array_equal(store.get(*key), DATA[key])


def test_an_array_in_use_is_never_overwritten_and_counts_against_the_budget(path):
    with ExpertStore.open(path, "ring", 3 * ROOM) as store:
        mine = {key: store.get(*key)[10:20] for key in KEYS[:3]}
        with pytest.raises(BudgetError, match=f"budget_bytes={3 * ROOM} is too small: arrays that are still in use"):  # fmt: skip
            store.get(*KEYS[3])
        del mine[KEYS[1]]
        for key in KEYS[3:]:
            assert np.array_equal(store.get(*key), DATA[key])
        for key, part in mine.items():
            assert np.array_equal(part, DATA[key][10:20])
        assert store.resident(0)[0]


@pytest.mark.parametrize("mode", MODES)
def test_arrays_outlive_the_store(path, mode):
    with ExpertStore.open(path, mode, 20 * ROOM) as store:
        mine = [store.get(*key) for key in KEYS]
    assert all(np.array_equal(a, DATA[key]) for a, key in zip(mine, KEYS, strict=True))
