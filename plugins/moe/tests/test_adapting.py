from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from tropism.agents.contract import Task
from tropism.errors import OptionError
from tropism_moe.adapting import TRIALS, Adapting, Step, settings
from tropism_moe.agent_config import MoEConfig
from tropism_moe.folding import Folding
from tropism_moe.lattice import fold, squared_distance
from tropism_moe.proofs import Proof
from tropism_moe.serving import Served

TASK = Task("tropism/PatternWorld-Switch-v0", {"hazard": 0.001})
HEAD = MoEConfig(adapt="head", adapt_rate=0.1, adapt_rank=4)


@pytest.fixture(scope="module")
def served(untrained):
    with Served.open(untrained(TASK)) as model:
        yield model


def steps(served, count, lanes, seed=0):
    """What a model makes of random observations."""
    rng, state = np.random.default_rng(seed), served.begin(lanes)
    for _ in range(count):
        seen = rng.standard_normal((lanes, served.config.inputs)).astype(np.float32)
        outputs, after = served.step(seen, state)
        yield Step(seen, state, served.features, outputs), rng
        state = after


def proof(taken, right, beyond=None):
    right = np.asarray(right)
    return Proof(np.asarray(taken), right, np.ones(len(right)) if beyond is None else np.asarray(beyond))  # fmt: skip


def seeded(served, config, seeds, told=True):
    adapting = Adapting(served, config, told, len(seeds))
    adapting.reset(np.ones(len(seeds), np.bool_), np.array(seeds, np.uint64))
    return adapting


@pytest.mark.parametrize("directions", [0, 8])
def test_a_head_learns_what_proves_right_and_forgets_it_at_the_next_reset(served, directions):
    adapting = seeded(served, replace(HEAD, adapt_directions=directions, adapt_rate=0.2 + directions), [1])  # fmt: skip
    (step, _), *_ = steps(served, 1, 1)
    rows, losses = np.arange(1), []
    for _ in range(60):
        said = adapting.say(step.outputs, step.features, rows)
        losses.append(-torch.log_softmax(torch.from_numpy(said), -1)[0, 7].item())
        adapting.learn(step._replace(outputs=said), proof([0], [7]))
    assert losses[0] == -torch.log_softmax(torch.from_numpy(step.outputs), -1)[0, 7].item()
    assert losses[-1] < 0.5 * losses[0]
    adapting.reset(np.array([True]), np.array([1], np.uint64))
    np.testing.assert_array_equal(adapting.say(step.outputs, step.features, rows), step.outputs)


def test_rewards_make_an_action_likelier_or_less_likely(served):
    (step, _), *_ = steps(served, 1, 2)
    adapting = seeded(served, replace(HEAD, adapt_rate=1.0), [1, 2], told=False)
    for _ in range(5):
        adapting.learn(step, proof([3, 3], [3, -1], [1.0, -1.0]))
    said = adapting.say(step.outputs, step.features, np.arange(2))
    before, after = (torch.log_softmax(torch.from_numpy(x), -1)[:, 3] for x in (step.outputs, said))
    assert after[0] > before[0]
    assert after[1] < before[1]


def test_without_an_outcome_nothing_is_learned(served):
    for told, what in ((True, proof([1], [-1])), (False, proof([1], [-1], [0.0]))):
        adapting = seeded(served, HEAD, [1], told)
        for step, _ in steps(served, 5, 1):
            adapting.learn(step, what)
            said = adapting.say(step.outputs, step.features, np.arange(1))
            np.testing.assert_array_equal(said, step.outputs)


@pytest.mark.parametrize("adapt", ["head", "positions", "both"])
def test_a_lane_has_the_bits_that_it_has_alone(served, adapt):
    config = replace(HEAD, adapt=adapt, position_sigma=0.2, position_rate=0.01)
    both, alone = seeded(served, config, [4, 9]), seeded(served, config, [9])
    for step, rng in steps(served, 3 * TRIALS, 2):
        right = rng.integers(0, 100, 2)
        single = Step(step.seen[1:], tuple(tuple(type(x)(*(y[1:] for y in x)) if isinstance(x, tuple) else x[1:] for x in block) for block in step.before), step.features[1:], step.outputs[1:])  # fmt: skip
        said = both.say(step.outputs, step.features, np.arange(2))
        np.testing.assert_array_equal(said[1:], alone.say(single.outputs, single.features, np.arange(1)))  # fmt: skip
        both.learn(step, proof(right, right))
        alone.learn(single, proof(right[1:], right[1:]))
    if adapt != "head":
        assert both.choose
        assert alone.choose
        z = np.random.default_rng(0).random((2, 3, 3))
        table = served.blocks[0].tables.positions
        np.testing.assert_array_equal(
            both.choose(z, table, [0, 1, 2])[1:], alone.choose(z[1:], table, [0, 1, 2])
        )
        assert both.passes.tolist() == [3 * TRIALS * 17] * 2


