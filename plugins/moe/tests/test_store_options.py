from __future__ import annotations

import numpy as np
import pytest
from plugins.moe.tests.demo_store import DATA, KEYS, LENGTH, ROOM, widen, write

from tropism.errors import ArtifactError, OptionError
from tropism_moe.expert_store import ExpertStore, verify
from tropism_moe.store_buffers import Pool
from tropism_moe.store_errors import BudgetError, MissingSlabError


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("store") / "demo.moe")


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
        Pool(4096, 1 << 60)


@pytest.mark.parametrize("ask", [lambda s: s.get(9, 1), lambda s: s.prefetch([(0, 1), (9, 1), (8, 1)]), lambda s: s.resident(9)])  # fmt: skip
def test_a_slab_that_is_not_there_is_named(path, ask):
    with (
        ExpertStore.open(path) as store,
        pytest.raises(
            MissingSlabError,
            match=r"demo.moe, slab \(layer 9, expert [01]\): there is no such slab: expected layers 0 to 2, experts 0 to 4, found none",
        ),  # fmt: skip
    ):
        ask(store)


def test_a_check_reads_everything_and_reports_how_far_it_is(path):
    steps = []
    report = verify(path, lambda done, total: steps.append((done, total)))
    assert (report.path, report.slabs, report.nbytes, report.damaged) == (str(path), 15, 15 * LENGTH, ())  # fmt: skip
    assert report.sound
    assert steps == [(done, 15) for done in range(1, 16)]


def test_errors_are_the_suite_s_own():
    assert issubclass(MissingSlabError, ArtifactError)
    assert issubclass(BudgetError, OptionError)
