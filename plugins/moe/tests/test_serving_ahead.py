"""Experts that are chosen some steps before they answer, so that they are read while those compute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tropism.errors import OptionError
from tropism_moe import serving
from tropism_moe.config import PRESETS, ModelConfig
from tropism_moe.model import Entries, Model
from tropism_moe.pack import pack_random
from tropism_moe.serving import Served
from tropism_moe.serving_state import forget

ROOM = 2 * 4096
"""Bytes of an expert in memory."""
SHAPE = {"width": 32, "layers": 8, "rank": 4, "head_width": 8, "window": 6, "hidden": 48, "inputs": 11}  # fmt: skip
CONFIG = ModelConfig(**SHAPE, lattice=(4, 2, 2))


@pytest.fixture(scope="module", params=[1, 2, 5])
def ahead(request):
    return request.param


@pytest.fixture(scope="module")
def directory(ahead, tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    pack_random(replace(CONFIG, gated_ahead=ahead), path, 0, form="2bit")
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
    with Served.open(directory, "ring", 200 * ROOM) as served:
        notes, prefetch, get = [], served.store.prefetch, served.store.get

        def announce(keys, more=False):
            notes.append((list(keys), more))
            prefetch(notes[-1][0], more)

        served.store.prefetch = announce
        served.store.get = lambda *key: (notes.append(key), get(*key))[1]
        yield served, notes


def test_whenever_a_block_begins_its_experts_of_a_later_step_are_announced(noted, ahead):
    served, notes = noted
    state, steps = served.begin(4), []
    for row in tokens(ahead + 3, 4):
        _, state = served.step(row, state)
        steps.append((keys(served.chosen), list(notes)))
        notes.clear()
    first = steps[0][1]
    for n in range(ahead):  # nothing was known before the first step
        assert first.pop(0) == (steps[n][0], n > 0)
    for (now, told), (then, _) in zip(steps, steps[ahead:], strict=False):
        wanted = []
        for block in (0, 4):
            wanted.append(([key for key in then if key[0] // 4 * 4 == block], True))
            wanted += dict.fromkeys(key for key in now if key[0] // 4 * 4 == block)
        assert told == wanted
    assert steps[ahead][0] != steps[ahead + 1][0] != steps[ahead + 2][0]
    assert served.store.stats.prefetch_misses == 0


@pytest.mark.parametrize("room", [8, 13, 20, 40])
def test_no_more_is_announced_than_has_room(directory, room):
    """Slabs of a far step would else keep those of a near one out, which would be read when they are asked for."""
    with Served.open(directory, "ring", room * ROOM) as served:
        play(served, tokens(20, 1))
        stats = served.store.stats
        assert stats.prefetch_misses == 0 < stats.prefetch_hits


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize(
    ("mode", "room", "known", "together"),
    [("resident", 0, False, True), ("ring", 60, True, True), ("ring", 5, True, False), ("ring", 60, False, False)],
)  # fmt: skip
def test_experts_answer_together_where_they_are_read_ahead_and_have_room(
    directory, lanes, mode, room, known, together, monkeypatch
):
    """Else the first would wait for the others, or they for room."""
    met, whole = [], serving.answers
    monkeypatch.setattr(serving, "answers", lambda e, *rest: (met.append(len(e)), whole(e, *rest)))
    with Served.open(directory, mode, room * ROOM or None) as served:
        served.config = replace(served.config, gated_ahead=served.config.gated_ahead * known)
        for block in served.blocks:
            block.ahead = served.config.gated_ahead
        play(served, tokens(6, lanes))
        many = [len(set(row)) for row in served.chosen.tolist()]
        assert max(many) == lanes
        if lanes > 1:
            assert met[-len(many) :] == many if together else set(met) == {1}
        assert bool(served.beside([0, 1, 2], served.chosen[:3, :1])) == together


def test_whoever_goes_on_from_elsewhere_tells_anew(noted):
    served, notes = noted
    _, state = play(served, tokens(3, 2))
    for again in (False, True):
        notes.clear()
        served.step(np.array([1, 2]), state)
        anew = [told for told, more in notes if more is False]
        assert anew == ([keys(served.chosen)] if again else [])


def test_after_others_have_chosen_all_is_announced_anew(noted):
    served, notes = noted
    _, state = play(served, tokens(3, 2))
    row = np.array([1, 2])
    _, after = served.step(row, state)
    served.step(row, state, served.nearest)  # as other perspectives do, from the state before
    notes.clear()
    served.step(row, after)
    assert notes[0] == (keys(served.chosen), False)
    assert served.store.stats.prefetch_misses == 0


def test_after_a_step_that_was_interrupted_all_is_announced_anew(noted, monkeypatch):
    served, notes = noted
    _, state = play(served, tokens(3, 2))
    row, get = np.array([1, 2]), served.store.get

    def interrupted(layer, expert):
        if layer == 5:
            raise KeyboardInterrupt
        return get(layer, expert)

    with monkeypatch.context() as patch:
        patch.setattr(served.store, "get", interrupted)
        with pytest.raises(KeyboardInterrupt):
            served.step(row, state)
    notes.clear()
    outputs, _ = served.step(row, state)
    assert notes[0] == (keys(served.chosen), False)
    assert same(outputs, served.step(row, state, served.nearest)[0])


@pytest.mark.parametrize(("mode", "budget"), [("resident", None), ("ring", 60 * ROOM)])
def test_no_lanes_are_answered_nothing(directory, mode, budget):
    with Served.open(directory, mode, budget) as served:
        found, _ = play(served, tokens(3, 0))
        assert [outputs.shape for outputs, *_ in found] == [(0, 11)] * 3


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
def test_experts_are_those_nearest_to_what_entered_so_many_steps_before(ahead):
    torch.manual_seed(0)
    model, steps = Model(replace(CONFIG, gated_ahead=ahead)), 9
    rows = torch.randint(0, 11, (3, steps))
    resets = torch.zeros(3, steps, dtype=torch.bool)
    resets[1, 4] = resets[2, 7] = resets[2, 8] = True
    output, state = model(rows, model.begin(3), resets)
    entry = model.blocks[0].recurrent[0].norm(model.embed(rows))  # pyright: ignore[reportIndexIssue]
    begins = [0, 4, 8]  # of the last episode
    for route, router in zip(output.routes, model.blocks[0].routers, strict=False):
        for lane in range(3):
            for t in range(steps):
                start = max(k for k in range(t + 1) if k == 0 or resets[lane, k])
                seen = entry[lane, t - ahead] if t - ahead >= start else torch.zeros(32)
                assert route.expert[lane, t] == router(seen).expert
    last = state[0][-1]
    assert isinstance(last, Entries)
    for lane, begin in enumerate(begins):
        for k in range(ahead):
            t = steps - ahead + k
            wanted = entry[lane, t] if t >= begin else torch.zeros(32)
            np.testing.assert_array_equal(last.stream[lane, k], wanted)


def test_models_that_lie_on_disk_choose_ahead_and_only_blocks_can():
    assert all(PRESETS[name].gated_ahead == 2 for name in ("demo-0.8b", "demo-2.4b", "paper-1t"))
    assert not PRESETS["cartpole"].gated_ahead
    with pytest.raises(OptionError, match="gated_ahead=1 needs pre_gated=True, got False"):
        ModelConfig(**SHAPE, pre_gated=False, gated_ahead=1)
    for wrong in (-1, 17, 1.5, True):
        with pytest.raises(OptionError, match="gated_ahead"):
            ModelConfig(**SHAPE, gated_ahead=wrong)


@pytest.mark.parametrize("lanes", [1, 3])
def test_what_is_not_finite_is_said_when_experts_are_chosen_ahead(directory, lanes):
    with Served.open(directory, "ring", 60 * ROOM) as served:
        _, state = play(served, tokens(2, lanes))
        served.inputs[4, 5] = np.nan
        with pytest.raises(OptionError, match="to be routed must be finite, got nan at"):
            served.step(np.full(lanes, 4), state)
        served.inputs[4, 5] = 0.0
        assert np.isfinite(served.step(np.full(lanes, 4), state)[0]).all()
