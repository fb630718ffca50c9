"""Experts that are chosen a step before they answer, so that they are read while that step computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from plugins.moe.tests.gating import GATED
from tropism.errors import OptionError
from tropism_moe.config import PRESETS, ModelConfig
from tropism_moe.model import Entry, Model
from tropism_moe.pack import pack_random
from tropism_moe.serving import Served, forget

ROOM = 2 * 4096
"""Bytes of an expert in memory."""
SHAPE = {"width": 32, "layers": 8, "rank": 4, "head_width": 8, "window": 6, "hidden": 48, "inputs": 11}  # fmt: skip
CONFIG = ModelConfig(**SHAPE, lattice=(4, 2, 2), **GATED["ahead"])


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    pack_random(CONFIG, path, 0, form="2bit")
    return path


def tokens(steps, lanes):
    return np.random.default_rng(lanes).integers(0, 11, (steps, lanes))


def play(served, rows, state=None):
    """What every step came to, and the state after it."""
    found, state = [], state or served.begin(rows.shape[1])
    for row in rows:
        outputs, state = served.step(row, state)
        found.append((outputs, served.chosen, served.features))
    return found, state


def same(a, b):
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    return np.array_equal(a, b)


@pytest.mark.parametrize("lanes", [1, 2, 9, 20])
@pytest.mark.parametrize("room", [2, 12, 60])
def test_whatever_the_budget_all_is_as_in_memory(directory, lanes, room):
    rows = tokens(8, lanes)
    with Served.open(directory, "resident") as served:
        wanted = play(served, rows)
    with Served.open(directory, "ring", room * ROOM) as served:
        assert same(play(served, rows), wanted)
        assert served.store.stats.bytes_read


def keys(chosen):
    rows = zip(CONFIG.expert_layers, chosen.tolist(), strict=True)
    return [(layer, e) for layer, experts in rows for e in experts]


@pytest.fixture
def noted(directory):
    """A model, and what it announces and asks for; announcements are lists, with whether they come after what was announced."""
    with Served.open(directory, "ring", 60 * ROOM) as served:
        notes, prefetch, get = [], served.store.prefetch, served.store.get

        def announce(keys, more=False):
            notes.append((keys, more))
            prefetch(keys, more)

        served.store.prefetch = announce
        served.store.get = lambda *key: (notes.append(key), get(*key))[1]
        yield served, notes


def test_whenever_a_block_begins_its_experts_of_the_next_step_are_announced(noted):
    served, notes = noted
    state, steps = served.begin(4), []
    for row in tokens(3, 4):
        _, state = served.step(row, state)
        steps.append((keys(served.chosen), list(notes)))
        notes.clear()
    for (now, told), (then, _) in zip(steps, steps[1:], strict=False):
        if told[0] == (now, False):  # nothing was known before the first step
            del told[0]
        wanted = []
        for block in (0, 4):
            wanted.append(([key for key in then if key[0] // 4 * 4 == block], True))
            wanted += dict.fromkeys(key for key in now if key[0] // 4 * 4 == block)
        assert told == wanted
    assert steps[0][0] != steps[1][0] != steps[2][0]
    assert served.store.stats.prefetch_misses == 0


def test_whoever_goes_on_from_elsewhere_tells_anew(noted):
    served, notes = noted
    _, state = play(served, tokens(3, 2))
    for again in (False, True):
        notes.clear()
        served.step(np.array([1, 2]), state)
        anew = [told for told, more in notes if more is False]
        assert anew == ([keys(served.chosen)] if again else [])


def test_states_can_branch_and_lanes_be_forgotten(directory):
    rows, found = tokens(4, 3), []
    mask = np.array([False, True, False])
    for mode, budget in (("resident", None), ("ring", 12 * ROOM)):
        with Served.open(directory, mode, budget) as served:
            _, state = play(served, rows)
            found.append([
                play(served, rows, state), play(served, rows[::-1], state), play(served, rows, forget(state, mask)),
                play(served, rows), served.step(rows[0], state, served.nearest), play(served, rows, state),
            ])  # fmt: skip
    assert same(*found)
    one, other, forgotten, fresh, by_hand, again = found[0]
    assert same(one, again)
    assert not same(one, other)
    assert same(by_hand[0], one[0][0][0])
    np.testing.assert_array_equal(forgotten[0][-1][0][1], fresh[0][-1][0][1])
    np.testing.assert_array_equal(forgotten[0][-1][0][[0, 2]], one[0][-1][0][[0, 2]])


def test_who_chooses_otherwise_is_not_told_ahead(directory):
    """Experts at hand would else be those that were announced, and whoever chooses by hand may take others."""
    rows, read = tokens(40, 1), []
    for tolerance in (0.0, 0.3):
        with Served.open(directory, "ring", 12 * ROOM, tolerance) as served:
            play(served, rows)
            read.append(served.store.stats.bytes_read)
            assert served.store.stats.prefetch_misses == 0
            assert bool(served.substituted) == bool(tolerance)
    assert read[1] < 0.8 * read[0]


@torch.no_grad()
def test_experts_are_those_nearest_to_what_entered_a_step_before():
    torch.manual_seed(0)
    model = Model(CONFIG)
    rows = torch.randint(0, 11, (3, 6))
    resets = torch.zeros(3, 6, dtype=torch.bool)
    resets[1, 4] = True
    output, state = model(rows, model.begin(3), resets)
    entry = model.blocks[0].recurrent[0].norm(model.embed(rows))
    routers = model.blocks[0].routers
    for route, router in zip(output.routes, routers, strict=False):
        begin = router(torch.zeros(32)).expert
        wanted = router(entry).expert
        np.testing.assert_array_equal(route.expert[:, 0], begin.expand(3))
        assert route.expert[1, 4] == begin
        kept = ~resets[:, 1:]
        np.testing.assert_array_equal(route.expert[:, 1:][kept], wanted[:, :-1][kept])
    last = state[0][-1]
    assert isinstance(last, Entry)
    np.testing.assert_array_equal(last.stream, entry[:, -1])


def test_models_that_lie_on_disk_choose_ahead_and_only_blocks_can():
    assert all(PRESETS[name].gated_ahead for name in ("demo-0.8b", "demo-2.4b", "paper-1t"))
    assert not PRESETS["cartpole"].gated_ahead
    with pytest.raises(OptionError, match="gated_ahead=True needs pre_gated=True, got False"):
        ModelConfig(**SHAPE, pre_gated=False, gated_ahead=True)
    with pytest.raises(OptionError, match="gated_ahead"):
        ModelConfig(**SHAPE, gated_ahead=1)  # pyright: ignore[reportArgumentType]
