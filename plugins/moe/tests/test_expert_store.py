from __future__ import annotations

import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism.errors import ArtifactError, OptionError
from tropism_moe.expert_store import ExpertStore, verify
from tropism_moe.store_errors import BudgetError, MissingSlabError, StoreClosedError
from tropism_moe.store_ring import Arena
from tropism_moe.store_writer import StoreWriter

if sys.platform == "win32":
    pytest.skip("files are read at offsets (os.preadv)", allow_module_level=True)

MODES = ("mmap", "resident", "ring")
BLOCK, LAYERS, EXPERTS, LENGTH = 4096, 3, 5, 9000
ROOM = 3 * BLOCK
"""What a slab of LENGTH bytes takes."""
KEYS = [(layer, expert) for layer in range(LAYERS) for expert in range(EXPERTS)]


def contents(keys=KEYS, length=LENGTH):
    rng = np.random.default_rng(7)
    return {key: rng.integers(0, 256, length, dtype=np.uint8) for key in keys}


DATA = contents()


def write(path, data=DATA, facts=None):
    with StoreWriter(path, facts or {"model": "demo", "width": 8}) as writer:
        for (layer, expert), slab in data.items():
            writer.add(layer, expert, slab, {"rows": layer, "scale": 0.5})
    return path


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


