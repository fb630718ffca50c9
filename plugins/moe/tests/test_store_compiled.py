"""Readers in compiled code: what only they do, or do otherwise."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugins.moe.tests.demo_store import (
    BLOCK,
    DATA,
    KEYS,
    LENGTH,
    MODES,
    ROOM,
    brought,
    child,
    flags_of,
    write,
)

from tropism.errors import ArtifactError
from tropism_moe import store_aio, store_serve
from tropism_moe.checksum import TABLE
from tropism_moe.expert_store import ExpertStore
from tropism_moe.packed import RECODE, slab_of
from tropism_moe.packing import pack_base3, transcode
from tropism_moe.store_buffers import Pool
from tropism_moe.store_compiled import CompiledReaders, shares
from tropism_moe.store_readers import InterpretedReaders
from tropism_moe.store_writer import StoreWriter

pytestmark = pytest.mark.skipif(not store_serve.AVAILABLE, reason="no carry-less products here")
WIDTH, HIDDEN = 256, 300
HAS_AIO = any(own.context for own in shares(2, True) if not store_aio.close(own))
"""Whether the kernel takes reads here."""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("store") / "demo.moe")


def matrices(seed):
    rng = np.random.default_rng(seed)
    return [rng.integers(-1, 2, shape, np.int8) for shape in ((HIDDEN, WIDTH), (HIDDEN, WIDTH), (WIDTH, HIDDEN))]  # fmt: skip


def write_ternary(path, spoil=lambda key, data, facts: (data, facts)):
    with StoreWriter(path, {}) as writer:
        for n, key in enumerate(KEYS):
            writer.add(*key, *spoil(key, *slab_of(matrices(n), [1.0, 2.0, 3.0])))
    return path


def fill(pipe):
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, bytes(1 << 12))


def until(holds, seconds=20):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("mode", "transform", "kind"),
    [
        ("ring", None, CompiledReaders),
        ("resident", None, CompiledReaders),
        ("ring", RECODE, CompiledReaders),
        ("resident", RECODE, CompiledReaders),
        ("ring", lambda data, meta: data.copy(), InterpretedReaders),
        ("mmap", None, InterpretedReaders),
        ("mmap", RECODE, InterpretedReaders),
    ],
)
def test_compiled_readers_read_into_buffers_what_they_can_bring_about(tmp_path, mode, transform, kind):  # fmt: skip
    with ExpertStore.open(write_ternary(tmp_path / "x"), mode, 1 << 22, transform) as store:
        assert type(store._fetcher._readers) is kind


# --- transcoded -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("readers")
@pytest.mark.parametrize("mode", MODES)
def test_slabs_in_base_3_come_as_they_lie_in_memory(tmp_path, mode):
    path = write_ternary(tmp_path / "x")
    wanted = [slab_of(matrices(n), [1.0, 2.0, 3.0], "2bit")[0] for n in range(len(KEYS))]
    with ExpertStore.open(path, mode, None if mode == "resident" else 1 << 18, RECODE) as store:
        for ahead in (KEYS, []):
            store.prefetch(ahead)
            for key, data in zip(KEYS, wanted, strict=True):
                found = store.get(*key)
                assert found.tobytes() == data
                assert not found.flags.writeable
        assert mode == "resident" or store.stats.prefetch_hits == len(KEYS)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_matrices_of_any_shapes_are_transcoded_as_one_by_one(data):
    columns = st.integers(1, 600) | st.sampled_from([256, 512, 768])  # those of whole blocks, too
    shapes = data.draw(st.lists(st.tuples(st.integers(1, 7), columns), max_size=4))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    codes = [rng.integers(-1, 2, shape, np.int8) for shape in shapes]
    base3 = np.concatenate([np.empty(0, np.uint8), *(pack_base3(c).reshape(-1) for c in codes)])
    wanted = [transcode(pack_base3(c), c.shape).reshape(-1) for c in codes]
    out = np.full(sum(w.size for w in wanted), 255, np.uint8)
    numbers = np.array(shapes, np.int64).reshape(-1)
    assert store_serve.transcode_all(numbers, base3, out)
    assert out.tobytes() == b"".join(w.tobytes() for w in wanted)
    for more in (0, 1, 4096):  # where it lies at the end of what it becomes, as near as can be, too
        start = max(0, out.size - base3.size) + more
        whole = np.full(start + base3.size, 255, np.uint8)
        whole[start:] = base3
        assert store_serve.transcode_all(numbers, whole[start:], whole[: out.size])
        assert whole[: out.size].tobytes() == out.tobytes()
    if base3.size:
        base3[data.draw(st.integers(0, base3.size - 1))] = 243
        assert not store_serve.transcode_all(numbers, base3, out)


def test_a_slab_is_read_to_whole_blocks_from_where_it_becomes_what_it_is_in_memory():
    data, facts = slab_of(matrices(0), [1.0, 2.0, 3.0])
    start = RECODE.start(len(data), facts)
    assert start % BLOCK == 0
    assert 0 <= start + len(data) - RECODE.size(facts) < BLOCK
    assert RECODE.start(len(data) - 1, facts) == 0  # no expert: it stays as it is, and is refused


@pytest.mark.usefixtures("readers")
@pytest.mark.parametrize("announced", [False, True])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data, facts: (b"\xf3" + data[1:], facts), "is 243, expected at most 242"),
        (lambda data, facts: (data[1:], facts), r"in base 3 has \d+ bytes, found \d+: pack the model again"),
        (lambda data, facts: (data, {**facts, "hidden": -HIDDEN, "width": -WIDTH}), r"in base 3 has -?\d+ bytes, found \d+: pack the model again"),
        (lambda data, facts: (data, {**facts, "hidden": 1 << 70}), r"in base 3 has \d+ bytes, found \d+: pack the model again"),
    ],
    ids=["digits", "length", "negative", "shape"],
)  # fmt: skip
def test_a_slab_that_is_no_expert_is_refused_and_the_others_are_read(tmp_path, spoil, message, announced):  # fmt: skip
    def one(key, data, facts):
        return spoil(data, facts) if key == KEYS[1] else (data, facts)

    path = write_ternary(tmp_path / "x", one)
    with ExpertStore.open(path, "ring", 1 << 19, RECODE) as store:
        if announced:
            store.prefetch(KEYS)
        for _ in range(2):
            with pytest.raises(ArtifactError, match=message):
                store.get(*KEYS[1])
        assert store.get(*KEYS[0]).size == RECODE.size(store.slabs[KEYS[0]].meta)


# --- between threads --------------------------------------------------------------------------------------------------


def test_what_was_called_back_is_read_by_nobody(path):
    with ExpertStore.open(path, "ring", 20 * ROOM) as store:
        readers = store._fetcher._readers
        job = readers.job(store.slabs[KEYS[0]], 0)
        job.begin()  # the readers hear of it only when it is flushed
        assert job.take_back()
        readers.flush()
        store.prefetch(KEYS[1:4])
        until(lambda: brought(store) == 3)
        assert readers.desk.states[0] == store_serve.IDLE
        assert job.take_back()


def test_readers_do_not_wait_until_somebody_hears_them(path):
    with ExpertStore.open(path, "ring", 20 * ROOM) as store:
        told = store._fetcher._readers._told
        fill(told.into)
        for _ in range(3):
            store.prefetch(KEYS)
            until(lambda: brought(store) == len(KEYS) or not list(store._fetcher.cache.coming()))
            for key in KEYS:
                assert np.array_equal(store.get(*key), DATA[key])


@pytest.mark.usefixtures("readers")
def test_a_store_that_nobody_has_any_more_leaves_no_thread_and_no_file(tmp_path):
    path, before = write(tmp_path / "mine.moe"), set(threading.enumerate())
    pipes = len(list(Path("/proc/self/fd").iterdir()))
    store = ExpertStore.open(path, "ring", 20 * ROOM)
    store.prefetch(KEYS)
    store.get(0, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of the file, which is right
        del store
        gc.collect()
        until(lambda: not set(threading.enumerate()) - before)
        gc.collect()
    assert not flags_of(path)
    assert len(list(Path("/proc/self/fd").iterdir())) <= pipes


def test_arrays_that_are_kept_and_dropped_at_random_are_never_overwritten(path):
    rng = np.random.default_rng(0)
    with ExpertStore.open(path, "ring", 8 * ROOM) as store:
        mine = {}
        for n in range(600):
            if n % 5 == 0:
                store.prefetch([KEYS[i] for i in rng.integers(0, len(KEYS), 4)])
            key = KEYS[rng.integers(len(KEYS))]
            mine[key] = store.get(*key)
            while len(mine) > 4:
                del mine[list(mine)[rng.integers(len(mine))]]
            for held, array in mine.items():
                assert np.array_equal(array, DATA[held])


def test_a_reader_that_runs_out_of_memory_leaves_the_slab_to_who_asks(path, monkeypatch):
    plain, failed = store_serve.serve, []

    def serve(file, queue, told, desk, *rest):
        if len(failed) < 4:
            hand = rest[-1]
            until(lambda: select.select([queue], [], [], 20)[0])
            assert os.read(queue, store_serve.MESSAGE)
            hand[0], desk.states[3] = 3, store_serve.READING
            failed.append(hand)
            raise MemoryError
        plain(file, queue, told, desk, *rest)

    monkeypatch.setattr(store_serve, "serve", serve)
    with ExpertStore.open(path, "ring", 20 * ROOM, readers=1) as store:
        for _ in range(3):
            store.prefetch(KEYS)
            for key in KEYS:
                assert np.array_equal(store.get(*key), DATA[key])
    assert len(failed) == 4


def test_what_has_no_room_in_the_queue_is_left_to_who_asks(path, monkeypatch):
    monkeypatch.setattr(store_serve, "serve", lambda file, queue, *rest: None)  # nobody reads
    store = ExpertStore.open(path, "ring", 20 * ROOM)
    fill(store._fetcher._readers._queue.into)
    monkeypatch.setattr("tropism_moe.store_compiled.PATIENCE", 2)
    with store:
        store.prefetch(KEYS)
        for key in KEYS:
            assert np.array_equal(store.get(*key), DATA[key])


# --- reads that the kernel does by itself -----------------------------------------------------------------------------


def depths(count, past_cache=True):
    """Reads that each thread has on their way."""
    owns = shares(count, past_cache)
    for own in owns:
        assert store_aio.close(own) == []
    return [own.numbers.size for own in owns]


def test_few_threads_have_as_many_reads_on_their_way_as_were_asked_for(monkeypatch):
    if HAS_AIO:
        for cpus, wanted in ((1, [10]), (3, [5, 5]), (4, 3 * [3]), (64, 4 * [2]), (None, [10])):
            monkeypatch.setattr("os.cpu_count", lambda n=cpus: n)
            assert depths(10) == wanted
    assert depths(1) == [1]
    assert depths(10, past_cache=False) == 10 * [
        1
    ]  # what is in the page cache is copied by who asks
    monkeypatch.setattr(store_aio, "_setup", lambda depth: 0)
    assert depths(10) == 10 * [1]


@pytest.mark.parametrize("context", [0, 1], ids=["none", "refuses"])
def test_where_the_kernel_takes_no_reads_threads_do_them_one_by_one(path, context, monkeypatch):
    monkeypatch.setattr(store_aio, "_setup", lambda depth: context)  # 1 is nobody's: all is refused
    with ExpertStore.open(path, "ring", 20 * ROOM, readers=4) as store:
        assert (len(store._fetcher._readers._threads) == 4) == (not context)
        store.prefetch(KEYS)
        until(lambda: brought(store) == len(KEYS))
        for key in KEYS:
            assert np.array_equal(store.get(*key), DATA[key])


@pytest.mark.skipif(not HAS_AIO, reason="no such reads here")
@pytest.mark.parametrize("short", [0, 1, 5000, LENGTH, ROOM, -5])
def test_what_the_kernel_read_in_part_or_not_at_all_is_read_to_its_end(tmp_path, short):
    path = write(tmp_path / "x")
    with ExpertStore.open(path, "ring", 20 * ROOM) as store:
        slab, target = store.slabs[KEYS[2]], Pool(ROOM, ROOM).take(ROOM)
        desk = store._fetcher._readers.desk
        desk.targets[2], desk.states[2] = target.address, store_serve.READING
        part = DATA[KEYS[2]].tobytes().ljust(ROOM, b"\0")[: max(short, 0)]
        target.bytes[: len(part)] = part
        told = os.open("/dev/null", os.O_WRONLY)
        with open(path, "rb") as file:
            store_serve._end(file.fileno(), told, desk, TABLE, 2, max(short, 0))
        os.close(told)
        assert desk.states[2] == store_serve.DONE
        assert bytes(target.bytes[: slab.length]) == DATA[KEYS[2]].tobytes()
        desk.states[2] = store_serve.IDLE


@pytest.mark.skipif(not HAS_AIO, reason="no such reads here")
def test_a_thread_that_ends_waits_for_what_is_on_its_way_and_gives_it_up(path, monkeypatch):
    began, desks, waited, wait = [], [], [], store_aio._destroy

    def destroy(context):
        waited.append(desks[0].states[1] == store_serve.READING)
        wait(context)

    def serve(file, queue, told, desk, table, own, hand):
        desks.append(desk)
        place = desk.places[1]
        own.numbers[0], desk.states[1] = 1, store_serve.READING
        target = began.append(Pool(ROOM, ROOM).take(ROOM)) or began[0]
        assert store_aio.submit(own, 0, file, target.address, place[1], place[0])

    monkeypatch.setattr(store_serve, "serve", serve)
    monkeypatch.setattr(store_aio, "_destroy", destroy)
    with ExpertStore.open(path, "ring", 20 * ROOM, readers=2) as store:
        until(lambda: store._fetcher._readers.desk.states[1] == store_serve.FAILED)
        assert waited == [True]  # before the slab was given up
        assert bytes(began[0].bytes[: DATA[KEYS[1]].size]) == DATA[KEYS[1]].tobytes()


FORKED = """
import os, sys, time, warnings
from tropism_moe import store_aio, store_serve
from tropism_moe.checksum import TABLE
from tropism_moe.expert_store import ExpertStore
warnings.simplefilter("ignore", DeprecationWarning)
store = ExpertStore.open(sys.argv[1], "ring", int(sys.argv[2]))
want = {key: store.get(*key).tobytes() for key in store.slabs}
readers = store._fetcher._readers
store.prefetch(want)
readers.states[3] = store_serve.READING  # as if a reader were at it
child = os.fork()
if not child:
    good = all(store.get(*key).tobytes() == data for key, data in want.items())
    store.prefetch(want)
    store.close()
    del store
    os._exit(not good)
readers.states[3] = store_serve.IDLE
assert os.waitpid(child, 0)[1] == 0
for _ in range(3):
    store.prefetch(want)
    for key, data in want.items():
        assert store.get(*key).tobytes() == data
print(sum(thread.is_alive() for thread in readers._threads), len(readers._threads))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_reads_by_itself_and_leaves_the_readers_to_the_other(path):
    alive, count = child(FORKED, path, 20 * ROOM).split()
    assert alive == count
