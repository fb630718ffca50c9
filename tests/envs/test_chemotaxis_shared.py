"""Several organisms in one world: who eats, who dies, and that one alone lives as in the single environment."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from tropism.envs import make_parallel
from tropism.envs.chemotaxis.levels import LEVELS
from tropism.envs.chemotaxis.observation import DOWN, LEFT, RIGHT, STAY, UP
from tropism.envs.chemotaxis.params import UNIT
from tropism.envs.chemotaxis.shared_senses import alone, shared_channels
from tropism.envs.chemotaxis.streams import TURN
from tropism.envs.chemotaxis.tables import gradient_table
from tropism.envs.core.random import bits, episode_key, seed_key

ID = "tropism/Chemotaxis-Shared-v0"
GROWING = {
    "gradient_gain": (0.2, 1.0, 0.0, 0.5),
    "gradient_bins": (2, 16, 0.1, 0.6),
    "motor": (0.3, 1.0, 0.0, 0.5),
    "resources": (2.0, 1.0, 0.0, 0.7),
    "hazards": (0.0, 1.5, 0.2, 0.9),
}
VARIANTS = (
    ("L0.2", {"obs_noise": 0.1, "harm": 0.1, "gradient_dropout": 0.2}),
    ("L1.0", {"harmful_deplete_p": 0.4, "harmful_respawn_delay": 0}),
    ("L0.2", {"sensing_range": 3, "terminate_on_reach": True, "steps": 60}),
    *((level, {"development": GROWING, "obs_noise": 0.05}) for level in ("L1.1", "L3.0", "L4.2")),
)
CASES = [*((level, {}) for level in LEVELS), *VARIANTS]


def make(**kwargs):
    return make_parallel(ID, **kwargs)


def one_source(**kwargs):
    """A world with one good source unless told otherwise, and two organisms."""
    kwargs = {"num_sources": 1, "num_harmful": 0, "organisms": 2} | kwargs
    return make(**kwargs)


def meet(env, seed=0, **options):
    """Let everybody come to the source in the same step, from all sides."""
    sides = [((4, 5), RIGHT), ((6, 5), LEFT), ((5, 4), DOWN), ((5, 6), UP)][
        : len(env.possible_agents)
    ]
    options = {"sources": [(5, 5)], "position": [place for place, _ in sides]} | options
    env.reset(seed=seed, options=options)
    actions = [action for _, action in sides]
    return env.step(dict(zip(env.agents, actions, strict=True)))


def fed(outcome):
    """Indices of those who fed."""
    infos = outcome[4].values()
    return [index for index, info in enumerate(infos) if info["good_arrivals"]]


def forage(rng, sensed):
    """Half of the time towards what is smelt, else random."""
    dx, dy = sensed[:2]
    if rng.random() < 0.5:
        return int(rng.integers(5))
    return (RIGHT if dx > 0 else LEFT) if abs(dx) >= abs(dy) else (DOWN if dy > 0 else UP)


def same(one, other):
    """Values, types and shapes are equal."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            same(one[name], other[name])
    else:
        a, b = np.asarray(one), np.asarray(other)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


# -- alone ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "kwargs"), CASES)
def test_one_organism_alone_lives_as_in_the_single_environment(level, kwargs):
    single = gym.make(f"tropism/Chemotaxis-{level}-v0", **kwargs)
    shared = make(level=level, organisms=1, **kwargs)
    rng, options = np.random.default_rng(3), {"position": shared.params.start}
    for seed in (7, None, None):
        sensed, info = single.reset(seed=seed)
        observations, infos = shared.reset(seed=seed, options=options)
        ended = False
        while not ended:
            observed = observations["organism_0"]
            same(alone(shared.params, observed), sensed)
            same(infos["organism_0"], info)
            action = forage(rng, sensed)
            sensed, reward, terminated, truncated, info = single.step(action)
            outcome = shared.step({"organism_0": action})
            observations, infos = outcome[0], outcome[4]
            assert [part["organism_0"] for part in outcome[1:4]] == [reward, terminated, truncated]
            ended = terminated or truncated
        same(infos["organism_0"], info)
        assert shared.agents == []