def child(code, *args):
    """Standard output of a Python program."""
    command = [sys.executable, "-c", code, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


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
    steps = data.draw(st.lists(st.tuples(some, st.sampled_from(keys)), max_size=25))
    budget = data.draw(st.integers(2, 6)) * 3 * BLOCK
    with tempfile.TemporaryDirectory() as work:
        path = write(Path(work) / "x", slabs)
        for mode in MODES:
            with ExpertStore.open(path, mode, None if mode == "resident" else budget) as store:
                for ahead, key in steps:
                    if ahead:
                        store.prefetch(ahead)
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
    rng = np.random.default_rng(3)
    steps = [([KEYS[i] for i in rng.integers(0, 15, 3)], KEYS[rng.integers(0, 15)]) for _ in range(60)]  # fmt: skip

    def history(mode):
        seen = []
        with ExpertStore.open(path, mode, 5 * ROOM) as store:
            for ahead, key in steps:
                store.prefetch(ahead)
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
    assert history("ring") == swift
    assert history("mmap") == swift
    assert swift[2] > 0


def test_what_was_announced_is_read_before_it_is_asked_for(path):
    with ExpertStore.open(path, "ring", 4 * ROOM) as store:
        store.prefetch(KEYS[:6])  # of which four have room
        until = time.monotonic() + 20
        while store.stats.bytes_read < 4 * ROOM:
            assert time.monotonic() < until
            time.sleep(0.001)
        assert [store.resident(0).sum(), store.resident(1).sum()] == [4, 0]
        for key in KEYS[:6]:
            assert np.array_equal(store.get(*key), DATA[key])
        assert (store.stats.prefetch_hits, store.stats.prefetch_misses, store.stats.hits) == (6, 0, 0)  # fmt: skip
        store.prefetch(KEYS[5:6])
        store.get(*KEYS[5])
        store.get(*KEYS[9])
        assert (store.stats.prefetch_hits, store.stats.prefetch_misses, store.stats.hits) == (6, 1, 1)  # fmt: skip


@pytest.mark.parametrize("mode", ["mmap", "ring"])
def test_a_new_announcement_replaces_one_that_came_to_nothing(path, mode):
    with ExpertStore.open(path, mode, 3 * ROOM) as store:
        for start in range(0, 12, 3):
            store.prefetch(KEYS[start : start + 3])  # fills the budget, and is never asked for
            held = [key for key in KEYS if store.resident(key[0])[key[1]]]
            assert held == KEYS[start : start + 3]
        for key in KEYS:
            assert np.array_equal(store.get(*key), DATA[key])


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


# --- transforms -------------------------------------------------------------------------------------------------------


def widen(data, meta):
    """Four times the bytes, in two parts."""
    return data.astype(np.uint16) + meta["rows"], data.astype(np.uint16)


@pytest.mark.parametrize("mode", MODES)
def test_what_a_transform_makes_is_kept_instead_and_counted(path, mode):
    calls, made = [], 4 * LENGTH

    def transform(data, meta):
        calls.append(None)
        return widen(data, meta)

    with ExpertStore.open(path, mode, 15 * made, transform) as store:
        begun = len(calls)
        for _ in range(2):
            for key in KEYS:
                sums, plain = store.get(*key)
                assert np.array_equal(plain, DATA[key])
                assert np.array_equal(sums, DATA[key].astype(np.uint16) + key[0])
        held = store._fetcher.cache.held
        assert held <= 15 * made
    if mode == "mmap":  # where all results fit beside nothing else
        assert (len(calls) - begun, held) == (15, 15 * made)
    if mode == "ring":  # where buffers to read into take their part
        assert len(calls) - begun > 15


def test_a_ring_with_a_transform_keeps_within_the_budget_whatever_is_in_flight(path, monkeypatch):
    budget, made, most, lock, now = 12 * ROOM, 4 * LENGTH, [0], threading.Lock(), [0]
    plain = os.preadv

    def counted(*args):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        try:
            return plain(*args)
        finally:
            with lock:
                now[0] -= 1

    with ExpertStore.open(path, "ring", budget, widen) as store:
        monkeypatch.setattr(os, "preadv", counted)
        for _ in range(2):
            store.prefetch(KEYS)
            for key in KEYS:
                assert np.array_equal(store.get(*key)[1], DATA[key])
                assert store._fetcher.cache.held + most[0] * ROOM <= budget
        assert store._fetcher.cache.held >= 2 * made
        assert most[0] >= 1


def test_what_was_asked_for_last_stays_while_others_are_read_ahead(path):
    with ExpertStore.open(path, "mmap", 2 * LENGTH, lambda data, meta: data.copy()) as store:
        store.get(*KEYS[0])
        store.prefetch(KEYS[1:3])
        assert store.resident(0).tolist() == [True, True, False, False, False]
        store.get(*KEYS[1])
        assert store.resident(0).tolist() == [False, True, True, False, False]


@pytest.mark.parametrize("ahead", [False, True])
def test_a_result_that_is_smaller_than_others_takes_no_more_than_it_is(tmp_path, ahead):
    data = {(0, 0): DATA[0, 0], **{(0, n): DATA[0, 0][:100] for n in range(1, 12)}}
    path = write(tmp_path / "x", data)
    with ExpertStore.open(path, "mmap", 2 * LENGTH, lambda data, meta: data.copy()) as store:
        for key in data:
            if ahead:
                store.prefetch([key])
            store.get(*key)
        assert store.resident(0)[1:].all()


def test_a_result_that_is_larger_than_was_foreseen_makes_others_leave(path):
    def grows(data, meta):
        return np.zeros(LENGTH * (1 + meta["rows"]), np.uint8)  # the first slab is tried

    with ExpertStore.open(path, "mmap", 6 * LENGTH, grows) as store:
        for key in KEYS:
            assert len(store.get(*key)) == LENGTH * (1 + key[0])
            assert store._fetcher.cache.held <= 6 * LENGTH


def test_a_transform_that_lends_its_input_on_is_not_overwritten(path):
    with ExpertStore.open(path, "ring", 20 * ROOM, lambda data, meta: data[1:]) as store:
        mine = {key: store.get(*key) for key in KEYS}
        for key, value in mine.items():
            assert np.array_equal(value, DATA[key][1:])


def test_what_a_transform_raises_in_a_reader_reaches_the_caller(path):
    def fails(data, meta):
        if meta["rows"] == 1:
            raise ZeroDivisionError("no")
        return data.copy()

    with ExpertStore.open(path, "ring", 20 * ROOM, fails) as store:
        store.prefetch(KEYS)
        assert np.array_equal(store.get(0, 0), DATA[0, 0])
        for _ in range(2):  # asked for again, it is tried again
            with pytest.raises(ZeroDivisionError):
                store.get(1, 0)
        assert np.array_equal(store.get(2, 0), DATA[2, 0])


# --- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "disk"}, "mode='disk' must be one of 'mmap', 'resident', 'ring'"),
        ({"mode": "ring"}, "mode='ring' needs budget_bytes"),
        ({"budget_bytes": 0}, "budget_bytes must be an integer >= 1, got 0"),
        ({"budget_bytes": 1e9}, "budget_bytes must be an integer >= 1, got 1000000000.0"),
        ({"readers": 0}, "readers must be an integer >= 1, got 0"),
    ],
)
def test_options_out_of_range_are_refused_by_name(path, options, message):
    with pytest.raises(OptionError, match=message):
        ExpertStore.open(path, **options)


