"""Levels L0.0 to L1.1 in lockstep with a restatement of koki2's world in floating point.

What our world drew is read from its state and its streams, and handed to the other one.  Then positions, sources and
counts are equal after every step, and energies differ by less than :data:`TOLERANCE`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.envs.origin_chemotaxis import OriginWorld, Outcomes, Rules, Schedule, Source

from tropism.envs.chemotaxis.env import ChemotaxisEnv
from tropism.envs.chemotaxis.streams import DEPLETE, DROPOUT, NOISE, chance
from tropism.envs.chemotaxis.tables import NOISE_BITS, noise_table
from tropism.envs.core.random import bits

LEVELS = ("L0.0", "L0.1", "L0.2", "L0.2-Informed", "L1.0", "L1.1")
UNIT = 6400
TOLERANCE = 1e-5
ROUNDING = 1e-9
"""A float energy this near to 0 may be on the other side of it."""


def rules(params) -> Rules:
    """What the other world needs to know of ``params``."""
    same = ("width", "height", "steps", "harm", "deplete", "respawn_delay")
    ramps = {
        name: Schedule(ramp.low, ramp.high, ramp.start, ramp.end)
        for name in ("gradient_gain", "gradient_bins")
        if (ramp := getattr(params.development, name, None)) is not None
    }
    return Rules(
        **{name: getattr(params, name) for name in same},
        decay=params.energy_decay_units / UNIT,
        gain=params.energy_gain,
        good_only=params.informed,
        harmful_respawn_delay=params.harmful_respawn_delay,
        terminate_on_reach=params.terminate_on_reach,
        **ramps,
    )


def restate(env: ChemotaxisEnv, info: dict[str, Any]) -> OriginWorld:
    """The other world in the same state, at the beginning of a life."""
    sources = [Source((int(x), int(y)), bool(b), bool(a)) for x, y, b, a in info["sources"]]
    levels = info["energy_units"] / UNIT, info["integrity_units"] / UNIT
    return OriginWorld(rules(env.params), sources, (info["x"], info["y"]), *levels)


def drawn(env: ChemotaxisEnv, info: dict[str, Any]) -> Outcomes:
    """What chance decided in the step that led to ``info``."""
    params, key, t = env.params, env.reference.key, info["t_alive"]
    count = len(info["sources"])
    coins = [bits(key, t * count + k, DEPLETE) >> 1 for k in range(count)]
    return Outcomes(
        respawn=[(int(x), int(y)) for x, y, *_ in info["sources"]],
        used_up=[coin < chance(params.harmful_deplete_p) for coin in coins],
        dropout=bits(key, t, DROPOUT) >> 1 < chance(params.gradient_dropout),
        noise=noise(params, key, t),
    )


def noise(params, key, t):
    if not params.obs_noise:
        return (0.0,) * 4
    words = [bits(key, 4 * t + channel, NOISE) >> (32 - NOISE_BITS) for channel in range(4)]
    return noise_table(params.obs_noise)[words].tolist()


def compare(world: OriginWorld, observation, info: dict[str, Any]) -> None:
    assert world.position == (info["x"], info["y"])
    table = [[*s.cell, s.harmful, s.active] for s in world.sources]
    assert table == info["sources"].tolist()
    counts = (world.t, world.good_arrivals, world.bad_arrivals, world.reached)
    named = ("t_alive", "good_arrivals", "bad_arrivals", "reached")
    assert counts == tuple(info[name] for name in named)
    levels = (world.energy, world.integrity, world.gained, world.lost, world.integrity_min)
    named = ("energy_units", "integrity_units", "energy_gained", "integrity_lost", "integrity_min")
    assert np.allclose(levels, [info[name] / UNIT for name in named], 0, TOLERANCE)
    assert np.allclose(world.fitness, info["fitness"], 0, 10 * TOLERANCE)
    assert np.allclose(world.drive, info["drive"] / UNIT**2, 0, TOLERANCE)


def random_player(rng, observation):
    return int(rng.integers(5))


def greedy(rng, observation):
    """Along the steeper axis; on the spot, now and then a step aside to come back to it."""
    x, y = observation[:2]
    if x == y == 0:
        return int(rng.choice([0, 0, 3, 4]))
    if abs(x) >= abs(y):
        return 4 if x > 0 else 3
    return 2 if y > 0 else 1


def live(env: ChemotaxisEnv, player, rng, **reset) -> OriginWorld:
    """One life of both worlds, compared after each step."""
    observation, info = env.reset(**reset)
    world = restate(env, info)
    first = drawn(env, info)
    assert np.allclose(world.observation(first.dropout, first.noise), observation, 0, TOLERANCE)
    terminated = False
    while not (terminated or world.truncated):
        action = player(rng, observation)
        observation, reward, terminated, _, info = env.step(action)
        expected, gain = world.step(action, drawn(env, info))
        compare(world, observation, info)
        assert np.allclose(expected, observation, 0, TOLERANCE)
        assert np.isclose(gain, reward, 0, 10 * TOLERANCE)
        assert terminated == world.terminated or abs(world.energy) < ROUNDING
    return world


@pytest.mark.parametrize("player", [random_player, greedy])
@pytest.mark.parametrize("level", LEVELS)
def test_lives_are_those_of_the_origin(level, player):
    env, rng = ChemotaxisEnv(level=level), np.random.default_rng(0)
    lives = [live(env, player, rng, seed=seed) for seed in range(8)]
    lives += [live(env, player, rng) for _ in range(8)]
    assert len({tuple(s.cell for s in world.sources) for world in lives}) > 8
    assert any(world.good_arrivals for world in lives)


@pytest.mark.parametrize(
    "options",
    [
        {"harmful_deplete_p": 0.5},
        {"respawn_delay": 0},
        {"harmful_respawn_delay": 0, "steps": 256},
        {"respawn_delay": 1, "harmful_respawn_delay": 9},
        {"terminate_on_reach": True},
        {"energy_decay": 0.02},
        {"harm": 0.3, "width": 9, "height": 5},
        {"width": 7, "num_sources": 6, "num_harmful": 3},
        {"obs_noise": 0.1},
    ],
    ids=str,
)
@pytest.mark.parametrize("player", [random_player, greedy])
def test_lives_under_other_rules_are_those_of_the_origin(options, player):
    env, rng = ChemotaxisEnv(level="L1.1", **options), np.random.default_rng(0)
    for seed in range(8):
        live(env, player, rng, seed=seed)


@pytest.mark.parametrize(
    "ramps",
    [
        {"gradient_gain": (0.2, 1.5, 0.1, 0.6)},
        {"gradient_bins": (2, 16, 0.0, 0.5)},
        {"gradient_gain": (0.0, 2.0, 0.5, 0.5), "gradient_bins": (3, 3, 0.0, 0.0)},
    ],
    ids=str,
)
def test_senses_grow_as_those_of_the_origin(ramps):
    env, rng = ChemotaxisEnv(level="L0.2", development=ramps), np.random.default_rng(0)
    for seed in range(4):
        live(env, greedy, rng, seed=seed)


@pytest.mark.parametrize("player", [random_player, greedy])
@pytest.mark.parametrize("level", ["L0.1", "L0.2", "L1.0"])
def test_lives_begun_anywhere_are_those_of_the_origin(level, player):
    env, rng = ChemotaxisEnv(level=level), np.random.default_rng(1)
    corner, count = env.params.size, env.params.total_sources
    for seed in range(12):
        options = {
            "position": rng.integers(corner),
            "sources": rng.integers(corner, size=(count, 2)),
            "harmful": rng.random(count) < 0.5,
            "active": rng.random(count) < 0.7,
            "energy": rng.integers(1, UNIT + 1) / UNIT,
            "integrity": rng.integers(1, UNIT + 1) / UNIT,
        }
        if seed % 3 == 0:  # everything in one place
            options["sources"][:] = options["position"]
        live(env, player, rng, seed=seed, options=options)
