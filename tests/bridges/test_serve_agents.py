from functools import partial

import pytest
from pettingzoo.utils.conversions import parallel_to_aec
from tests.bridges.raw_agent import RawAgent, running
from tests.bridges.toys import assert_same, once

import tropism.envs  # noqa: F401 - registers
from tropism.bridges.errors import PeerError
from tropism.envs.parallel import make_parallel

SHARED = "tropism/Chemotaxis-Shared-v0"


def play_parallel(agent, local, seed):
    """Play an episode here and there with the same actions."""
    ids = [spec.id for spec in agent.spec.agents]
    for number, name in enumerate(ids):
        local.action_space(name).seed(number)
    expected, _ = local.reset(seed=seed)
    for name, outcome in zip(ids, agent.reset(seed).agents, strict=True):
        assert_same(outcome.observation, expected[name])
    steps = 0
    while local.agents and steps < 200:
        actions = {name: local.action_space(name).sample() for name in local.agents}
        expected, rewards, terminated, truncated, _ = local.step(actions)
        shown = agent.step(*(actions.get(name) for name in ids))
        for name, outcome in zip(ids, shown.agents, strict=True):
            assert outcome.alive == (name in expected)
            if outcome.alive:
                assert outcome[:3] == (rewards[name], terminated[name], truncated[name])
                assert_same(outcome.observation, expected[name])
        steps += 1
    return steps


def test_several_agents_play_as_in_process():
    make = partial(make_parallel, SHARED)
    with running(once(make)) as server, RawAgent(server.address) as agent:
        assert len(agent.spec.agents) > 1
        for seed in (1, 2):
            assert play_parallel(agent, make(), seed) > 10


def test_environments_that_take_turns_are_played_in_parallel():
    make = partial(make_parallel, SHARED)
    served = once(lambda: parallel_to_aec(make()))
    with running(served) as server, RawAgent(server.address) as agent:
        assert play_parallel(agent, make(), 3) > 10


def test_each_agent_that_is_alive_must_act():
    with running(once(partial(make_parallel, SHARED))) as server:
        agent = RawAgent(server.address)
        agent.reset(seed=1)
        with pytest.raises(PeerError, match="must act"):
            agent.step(*[None] * len(agent.spec.agents))
        agent.vanish()
