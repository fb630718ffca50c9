"""The client library for games in Python: requests in order, answers checked, agents that misbehave refused."""

import threading
import time

import numpy as np
import pytest
from gymnasium import spaces
from tests.bridges.players import LOCAL, SOLO, Player, once
from tests.bridges.raw_agent import RawAgent, next_agent, running

from tropism.bridges.errors import (
    BridgeError,
    InvalidValue,
    PeerError,
)
from tropism.bridges.game import AgentSpec, Close, Game, Reset, Spec, Step
from tropism.bridges.protocol.bodies import ActionCodec
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import read_json, write_json
from tropism.bridges.requests import checker
from tropism.errors import OptionError

PAIR = Spec("pair", [AgentSpec(i, spaces.Discrete(9), spaces.Discrete(9)) for i in ("a", "b")])


def test_requests_come_as_they_were_sent():
    with running(Player(once(SOLO))) as player, RawAgent(player.address) as agent:
        agent.reset(seed=3, options={"level": 2})
        agent.step(2)
        agent.reset()
    assert player.asked == [Reset(3, {"level": 2}), Step(2), Reset(None, None)]
    assert player.last == Close("done")


def test_answers_carry_rewards_flags_and_time():
    def answer(request):
        flags = {"terminated": np.bool_(True)} if isinstance(request, Step) else {}
        game.observe([0.5, -0.5], 1.5, **flags, info={"x": 1}, game_time=77)

    game = once(SOLO)
    with running(Player(game, answer)) as player, RawAgent(player.address) as agent:
        first = agent.reset()
        assert first.agents[0][:4] == (0.0, False, False, True)  # nothing can be earned by a reset
        second = agent.step(0)
    assert second.agents[0][:4] == (1.5, True, False, True)
    assert (second.info, second.game_time) == ({"x": 1}, 77)


def test_several_agents_are_named():
    def answer(request):
        if isinstance(request, Reset):
            game.observe({"a": 1, "b": 2}, info={"a": {"x": 1}})
        else:
            game.observe({"b": 3}, reward={"b": 0.5}, truncated=True)

    game = once(PAIR)
    with running(Player(game, answer)) as player, RawAgent(player.address) as agent:
        assert [a.observation for a in agent.reset().agents] == [1, 2]
        dead, alive = agent.step(None, 7).agents
    assert (dead.alive, dead.reward) == (False, 0.0)
    assert (alive.observation, alive.reward, alive.truncated) == (3, 0.5, True)
    assert player.asked[1] == Step({"b": 7})


def test_an_observation_of_nobody_is_refused():
    with pytest.raises(InvalidValue, match=r"\['c'\]"):
        run_with(PAIR, lambda game: game.observe({"c": 1}))


def test_an_observation_of_the_wrong_shape_is_refused():
    with pytest.raises(InvalidValue):
        run_with(SOLO, lambda game: game.observe(np.zeros(3, np.float32)))


def run_with(spec, mistake):
    """Let a game make a mistake when it is asked for a reset, and raise what comes of it."""
    caught = []

    def answer(request):
        try:
            mistake(game)
        except Exception as error:
            caught.append(error)
            game.fail(BridgeError("a mistake"))

    game = once(spec)
    with running(Player(game, answer)) as player:
        agent = RawAgent(player.address)
        agent.ask_reset()
        with pytest.raises(PeerError, match="a mistake"):
            agent.receive()
        agent.vanish()
    raise caught[0]


def test_every_request_must_be_answered():
    with pytest.raises(BridgeError, match="RESET must be answered by observe"):
        run_with(SOLO, lambda game: game.next_request(0.0))


def test_nothing_can_be_shown_that_was_not_asked_for():
    def answer(request):
        game.observe(np.zeros(2))
        with pytest.raises(BridgeError, match="there is none"):
            game.observe(np.zeros(2))
        asked.append(request)

    game, asked = once(SOLO), []
    with running(Player(game, answer)) as player, RawAgent(player.address) as agent:
        agent.reset()
    assert len(asked) == 1


def test_waiting_for_a_request_ends_in_time():
    with once(SOLO) as game:
        start = time.monotonic()
        assert game.next_request(0.05) is None
        assert 0.05 <= time.monotonic() - start < 5.0


def test_old_requests_are_ignored():
    with running(Player(once(SOLO))) as player, RawAgent(player.address) as agent:
        agent.reset()
        agent.step(0)
        body = agent.actions.encode([1])
        for old in (1, 2, 2**31 + 2):
            agent.connection.send(Type.STEP, body, old, agent.episode)
        assert agent.step(2).applied == 3
    assert player.asked[1:] == [Step(0), Step(2)]


def test_numbers_of_requests_wrap_around():
    with running(Player(once(SOLO))) as player, RawAgent(player.address) as agent:
        for seq in (2**31 - 2, 2**32 - 3):
            agent.seq = seq
            agent.reset()
        applied = [agent.step(0).applied]
        agent.seq = 0
        applied.append(agent.step(0).applied)
    assert applied == [2**32 - 1, 1]