@pytest.mark.parametrize(
    ("mode", "need", "transform"),
    [
        ("mmap", 2 * ROOM, None),
        ("ring", 2 * ROOM, None),
        ("resident", 15 * ROOM, None),
        ("mmap", 2 * 4 * LENGTH, widen),
        ("ring", 2 * (4 * LENGTH + ROOM), widen),
        ("resident", 15 * 4 * LENGTH, widen),
    ],
)
def test_a_budget_that_is_one_byte_short_is_refused_and_the_one_named_is_enough(
    path, mode, need, transform
):
    with pytest.raises(BudgetError, match=f"{need - 1} is too small.*takes {need} bytes") as caught:
        ExpertStore.open(path, mode, need - 1, transform)
    assert (caught.value.budget, caught.value.need) == (need - 1, need)
    with ExpertStore.open(path, mode, need, transform) as store:
        store.prefetch(KEYS)
        for key in KEYS:
            found = store.get(*key)
            assert np.array_equal(found if transform is None else found[1], DATA[key])


def test_memory_that_cannot_be_had_is_refused_with_what_to_do():
    with pytest.raises(OptionError, match=r"bytes of memory for slabs cannot be had .*mode='mmap'"):
        Arena(1 << 60)


@pytest.mark.parametrize("ask", [lambda s: s.get(9, 1), lambda s: s.prefetch([(0, 1), (9, 1)]), lambda s: s.resident(9)])  # fmt: skip
def test_a_slab_that_is_not_there_is_named(path, ask):
    with (
        ExpertStore.open(path) as store,
        pytest.raises(
            MissingSlabError,
            match=r"demo.moe, slab \(layer 9, expert [01]\): there is no such slab: expected layers 0 to 2, experts 0 to 4, found none",
        ),  # fmt: skip
    ):
        ask(store)


# --- where the bytes come from ----------------------------------------------------------------------------------------


def flags_of(path):
    """Flags of every descriptor of this process on ``path``."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        if link.is_symlink() and os.path.realpath(link) == os.path.realpath(path):
            text = Path(f"/proc/self/fdinfo/{link.name}").read_text()
            found.append(int(text.split("flags:")[1].split()[0], 8))
    return found


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


# --- closing, stopping, checking --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_closed_store_says_so_and_leaves_no_thread_and_no_file(tmp_path, mode):
    path = write(tmp_path / "mine.moe")
    store = ExpertStore.open(path, mode, 20 * ROOM)
    store.prefetch(KEYS)
    store.get(0, 0)
    store.close()
    store.close()
    for ask in (lambda: store.get(0, 0), lambda: store.prefetch([])):
        with pytest.raises(StoreClosedError, match="the store is closed; open it again"):
            ask()
    assert not [t for t in threading.enumerate() if t.name.startswith("tropism-moe")]
    assert sys.platform != "linux" or not flags_of(path)


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
    entry = store._fetcher.cache.find(KEYS[2])
    assert entry is not None
    job = entry.job  # what a request would wait for
    assert job is not None
    closing = threading.Thread(target=store.close, daemon=True)
    closing.start()
    until = time.monotonic() + 20
    while not store._fetcher._closed:
        assert time.monotonic() < until
        time.sleep(0.001)
    go.set()
    closing.join(20)
    assert not closing.is_alive()
    with pytest.raises(StoreClosedError):
        job.result()


INTERRUPTED = """
import os, signal, sys, threading, time
from tropism_moe.expert_store import ExpertStore
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


def test_an_interrupt_at_any_time_leaves_a_store_that_works(path):
    assert int(child(INTERRUPTED, path, 4 * ROOM)) >= 10


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


def test_a_check_reads_everything_and_reports_how_far_it_is(path):
    steps = []
    report = verify(path, lambda done, total: steps.append((done, total)))
    assert (report.path, report.slabs, report.nbytes, report.damaged) == (str(path), 15, 15 * LENGTH, ())  # fmt: skip
    assert report.sound
    assert steps == [(done, 15) for done in range(1, 16)]


def test_errors_are_the_suite_s_own():
    assert issubclass(MissingSlabError, ArtifactError)
    assert issubclass(BudgetError, OptionError)
