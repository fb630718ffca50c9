"""Environments served as games play as they do in process, live or in lock-step, and survive their agents."""

from functools import partial

import gymnasium
import numpy as np
import pytest
from tests.bridges.raw_agent import RawAgent, next_agent, running
from tests.bridges.toys import LOCAL, Toy, assert_same, once

import tropism.envs  # noqa: F401 - registers
from tropism.bridges.errors import PeerBusy, PeerError
from tropism.bridges.jsonable import from_json
from tropism.bridges.protocol.bodies import Status
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import write_json
from tropism.bridges.serve import Server
from tropism.bridges.transports.handshake import AGENT_CAPS, open_agent, ready
from tropism.bridges.transports.listener import Listener
from tropism.errors import OptionError


@pytest.fixture(params=["tcp", "unix", "ws", "shm"])
def transport(request, tmp_path):
    """An address to listen at, and what the agent must be able to do."""
    addresses = {"unix": f"unix://{tmp_path}/game.sock", "ws": "ws://127.0.0.1:0"}
    caps = AGENT_CAPS if request.param == "shm" else AGENT_CAPS - {"shm"}
    return addresses.get(request.param, LOCAL), caps


@pytest.mark.parametrize(
    "env_id", ["CartPole-v1", "Pendulum-v1", "Taxi-v4", "Blackjack-v1", "tropism/Sanity-Dict-v0"]
)
def test_an_environment_plays_as_in_process(env_id, transport):
    make = partial(gymnasium.make, env_id, disable_env_checker=True)
    local, (address, caps) = make(), transport
    served = Server(make, listen=address, on_agent_lost="exit")
    with running(served) as server, RawAgent(server.address, caps=caps) as agent:
        assert agent.spec.agents[0].observation_space == local.observation_space
        local.action_space.seed(1)
        for episode in range(3):
            seed = 5 if episode == 0 else None
            expected, _ = local.reset(seed=seed)
            assert_same(agent.reset(seed).agents[0].observation, expected)
            over = False
            while not over:
                action = local.action_space.sample()
                expected, reward, terminated, truncated, _ = local.step(action)
                outcome = agent.step(action).agents[0]
                assert outcome[:4] == (float(reward), terminated, truncated, True)
                assert_same(outcome.observation, expected)
                over = terminated or truncated


def test_steps_status_and_numbers_of_requests_are_told():
    with running(once(Toy)) as server, RawAgent(server.address) as agent:
        first = agent.reset()
        assert (first.step, first.applied, first.status) == (0, 1, Status.READY)
        second = agent.step(1)
        assert (second.step, second.applied, second.status) == (1, 2, Status.RUNNING)
        last = [agent.step(0) for _ in range(4)][-1]
        assert (last.step, last.status, last.agents[0].terminated) == (5, Status.TERMINATED, True)
        assert agent.reset().status == Status.READY


def test_seed_options_and_info_travel():
    with running(once(Toy)) as server, RawAgent(server.address) as agent:
        assert agent.reset(seed=2**53 - 1, options={"a": [1]}).info == {
            "seed": 2**53 - 1,
            "options": {"a": [1]},
        }
        array = from_json(agent.step(0).info)["array"]
        assert_same(array, np.arange(3, dtype=np.int16))


def test_what_json_cannot_hold_is_left_out_with_one_warning(caplog):
    class Odd(Toy):
        def step(self, action):
            return *super().step(action)[:4], {"fine": np.float32(0.5), "odd": {1, 2}}

    with running(once(Odd)) as server, RawAgent(server.address) as agent:
        agent.reset()
        assert [agent.step(0).info, agent.step(0).info] == [{"fine": 0.5}] * 2
    assert caplog.text.count("'odd' cannot be sent") == 1


def test_the_specification_says_what_else_there_is_to_know():
    with (
        running(once(partial(gymnasium.make, "CartPole-v1"))) as server,
        RawAgent(server.address) as agent,
    ):
        assert agent.spec.name == "CartPole-v1"
        assert agent.spec.about["max_episode_steps"] == 500
        assert agent.spec.about["metadata"]["render_fps"] == 50
        assert "render" not in agent.facts.caps


