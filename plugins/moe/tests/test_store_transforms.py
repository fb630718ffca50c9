from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from plugins.moe.tests.demo_store import DATA, KEYS, LENGTH, MODES, ROOM, widen, write

from tropism_moe.expert_store import ExpertStore


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("store") / "demo.moe")


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