def bad_messages():
    action = bytes(ActionCodec(SOLO).encode([1]))
    return {
        "a step before the first reset": [(Type.STEP, action)],
        "a body too short": ["reset", (Type.STEP, action[:-1])],
        "a body too long": ["reset", (Type.STEP, action + b"\0" * 8)],
        "an action of the other mode": ["reset", (Type.ACTION, action)],
        "an answer": ["reset", (Type.OBS, b"")],
        "a second opening": ["reset", (Type.HELLO, b"{}")],
        "a negative seed": [(Type.RESET, b'{"seed": -1}')],
        "a seed that is text": [(Type.RESET, b'{"seed": "1"}')],
        "options that are a list": [(Type.RESET, b'{"seed": 1, "options": []}')],
        "no JSON": [(Type.RESET, b"{")],
        "a call without a number": ["reset", (Type.CALL, b'{"name": "x"}')],
    }


@pytest.mark.parametrize("what", bad_messages())
def test_an_agent_that_breaks_the_protocol_is_told_and_the_game_goes_on(what):
    player = Player(Game(SOLO, listen=LOCAL))
    with running(player):
        agent = RawAgent(player.address)
        for message in bad_messages()[what]:
            agent.reset() if message == "reset" else agent.send(*message)
        with pytest.raises(PeerError) as caught:
            agent.receive()
        assert caught.value.code == "protocol"
        agent.vanish()
        with next_agent(player.address) as second:
            second.reset()
            player.game.wait = False


def test_calls_are_answered_while_the_game_waits():
    def fail(_):
        raise KeyError("lost")

    calls = {"add": lambda args: args["x"] + 1, "fail": fail, "odd": lambda _: {1, 2}}
    with running(Player(once(SOLO, calls=calls))) as player, RawAgent(player.address) as agent:
        assert agent.call("add", {"x": 1}, 5) == {"id": 5, "result": 2}
        assert agent.call("fail")["error"] == "KeyError: 'lost'"
        assert "set" in agent.call("odd")["error"]
        assert "no such call" in agent.call("remove")["error"]
        agent.reset()


def test_events_go_both_ways():
    heard = []

    def answer(request):
        game.event("cheer", {"n": np.int32(3)})
        game.observe(np.zeros(2))

    game = once(SOLO, on_event=lambda *event: heard.append(event))
    with running(Player(game, answer)) as player, RawAgent(player.address) as agent:
        agent.connection.send(Type.EVENT, write_json({"name": "hi", "data": [1]}))
        agent.ask_reset()
        event = agent.receive(Type.EVENT)
        assert read_json(event.body, Type.EVENT) == {"name": "cheer", "data": {"n": 3}}
        agent.observation()
    assert heard == [("hi", [1])]


def test_pings_are_answered_while_the_game_waits():
    with running(Player(once(SOLO))) as player, RawAgent(player.address) as agent:
        agent.connection.send(Type.PING, b"abc")
        assert bytes(agent.receive(Type.PONG).body) == b"abc"


def test_an_answer_to_an_agent_that_is_gone_is_dropped():
    left = threading.Event()
    large = spaces.Box(0, 255, (8_000_000,), np.uint8)  # so that the system cannot take it all

    def answer(request):
        assert left.wait(20)
        game.observe(np.zeros(8_000_000, np.uint8))
        open_afterwards.append(game.connected)

    game, open_afterwards = once(Spec("large", [AgentSpec("me", large, large)])), []
    with running(Player(game, answer)) as player:
        agent = RawAgent(player.address)
        agent.ask_reset()
        agent.vanish()
        left.set()
    assert open_afterwards == [False]


def test_wrong_arguments_are_named():
    with pytest.raises(OptionError, match="on_agent_lost='never'"):
        Game(SOLO, listen=LOCAL, on_agent_lost="never")
    with pytest.raises(OptionError, match="not both"):
        Game(SOLO, listen=LOCAL, address=LOCAL)


@pytest.mark.parametrize(
    ("space", "good", "bad", "part"),
    [
        (spaces.Discrete(2, start=3), 4, 5, "p"),
        (spaces.Box(-1, 1, (1,)), np.float32([9]), np.float32([np.nan]), "p"),
        (spaces.MultiDiscrete([2, 2]), np.array([1, 1]), np.array([1, 2]), "p"),
        (spaces.Dict(a=spaces.Tuple([spaces.Discrete(2)])), {"a": (1,)}, {"a": (2,)}, r"p\.a\[0\]"),
    ],
)
def test_actions_are_checked_by_their_parts(space, good, bad, part):
    check = checker(space, "p")
    check(good)
    with pytest.raises(InvalidValue, match=f"^{part} = "):
        check(bad)