@pytest.mark.parametrize("survivor", [0, 1])
def test_who_is_left_lives_as_if_it_had_been_alone(survivor):
    lonely, crowd = make(organisms=1), make(organisms=2)
    energy = [1.0, 1.0 / UNIT]
    crowd.reset(seed=5, options={"position": (3, 4), "energy": energy[:: 1 - 2 * survivor]})
    observations, _ = lonely.reset(seed=5, options={"position": (3, 4)})
    me, rng = f"organism_{survivor}", np.random.default_rng(1)
    crowd.step(dict.fromkeys(crowd.agents, STAY))
    observations = lonely.step({"organism_0": STAY})[0]
    assert crowd.agents == [me]
    while lonely.agents:
        action = forage(rng, observations["organism_0"])
        left, right = lonely.step({"organism_0": action}), crowd.step({me: action})
        same([part["organism_0"] for part in left[:4]][1:], [part[me] for part in right[:4]][1:])
        same(left[0]["organism_0"], right[0][me])
        same(left[4]["organism_0"], right[4][me])
        observations = left[0]


# -- sharing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("organisms", [2, 3, 4])
def test_of_several_at_a_source_one_eats_each_with_equal_chance(organisms):
    env, episodes = one_source(organisms=organisms), 600
    winners = []
    for seed in range(episodes):
        outcome = meet(env, seed)
        (winner,) = fed(outcome)
        key = episode_key(seed_key(seed), 0)
        words = [bits(key, organisms + index, TURN) for index in range(organisms)]
        assert winner == words.index(min(words))
        winners.append(winner)
    share = np.bincount(winners, minlength=organisms) / episodes
    assert np.abs(share - 1 / organisms).max() < 4 * (0.25 / episodes) ** 0.5


def test_the_order_of_turns_is_another_one_in_each_step():
    env = one_source(organisms=3)
    env.reset(seed=0)
    orders = set()
    for _ in range(60):
        orders.add(tuple(organism.index for organism in env.world._in_turn()))
        env.step(dict.fromkeys(env.agents, STAY))
    assert len(orders) == 6


def test_what_one_ate_is_gone_for_the_other_who_stands_in_the_same_cell():
    outcome = meet(one_source())
    infos = list(outcome[4].values())
    (winner,) = fed(outcome)
    loser = infos[1 - winner]
    assert (loser["x"], loser["y"]) == (infos[winner]["x"], infos[winner]["y"]) == (5, 5)
    assert (loser["energy_gained"], loser["reached"], loser["event"]) == (0, False, 0)
    assert sorted(outcome[1].values()) == [1.0, 1.0 + 10 * 0.25 + 50]
    assert infos[0]["sources"][0, 3] == 0


def test_a_harmful_source_harms_the_first_or_everybody():
    once = meet(one_source(num_harmful=1), harmful=[True])
    always = meet(one_source(num_harmful=1, harmful_deplete_p=0.0), harmful=[True])
    assert sorted(info["bad_arrivals"] for info in once[4].values()) == [0, 1]
    assert [info["bad_arrivals"] for info in always[4].values()] == [1, 1]


def test_a_source_that_lasts_feeds_everybody():
    env = make(level="L0.1", organisms=2)
    assert fed(meet(env)) == [0, 1]


def test_two_sources_in_one_cell_are_eaten_by_one():
    env = make(num_sources=2, num_harmful=0, organisms=2)
    outcome = meet(env, sources=[(5, 5), (5, 5)])
    assert sorted(info["good_arrivals"] for info in outcome[4].values()) == [0, 2]


