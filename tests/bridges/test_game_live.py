import fcntl
import termios
import threading

import numpy as np
import pytest
from tests.bridges.players import SOLO, Player, once
from tests.bridges.raw_agent import RawAgent, running

from tropism.bridges.errors import (
    BridgeError,
)
from tropism.bridges.game import Action, Reset
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import write_json


def waiting_bytes(game):
    """How much has come that the game has not read yet."""
    return int.from_bytes(
        fcntl.ioctl(game._link.channel.fileno(), termios.FIONREAD, b"1234"), "little"
    )


def connect_live(game):
    agents = []
    thread = threading.Thread(target=lambda: agents.append(RawAgent(game.address, mode="latest")))
    thread.start()
    while not game.connected:
        assert game.newest(0.1) is None
    thread.join()
    return agents[0]


def send_all(agent, game, messages):
    """Send messages and wait until all of them have come."""
    for kind, body in messages:
        agent.send(kind, body)
    expected = sum(32 + len(body) for _, body in messages)
    while waiting_bytes(game) < expected:
        assert agent.connection.can_send()


def test_a_live_game_finds_the_newest_action_and_resets_before_it():
    with once(SOLO, live=True) as game, connect_live(game) as agent:
        assert game.newest() is None
        reset = (Type.RESET, write_json({"seed": 1}))
        send_all(agent, game, [reset])
        assert game.newest() == Reset(1, None)
        game.observe(np.zeros(2))
        assert agent.observation().applied == 1
        acts = [(Type.ACTION, agent.actions.encode([i])) for i in range(3)]
        send_all(agent, game, acts)
        assert game.newest() == Action(2)
        assert game.newest() is None
        game.observe(np.zeros(2))
        assert agent.observation().applied == 4
        send_all(agent, game, [acts[0], reset, acts[1]])
        assert game.newest() == Reset(1, None)
        game.observe(np.zeros(2))
        assert agent.observation()[:2] == (0, 6)
        assert game.newest() == Action(1)


def test_frames_before_the_first_reset_are_a_mistake():
    with (
        once(SOLO, live=True) as game,
        connect_live(game),
        pytest.raises(BridgeError, match="there is none"),
    ):
        game.observe(np.zeros(2))


def test_games_that_are_not_live_do_not_offer_it():
    with running(Player(once(SOLO))) as player, RawAgent(player.address) as agent:
        assert "latest" not in agent.facts.caps
