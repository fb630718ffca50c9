"""Lanes that go through the model in turns, so that experts are read while others compute."""

from __future__ import annotations

import numpy as np
import pytest
from plugins.moe.tests.gating import GATED

from tropism.errors import OptionError
from tropism_moe import kernels
from tropism_moe.config import ModelConfig
from tropism_moe.pack import pack_random, read_shared
from tropism_moe.serving import Served
from tropism_moe.serving_layers import Attention, Cache, Recurrence

ROOM = 2 * 4096
"""Bytes of an expert in memory, and of the buffer of one."""
SHAPE = {"width": 32, "layers": 8, "rank": 4, "head_width": 8, "window": 6, "hidden": 48}


@pytest.fixture(scope="module", params=["block", "layer"])
def directory(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    config = ModelConfig(**SHAPE, lattice=(4, 2, 2), inputs=11, **GATED[request.param])
    pack_random(config, path, 0, form="2bit")
    return path


def play(served, lanes, steps=8):
    tokens = np.random.default_rng(lanes).integers(0, 11, (steps, lanes))
    state, found = served.begin(lanes), []
    for row in tokens:
        outputs, state = served.step(row, state)
        found += [outputs, served.chosen, served.features]
    return found, state


def flat(state):
    for part in state:
        if isinstance(part, tuple):
            yield from flat(part)
        else:
            yield part


@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 5, 9, 20])
def test_lanes_have_the_same_bits_in_turns_as_together(directory, lanes):
    with Served.open(directory, "resident") as served:
        wanted, last = play(served, lanes)
    for budget in (2 * ROOM, 40 * ROOM):
        with Served.open(directory, "ring", budget) as served:
            found, state = play(served, lanes)
            assert served.store.stats.misses
        for a, b in zip([*found, *flat(state)], [*wanted, *flat(last)], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.fixture
def shares(monkeypatch):
    """How many shares the lanes of every step were in."""
    found, plain = [], Served._turns

    def noted(*args):
        turns = plain(*args)
        found.append(len(turns))
        return turns

    monkeypatch.setattr(Served, "_turns", noted)
    return found


@pytest.mark.parametrize(
    ("lanes", "mode", "budget", "expected"),
    [
        (8, "ring", 40 * ROOM, 4),
        (5, "ring", 40 * ROOM, 2),
        (3, "ring", 40 * ROOM, 1),
        (16, "ring", 40 * ROOM, 2),  # of all lanes the experts have no room
        (8, "mmap", 40 * ROOM, 4),
        (8, "resident", None, 1),
    ],
)
def test_there_are_as_many_shares_as_have_room(directory, shares, lanes, mode, budget, expected):
    with Served.open(directory, mode, budget) as served:
        play(served, lanes, 2)
    assert shares == [expected] * 2


def test_lanes_go_together_where_all_is_in_memory_or_the_choice_needs_it(directory, shares):
    with Served.open(directory, "mmap") as served:
        play(served, 8, 3)
        shares.clear()
        play(served, 8, 3)  # the same tokens
        assert shares == [4, 1, 1]  # that nothing has to be read is known from the step before
    for options in ({"tolerance": 0.1}, {}):
        with Served.open(directory, "ring", 40 * ROOM, **options) as served:
            shares.clear()
            choose = served.nearest if not options else None
            served.step(np.zeros(8, np.int64), served.begin(8), choose)
            assert shares == [1]


def test_whatever_is_asked_for_was_announced_and_what_others_wait_for_stays_so(directory):
    told = []
    with Served.open(directory, "ring", 96 * ROOM) as served:
        prefetch, get = served.store.prefetch, served.store.get
        served.store.prefetch = lambda keys: (told.append(list(keys)), prefetch(told[-1]))
        served.store.get = lambda *key: (told.append(key), get(*key))[1]
        play(served, 8, 1)
        assert served.store.stats.prefetch_misses == 0
    coming, asked = [], set()
    for one in told:
        if isinstance(one, list):
            assert set(coming) <= set(one)  # of the shares whose turn it is not
            coming = one
        else:
            assert one in coming or one in asked  # that two shares ask for is announced once
            coming = [key for key in coming if key != one]
            asked.add(one)
    gaps = [n for n, one in enumerate(told) if isinstance(one, list)]
    assert min(np.diff(gaps[:4])) == 1  # the first four announce before anybody computes


@pytest.mark.parametrize("kind", ["recurrence", "attention"])
def test_a_layer_in_one_piece_has_the_bits_of_its_parts(directory, kind, monkeypatch):
    config, arrays = read_shared(directory)
    one, kind_of, after = {
        "recurrence": ("blocks.1.recurrent.2", Recurrence, "norm_expert"),
        "attention": ("blocks.1.attention", Attention, "norm_feed"),
    }[kind]
    layer = kind_of(arrays, f"{one}.{kind}", (f"{one}.norm", f"{one}.{after}"), config)
    assert isinstance(layer, Recurrence | Attention)
    rng = np.random.default_rng(0)
    state = new = layer.begin(7)
    xs = rng.normal(size=(9, 7, 32)).astype(np.float32)
    for x in xs:  # the window is full in the end
        ends = []
        for together in (True, False):
            monkeypatch.setattr("tropism_moe.serving_layers.at_once", lambda _, on=together: on)
            new = (
                Cache(*map(np.empty_like, state))
                if isinstance(state, Cache)
                else np.empty_like(state)
            )
            ends.append([*layer.step(x, state, new), *flat((new,))])
        for a, b in zip(*ends, strict=True):
            np.testing.assert_array_equal(a, b)
        assert np.abs(ends[0][0] - x).max() > 1e-3
        state = new
    xs[0, 3, 5] = np.inf
    with pytest.raises(OptionError, match="must be finite, got inf at 5"):
        layer.step(xs[0], state, new)


@pytest.mark.parametrize("layer", [1, 3])
def test_a_state_that_is_not_finite_is_refused_with_one_lane_and_with_several(directory, layer):
    for lanes in (1, 2):
        with Served.open(directory, "resident") as served:
            _, state = play(served, lanes, 3)
            for array in flat((state[0][layer],)):  # fast weights, or keys and values of the window
                if array.dtype == np.float32:
                    array[...] = np.inf
            with pytest.raises(
                OptionError, match="in its state must be finite, and is not in lane 0"
            ):
                served.step(np.zeros(lanes, np.int64), state)


def test_many_rows_at_once_have_the_same_bits(directory, monkeypatch):
    with Served.open(directory, "resident") as served:
        monkeypatch.setitem(kernels.LEVELS, "vnni", False)
        wanted, _ = play(served, 40, 3)
        monkeypatch.setitem(kernels.LEVELS, "vnni", True)
        assert kernels.at_once(40)
        found, _ = play(served, 40, 3)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_rank_beyond_the_width_is_no_matter(tmp_path, monkeypatch):
    pack_random(ModelConfig(**{**SHAPE, "rank": 700}, lattice=(2, 1, 1), inputs=5), tmp_path, 0)
    found = []
    for together in (True, False):
        monkeypatch.setattr("tropism_moe.serving_layers.at_once", lambda _, on=together: on)
        with Served.open(tmp_path) as served:
            outputs, _ = served.step(np.array([1, 4]), served.begin(2))
        found.append(outputs)
    np.testing.assert_array_equal(*found)


def test_rows_and_lanes_must_be_as_many(directory):
    with Served.open(directory) as served, pytest.raises(OptionError, match="each of the 2 lanes of the state, got 5"):  # fmt: skip
        served.step(np.arange(5), served.begin(2))
