"""What is read ahead and what stays for it, against the rule written down slowly."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugins.moe.tests.demo_store import DATA, KEYS, ROOM, brought, write

from tropism_moe.expert_store import ExpertStore
from tropism_moe.store_plan import BATCHES, NEAR


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("store") / "demo.moe")


class Plain:
    """The rule, slowly: which slabs are in memory after announcements and requests.

    Args:
        count: of slabs that have room.
    """

    def __init__(self, count):
        self.count, self.batch, self.near = count, max(1, count // BATCHES), count // NEAR
        self.held, self.leaving, self.expected, self.announced = [], [], [], 0
        self.lent, self.asked, self.waiting = None, 0, False

    def announce(self, keys, more):
        if not more:
            self.expected = []
        for key in dict.fromkeys(keys):
            self.expected.append((self.announced, key))
            self.announced += 1
            self.leaving = [other for other in self.leaving if other != key]
        coming = [key for _, key in self.expected]
        for key in self.held:  # what came to nothing leaves first, the last of it before the others
            if key not in self.leaving and key not in coming:
                self.leaving.insert(0, key)
        self.begin()

    def get(self, key):
        if key not in self.held:
            self.room(None, everything=True)
            self.held.append(key)
        for request in self.expected:
            if request[1] == key:
                self.expected.remove(request)
                break
        self.leaving = [other for other in self.leaving if other != key]
        if key not in [other for _, other in self.expected]:
            self.leaving.append(key)
        self.lent, self.asked = key, self.asked + 1
        if self.waiting and self.asked >= self.batch:
            self.begin()

    def begin(self):
        self.asked, self.waiting = 0, True
        for place, (_, key) in enumerate(list(self.expected)):
            if key not in self.held:
                if not self.room(key if place < self.near else None):
                    return
                self.held.append(key)
        self.waiting = False

    def room(self, later, everything=False):
        """Make some for one slab, and for one that comes next with that of what comes ``later``; whether there is."""
        while len(self.held) == self.count:
            after = list(reversed(self.expected))
            if not everything:
                places = [n for n, (_, key) in enumerate(after) if key == later]
                after = after[: max(places)] if places else []
            seen = [key for _, key in self.expected]
            firsts = [
                key for number, key in after if (number, key) == self.expected[seen.index(key)]
            ]
            possible = [
                key for key in [*self.leaving, *firsts] if key in self.held and key != self.lent
            ]
            if not possible:
                return False
            self.held.remove(possible[0])
            self.leaving = [key for key in self.leaving if key != possible[0]]
        return True


def held(store):
    """What is in memory or on its way there."""
    return [key for key in KEYS if store.resident(key[0])[key[1]]]


@pytest.mark.parametrize("mode", ["mmap", "ring"])
@given(st.data())
@settings(deadline=None, max_examples=150, derandomize=True)
def test_what_is_in_memory_follows_the_plain_rule(path, mode, data):
    count, some = data.draw(st.integers(2, 9)), st.sampled_from(KEYS[: data.draw(st.integers(3, 15))])  # fmt: skip
    announced = st.tuples(st.just("announce"), st.lists(some, max_size=8), st.booleans())
    steps = st.lists(st.one_of(announced, st.tuples(st.just("get"), some), st.just(("next",))), max_size=30)  # fmt: skip
    plain = Plain(count)
    with ExpertStore.open(path, mode, count * ROOM) as store:
        for name, *given_ in data.draw(steps):
            if name == "announce":
                store.prefetch(*given_)
                plain.announce(*given_)
            elif given_ or plain.expected:
                key = given_[0] if given_ else plain.expected[0][1]
                assert np.array_equal(store.get(*key), DATA[key])
                plain.get(key)
            assert held(store) == sorted(plain.held)


@pytest.mark.usefixtures("readers")
def test_what_was_announced_is_read_before_it_is_asked_for(path):
    with ExpertStore.open(path, "ring", 4 * ROOM) as store:
        store.prefetch(KEYS[:6])  # of which four have room
        until = time.monotonic() + 20
        while brought(store) < 4:
            assert time.monotonic() < until
            time.sleep(0.001)
        assert [store.resident(0).sum(), store.resident(1).sum()] == [4, 0]
        assert store.stats.bytes_read == 0  # what nobody asked for may never be counted
        for key in KEYS[:6]:
            assert np.array_equal(store.get(*key), DATA[key])
        assert (store.stats.prefetch_hits, store.stats.prefetch_misses, store.stats.hits) == (6, 0, 0)  # fmt: skip
        assert store.stats.bytes_read == 6 * ROOM
        store.prefetch(KEYS[5:6])
        store.get(*KEYS[5])
        store.get(*KEYS[9])
        assert (store.stats.prefetch_hits, store.stats.prefetch_misses, store.stats.hits) == (6, 1, 1)  # fmt: skip


@pytest.mark.parametrize("mode", ["mmap", "ring"])
def test_what_is_announced_stays_though_it_was_not_used_for_longest(path, mode):
    with ExpertStore.open(path, mode, 3 * ROOM) as store:
        for key in KEYS[:3]:
            store.get(*key)
        store.prefetch([KEYS[0], KEYS[3]])  # of which the second needs the room of another
        assert store.resident(0).tolist() == [True, False, True, True, False]
        store.get(*KEYS[0])
        assert store.stats.hits == 1


@pytest.mark.parametrize("mode", ["mmap", "ring"])
def test_a_new_announcement_replaces_one_that_came_to_nothing(path, mode):
    with ExpertStore.open(path, mode, 3 * ROOM) as store:
        for start in range(0, 12, 3):
            store.prefetch(KEYS[start : start + 3])  # fills the budget, and is never asked for
            assert held(store) == KEYS[start : start + 3]
        for key in KEYS:
            assert np.array_equal(store.get(*key), DATA[key])


@pytest.mark.parametrize("mode", ["mmap", "ring"])
def test_what_is_announced_later_comes_after_what_was_announced_and_stays_as_often_as_it_was(path, mode):  # fmt: skip
    with ExpertStore.open(path, mode, 4 * ROOM) as store:
        store.prefetch(KEYS[:2])
        store.prefetch([KEYS[0], KEYS[2]], more=True)
        store.prefetch(KEYS[3:6], more=True)  # of which one has room
        assert held(store) == KEYS[:4]
        store.get(*KEYS[0])
        store.get(*KEYS[1])
        store.get(*KEYS[2])
        assert held(store) == [KEYS[0], *KEYS[2:5]]  # the first is to be asked for again
        store.get(*KEYS[0])
        assert held(store) == [KEYS[0], *KEYS[3:6]]
        assert store.stats.hits == 1
        store.get(*KEYS[3])
        store.prefetch(KEYS[6:8], more=True)
        assert held(store) == KEYS[3:7]  # the last to be asked for may be in use
        store.prefetch(KEYS[8:11])  # in the place of what nobody asked for
        assert held(store) == [KEYS[3], *KEYS[8:11]]
        assert store.stats.prefetch_misses == 0


@pytest.mark.parametrize("mode", ["mmap", "ring"])
def test_what_is_needed_later_leaves_for_what_comes_next_but_not_for_what_is_as_far_off(path, mode):
    with ExpertStore.open(path, mode, 6 * ROOM) as store:  # of which a third is for what comes next
        store.get(*KEYS[0])
        store.get(*KEYS[1])
        store.prefetch([*KEYS[2:7], KEYS[0]])
        assert held(store) == KEYS[:6]  # the seventh would have to take the room of the first
        store.get(*KEYS[2])
        assert held(store) == [KEYS[0], *KEYS[2:7]]
        store.prefetch([*KEYS[3:7], KEYS[2], KEYS[0]])
        store.prefetch([KEYS[7], KEYS[2], KEYS[0], *KEYS[3:7]])
        assert held(store) == [
            KEYS[0],
            *KEYS[2:6],
            KEYS[7],
        ]  # this one comes next, and the last is far off


@pytest.mark.parametrize("mode", ["mmap", "ring"])
def test_what_had_to_leave_before_it_was_asked_for_is_read_ahead_once_more(path, mode):
    with ExpertStore.open(path, mode, 3 * ROOM) as store:
        store.prefetch(KEYS[:3])
        store.get(*KEYS[9])  # which nobody announced takes the room of the last
        assert held(store) == [*KEYS[:2], KEYS[9]]
        store.get(*KEYS[0])
        store.prefetch([KEYS[3]], more=True)
        assert held(store) == KEYS[:3]