def test_time_of_a_source_runs_once_a_step_however_many_live():
    env = one_source(organisms=4, respawn_delay=5)
    infos = meet(env)[4]
    for left in range(5, 0, -1):
        assert (env.world.ground.timers, infos["organism_0"]["sources"][0, 3]) == ([left], 0)
        infos = env.step(dict.fromkeys(env.agents, STAY))[4]
    assert infos["organism_0"]["sources"][0, 3] == 1


# -- what is sensed of others -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kwargs", [{}, {"sensing_range": 4}, {"level": "L2.0", "organisms": 6}])
def test_the_nearest_other_living_organism_is_sensed(kwargs):
    env, rng = make(**kwargs), np.random.default_rng(0)
    place = shared_channels(env.params).index("other_x")
    tables = [gradient_table(n, None, env.params.steps)[0] for n in env.params.size]
    observations, infos = env.reset(seed=2)
    while env.agents:
        for me in env.agents:
            ways = [
                (infos[other]["x"] - infos[me]["x"], infos[other]["y"] - infos[me]["y"])
                for other in env.agents
                if other != me
            ]
            reach = env.params.sensing_range or 1000
            near = [(dx, dy) for dx, dy in ways if dx**2 + dy**2 <= reach**2]
            way = min(near, key=lambda way: way[0] ** 2 + way[1] ** 2, default=(0, 0))
            pairs = zip(way, tables, env.params.size, strict=True)
            expected = [table[step + size - 1] for step, table, size in pairs]
            assert observations[me][place : place + 2].tolist() == expected
        actions = {agent: forage(rng, observations[agent]) for agent in env.agents}
        observations, _, _, _, infos = env.step(actions)


def test_chance_strikes_each_on_its_own():
    env = make(organisms=3, gradient_dropout=0.5, obs_noise=0.1, energy_decay=0.0)
    observations, _ = env.reset(seed=0, options={"position": (3, 3)})
    noise = np.array([list(observations.values())])
    for _ in range(100):
        observations = env.step(dict.fromkeys(env.agents, STAY))[0]
        noise = np.append(noise, [list(observations.values())], 0)
    energy = noise[:, :, shared_channels(env.params).index("energy")]
    assert np.abs(np.corrcoef(energy.T) - np.eye(3)).max() < 0.4


# -- the end ----------------------------------------------------------------------------------------------------


def test_the_dead_leave():
    env = make(organisms=3)
    env.reset(seed=1, options={"energy": [1.0, 1 / UNIT, 1.0]})
    observations, _, terminated, truncated, _ = env.step(dict.fromkeys(env.agents, STAY))
    assert list(terminated.values()) == [False, True, False]
    assert not any(truncated.values())
    assert list(observations) == ["organism_0", "organism_1", "organism_2"]
    assert env.agents == ["organism_0", "organism_2"]
    assert list(env.step(dict.fromkeys(env.agents, STAY))[0]) == env.agents


def test_the_episode_ends_with_the_last_life():
    env = make()
    env.reset(seed=1, options={"energy": 1 / UNIT})
    assert all(env.step(dict.fromkeys(env.agents, STAY))[2].values())
    assert env.agents == []
    with pytest.raises(ResetNeeded, match="after the end of all lives"):
        env.step({})


def test_the_living_are_truncated():
    env = make(max_cycles=3)
    env.reset(seed=1)
    for flag in (False, False, True):
        _, _, terminated, truncated, _ = env.step(dict.fromkeys(env.agents, STAY))
        assert set(truncated.values()) == {flag}
        assert not any(terminated.values())
    assert env.agents == []


def test_who_never_eats_where_hunger_is_slow_ends_with_both_flags():
    env = make(level="L0.2", num_harmful=0, organisms=1)
    env.reset(seed=1, options={"sources": [(0, 0)] * 4})
    terminated = truncated = infos = {}
    while env.agents:
        _, _, terminated, truncated, infos = env.step({"organism_0": STAY})
    assert terminated == truncated == {"organism_0": True}
    assert infos["organism_0"]["t_alive"] == 128