def test_one_offset_of_an_expert_moves_it_in_every_layer(served):
    adapting = seeded(served, replace(HEAD, adapt="positions"), [1])
    assert adapting.size == 3 * 8
    assert adapting.choose
    table = served.blocks[0].tables.positions
    z = np.random.default_rng(0).random((1, 3, 3))
    np.testing.assert_array_equal(
        adapting.choose(z, table, [0, 1, 2]), squared_distance(z[..., None, :], table).argmin(-1)
    )
    offsets = np.random.default_rng(1).random((8, 3))
    adapting._adapters[0].positions.positions = offsets
    np.testing.assert_array_equal(
        adapting.choose(z, table, [0, 1, 2]),
        squared_distance(z[..., None, :], (table + offsets) % 1).argmin(-1),
    )


def test_positions_move_by_what_candidates_lose(served, monkeypatch):
    """A loss that is the distance of the offsets from a place draws them there."""
    adapting = seeded(served, replace(HEAD, adapt="positions", position_rate=3e-4, position_sigma=0.02), [1])  # fmt: skip
    place = np.full((8, 3), 0.1)

    def tried(outputs, targets):
        offsets = adapting._adapters[0].positions.candidates()
        return torch.from_numpy(squared_distance(offsets, place).mean(-1))

    monkeypatch.setattr(adapting, "_loss", tried)
    (step, _), *_ = steps(served, 1, 1)
    for _ in range(60 * TRIALS):
        adapting.learn(step, proof([1], [1]))
    moved = adapting._adapters[0].positions.positions
    assert squared_distance(moved, place).mean() < 0.5 * squared_distance(0 * place, place).mean()


def test_learning_steps_may_be_rarer(served):
    adapting = seeded(served, replace(HEAD, adapt="both", adapt_every=5), [1])
    for step, _ in steps(served, 11, 1):
        adapting.learn(step, proof([1], [1]))
    assert adapting._adapters[0].head.steps == 3
    assert adapting.passes.tolist() == [3 * 17]


def test_the_rank_is_the_highest_that_fits_and_no_higher_is_taken():
    assert settings(HEAD, 100, 64, 16).rank == 4
    assert settings(replace(HEAD, adapt_rank=0), 100, 64, 16).rank == 12
    assert settings(replace(HEAD, adapt_rank=0), 3, 64, 16).rank == 3
    both = replace(HEAD, adapt="both", adapt_rank=0)
    assert settings(both, 100, 64, 128).rank == 10
    for config, outputs in ((replace(HEAD, adapt_rank=13), 100), (both, 3000)):
        with pytest.raises(OptionError, match=r"the rank is at most \d+, as no more than 2048"):
            settings(config, outputs, 64, 16)


# Folding


def test_folding_is_the_k_means_of_the_lattice_in_every_lane_and_layer(served):
    folding = Folding(served, 0.3, 2)
    tables = served.blocks[0].tables.positions
    mine = np.stack([tables.copy(), tables.copy()], 1)
    rng = np.random.default_rng(0)
    for layers in ([0, 1, 2], [1], [2], [0, 1, 2], [0]) * 4:
        z = rng.random((2, len(layers), 3))
        found = folding.choose(z, tables[layers], layers)
        for lane, (n, layer) in itertools.product(range(2), enumerate(layers)):
            nearest = squared_distance(z[lane, n], mine[layer, lane]).argmin()
            assert found[lane, n] == nearest
            fold(mine[layer, lane], z[lane, n][None], [nearest], 0.3)
    np.testing.assert_array_equal(folding.positions[0], mine)
    assert folding.size == 3 * 8 * 3
    folding.reset(np.array([False, True]))
    np.testing.assert_array_equal(folding.positions[0], np.stack([mine[:, 0], tables], 1))
    assert served.blocks[0].tables.positions is tables
