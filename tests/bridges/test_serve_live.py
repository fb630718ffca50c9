import time
from functools import partial

import numpy as np
import pytest
from gymnasium import spaces
from tests.bridges.raw_agent import RawAgent, next_agent, running
from tests.bridges.toys import LOCAL, Toy, once

import tropism.envs  # noqa: F401 - registers
from tropism.bridges.errors import UnsupportedMessage
from tropism.bridges.protocol.header import Type
from tropism.bridges.serve import Server
from tropism.bridges.serve.server import idle_action


def test_live_frames_come_by_themselves_and_tell_what_they_show():
    with (
        running(once(partial(Toy, 10**6), fps=200)) as server,
        RawAgent(server.address, mode="latest") as agent,
    ):
        assert agent.spec.hold
        agent.ask_reset(seed=1)
        frames = [agent.observation() for _ in range(5)]
        assert [frame.step for frame in frames] == [0, 1, 2, 3, 4]
        assert {frame.applied for frame in frames} == {1}
        agent.act(1)
        frame = agent.observation()
        while frame.applied < agent.seq:
            frame = agent.observation()
        assert frame.agents[0].reward == 0.1
        assert agent.observation().agents[0].reward == 0.1  # the action is held


def test_a_live_episode_ends_and_a_reset_begins_the_next():
    with (
        running(once(Toy, fps=200)) as server,
        RawAgent(server.address, mode="latest") as agent,
    ):
        for _ in range(2):
            agent.ask_reset()
            message = agent.receive(Type.OBS)
            assert message.episode == agent.episode
            while not agent.frames.decode(message.body).agents[0].terminated:
                message = agent.receive(Type.OBS)
            assert message.episode == agent.episode


def test_an_agent_that_does_not_read_holds_no_live_game_up():
    class Large(Toy):
        observation_space = spaces.Dict(Toy.observation_space, huge=spaces.MultiBinary(500_000))

        def _observation(self):
            return super()._observation() | {"huge": np.zeros(500_000, np.int8)}

    with (
        running(once(partial(Large, 10**6), fps=1000)) as server,
        RawAgent(server.address, mode="latest") as agent,
    ):
        agent.ask_reset()
        end = time.monotonic() + 20
        while server.game.dropped < 20 and time.monotonic() < end:
            time.sleep(0.01)
        assert server.game.dropped >= 20
        steps = [agent.observation().step for _ in range(40)]
        assert steps == sorted(steps)
        assert steps[-1] >= 20


def test_lockstep_games_do_not_play_live():
    server = Server(Toy, listen=LOCAL)
    with running(server):
        with pytest.raises(UnsupportedMessage):
            RawAgent(server.address, mode="latest")
        server.game.wait = False
        next_agent(server.address).close()


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(1, 2, (2,)),
        spaces.Discrete(3, start=-5),
        spaces.MultiDiscrete([2, 3], start=[4, 5]),
        spaces.MultiBinary(3),
        spaces.Dict({"a": spaces.Tuple([spaces.Discrete(2), spaces.Box(-3, -1, (1,))])}),
        spaces.Text(4),
    ],
    ids=lambda space: type(space).__name__,
)
def test_idle_actions_are_actions(space):
    assert space.contains(idle_action(space))