def test_rendering_is_a_call():
    with running(once(Toy)) as server, RawAgent(server.address) as agent:
        assert {"call", "render"} <= agent.facts.caps
        agent.reset()
        agent.step(1)
        picture = from_json(agent.call("render")["result"])
        assert_same(picture, np.full((2, 3, 3), 1, np.uint8))
        assert "no such call: 'import'; known: ['render']" in agent.call("import")["error"]


def test_an_exception_of_the_environment_is_told_and_raised():
    with running(once(Toy), raises=ZeroDivisionError) as server:
        agent = RawAgent(server.address)
        agent.reset()
        with pytest.raises(PeerError, match="ZeroDivisionError: two is too many") as caught:
            agent.step(2)
        assert caught.value.code == "internal"
        agent.vanish()


def test_an_exception_of_the_environment_leaves_it_to_the_next_agent(caplog):
    server = Server(Toy, listen=LOCAL)
    with running(server):
        agent = RawAgent(server.address)
        agent.reset()
        with pytest.raises(PeerError):
            agent.step(2)
        agent.vanish()
        with next_agent(server.address) as second:
            assert second.reset().agents[0].observation["count"] == 0
            server.game.wait = False
    assert "waiting for the next agent" in caplog.text


def test_an_observation_out_of_its_space_is_an_error_of_the_environment():
    class Wrong(Toy):
        def _observation(self):
            return {"count": self.count, "pixels": np.zeros((2, 2), np.uint8)}

    with running(once(Wrong), raises=TypeError) as server:
        agent = RawAgent(server.address)
        with pytest.raises(PeerError, match=r"observation space.*pixels"):
            agent.reset()
        agent.vanish()


@pytest.mark.parametrize("action", [3, -1, 2**40])
def test_an_action_that_does_not_exist_is_refused(action):
    with running(once(Toy)) as server:
        agent = RawAgent(server.address)
        agent.reset()
        with pytest.raises(PeerError) as caught:
            agent.step(np.int64(action))
        assert caught.value.code == "action"
        agent.vanish()


def test_the_only_agent_must_act():
    with running(once(Toy)) as server:
        agent = RawAgent(server.address)
        agent.reset()
        with pytest.raises(PeerError, match="must act"):
            agent.step(None)
        agent.vanish()


@pytest.mark.parametrize("goodbye", ["close", "vanish"])
def test_the_next_agent_finds_the_game_waiting(goodbye):
    server = Server(Toy, listen=LOCAL)
    with running(server):
        for number in range(3):
            agent = next_agent(server.address)
            assert agent.reset().applied == 1
            assert agent.step(1).step == 1
            server.game.wait = number < 2
            getattr(agent, goodbye)()


def test_a_second_agent_is_told_that_the_game_is_busy():
    with running(once(Toy)) as server, RawAgent(server.address) as agent:
        agent.reset()
        with pytest.raises(PeerBusy):
            RawAgent(server.address)
        assert agent.step(0).step == 1


def test_a_game_dials_as_well():
    with Listener(LOCAL) as listener:
        with running(Server(Toy, address=str(listener.address))) as server:
            connection = listener.accept(10)
            ready(connection, open_agent(connection, dialled=False))
            connection.send(Type.RESET, write_json({"seed": 1, "options": None}), 1, 1)
            assert connection.receive(10).type == Type.OBS
            connection.close("done")
        assert server.game.over


def test_nobody_to_dial_is_an_error(monkeypatch):
    monkeypatch.delenv("TROPISM_BRIDGE_ADDR", raising=False)
    with pytest.raises(OptionError, match="TROPISM_BRIDGE_ADDR"):
        Server(Toy)


def test_vector_environments_are_refused():
    env = gymnasium.make_vec("CartPole-v1", 2)
    with pytest.raises(OptionError, match="vector"):
        Server(env, listen=LOCAL)
    env.close()


def test_it_closes_the_environment():
    env = Toy()
    with running(once(env)) as server, RawAgent(server.address):
        assert not env.closed
    assert env.closed
