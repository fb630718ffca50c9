from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from plugins.moe.tests.demo_store import DATA, KEYS, MODES, ROOM, child, flags_of, write

from tropism_moe.expert_store import ExpertStore
from tropism_moe.store_errors import StoreClosedError


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("store") / "demo.moe")


def in_thread(work, seconds=20):
    """Result of ``work()``, which must be there in time."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it hangs"
    return found[0]


@pytest.mark.usefixtures("readers")
@pytest.mark.parametrize("mode", MODES)
def test_a_closed_store_says_so_and_leaves_no_thread_and_no_file(tmp_path, mode):
    path, before = write(tmp_path / "mine.moe"), set(threading.enumerate())
    store = ExpertStore.open(path, mode, 20 * ROOM)
    store.prefetch(KEYS)
    store.get(0, 0)
    store.close()
    store.close()
    for ask in (lambda: store.get(0, 0), lambda: store.prefetch([])):
        with pytest.raises(StoreClosedError, match="the store is closed; open it again"):
            ask()
    mine = set(threading.enumerate()) - before
    assert not [t for t in mine if t.name.startswith("tropism-moe")]
    assert sys.platform != "linux" or not flags_of(path)


@pytest.mark.usefixtures("readers")
def test_closing_in_the_middle_of_reading_does_not_hang(path, monkeypatch):
    plain = os.preadv

    def slow(*args):
        time.sleep(0.02)
        return plain(*args)

    def once(seen):
        store = ExpertStore.open(path, "ring", 12 * ROOM, readers=2)
        monkeypatch.setattr(os, "preadv", slow)
        store.prefetch(KEYS)
        for key in KEYS[:seen]:
            store.get(*key)
        store.close()
        monkeypatch.setattr(os, "preadv", plain)
        return True

    assert all(in_thread(lambda n=n: once(n)) for n in range(4))


@pytest.mark.usefixtures("interpreted")
def test_a_request_that_waits_while_another_thread_closes_ends_with_an_error(path, monkeypatch):
    plain, begun, go = os.preadv, threading.Semaphore(0), threading.Event()

    def held(*args):
        begun.release()
        assert go.wait(20)
        return plain(*args)

    store = ExpertStore.open(path, "ring", 12 * ROOM, readers=1)
    monkeypatch.setattr(os, "preadv", held)
    store.prefetch(KEYS[:3])
    assert begun.acquire(timeout=20)
    entry = store._fetcher.entries[KEYS[2]]
    assert entry.here
    closing = threading.Thread(target=store.close, daemon=True)
    closing.start()
    until = time.monotonic() + 20
    while not store._fetcher._closed:
        assert time.monotonic() < until
        time.sleep(0.001)
    go.set()
    closing.join(20)
    assert not closing.is_alive()
    with pytest.raises(StoreClosedError):  # as a request that had found the entry before
        store._fetcher._await(entry)


INTERRUPTED = """
import os, signal, sys, threading, time
from tropism_moe import store_serve
from tropism_moe.expert_store import ExpertStore
store_serve.AVAILABLE &= sys.argv[3] == "compiled"
with ExpertStore.open(sys.argv[1], "ring", int(sys.argv[2])) as store:
    stops, total = 0, {key: store.get(*key).tobytes() for key in store.slabs}
    main = threading.main_thread().ident
    def disturb():
        for _ in range(30):
            time.sleep(0.005)
            signal.pthread_kill(main, signal.SIGINT)
    thread = threading.Thread(target=disturb)
    thread.start()
    while thread.is_alive():
        try:
            store.prefetch(total)
            for key, data in total.items():
                assert store.get(*key).tobytes() == data
        except KeyboardInterrupt:
            stops += 1
    thread.join()
    for key, data in total.items():
        assert store.get(*key).tobytes() == data
    print(stops)
"""


@pytest.mark.parametrize("kind", ["compiled", "interpreted"])
def test_an_interrupt_at_any_time_leaves_a_store_that_works(path, kind):
    assert int(child(INTERRUPTED, path, 4 * ROOM, kind)) >= 10


def test_an_interrupted_program_ends_at_once(path, tmp_path):
    code = "import sys\nfrom tropism_moe.expert_store import ExpertStore\nstore = ExpertStore.open(sys.argv[1], 'ring', 50000)\nprint('go', flush=True)\nwhile True:\n    store.prefetch(store.slabs)\n    for key in store.slabs: store.get(*key)\n"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"go\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGINT
    assert b"KeyboardInterrupt" in told


class Stops(OrderedDict):
    """A table at which an interrupt comes, as soon as it has done what was asked."""

    def pop(self, key: Any, default: Any = None) -> Any:
        super().pop(key, default)
        raise KeyboardInterrupt

    def values(self) -> Any:
        yield next(iter(super().values()))
        raise KeyboardInterrupt


@pytest.mark.parametrize("early", [False, True])
def test_what_an_interrupt_leaves_behind_can_leave(path, monkeypatch, early):
    """Ctrl-C between two steps of an announcement: what was expected is not any more, and nothing has said so."""
    with ExpertStore.open(path, "ring", 3 * ROOM) as store:
        store.prefetch(KEYS[:3])
        cache = store._fetcher.cache
        if early:
            monkeypatch.setattr(cache, "_order", Stops(cache._order))
        else:
            monkeypatch.setattr(cache, "expect_more", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.prefetch(KEYS[5:7])
        monkeypatch.undo()
        mine = [store.get(*key) for key in KEYS[5:8]]  # all of the memory
        assert all(map(np.array_equal, mine, [DATA[key] for key in KEYS[5:8]]))


@pytest.mark.parametrize("expected", [False, True])
def test_an_interrupted_eviction_takes_no_memory_for_good(path, monkeypatch, expected):
    """Ctrl-C between two steps of it."""
    with ExpertStore.open(path, "ring", 3 * ROOM) as store:
        store.prefetch(KEYS[:3])
        for key in [] if expected else KEYS[:3]:
            store.get(*key)
        cache = store._fetcher.cache
        monkeypatch.setattr(cache, "_leaving", Stops(cache._leaving))
        with pytest.raises(KeyboardInterrupt):
            store.get(*KEYS[3])
        cache._leaving = OrderedDict(cache._leaving)
        if not expected:
            store.get(*KEYS[0])
        mine = [store.get(*key) for key in KEYS[5:8]]  # all of the memory
        assert all(map(np.array_equal, mine, [DATA[key] for key in KEYS[5:8]]))
        assert cache.held == 3 * ROOM


def test_what_comes_when_a_store_was_closed_is_lent_to_nobody(path):
    with ExpertStore.open(path, "ring", 3 * ROOM) as store:
        store.get(*KEYS[0])
        entry, cache = store._fetcher.entries[KEYS[0]], store._fetcher.cache
        loaded = entry.loaded
        store.close()  # as another thread may, while this one waits
        cache.fill(entry, loaded)
        with pytest.raises(StoreClosedError):
            store.get(*KEYS[0])
        assert not store.resident(0).any()
