import pytest
from tests.bridges.players import LOCAL, SOLO, Player
from tests.bridges.raw_agent import next_agent, running

from tropism.bridges import link
from tropism.bridges.errors import (
    AuthError,
    ConnectTimeout,
    PeerBusy,
)
from tropism.bridges.game import Game, Reset
from tropism.bridges.link import from_environment
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import write_json
from tropism.bridges.transports.handshake import open_agent, ready
from tropism.bridges.transports.listener import Listener
from tropism.errors import OptionError


def test_the_secret_is_demanded(caplog):
    token = "5a" * 32
    player = Player(Game(SOLO, listen=LOCAL, token=token))
    with running(player):
        for wrong in (None, "00" * 32):
            with pytest.raises(AuthError):
                next_agent(player.address, token=wrong)
        with next_agent(player.address, token=token) as agent:
            agent.reset()
            player.game.wait = False
    assert token not in caplog.text


def test_the_environment_says_where_the_agent_is(monkeypatch):
    found = {
        "TROPISM_BRIDGE_ADDR": "tcp://h:1",
        "TROPISM_BRIDGE_TOKEN": "ab",
        "TROPISM_BRIDGE_SESSION": "s",
    }
    assert from_environment(found) == ("tcp://h:1", "ab", "s")
    assert from_environment({"TROPISM_BRIDGE_ADDR": "tcp://h:1", "TROPISM_BRIDGE_TOKEN": ""})[
        1:
    ] == (None, "")
    with pytest.raises(OptionError, match="TROPISM_BRIDGE_ADDR"):
        from_environment({})


@pytest.fixture
def nobody():
    """An address at which nobody listens."""
    with Listener(LOCAL) as listener:
        return str(listener.address)


def test_a_launched_game_does_not_dial_a_dead_agent_for_ever(monkeypatch, nobody):
    monkeypatch.setattr(link, "DIAL_S", 0.1)
    with Game(SOLO, address=nobody) as game, pytest.raises(ConnectTimeout):
        game.next_request()


def test_a_game_that_waits_dials_until_an_agent_is_there(monkeypatch, nobody):
    monkeypatch.setattr(link, "DIAL_S", 0.1)
    game = Game(SOLO, address=nobody, on_agent_lost="wait")
    assert game.next_request(0.3) is None
    with running(Player(game)) as player, Listener(nobody) as listener:
        for number in range(2):
            connection = listener.accept(20)
            ready(connection, open_agent(connection, dialled=False))
            connection.send(Type.RESET, write_json({"seed": number, "options": None}), 1, 1)
            assert connection.receive(20).type == Type.OBS
            game.wait = number == 0
            connection.close("done")
    assert player.asked == [Reset(0, None), Reset(1, None)]


def test_a_game_that_waits_dials_an_agent_that_is_busy_again(monkeypatch):
    monkeypatch.setattr(link, "LOOK_AGAIN_S", 0.01)
    with Listener(LOCAL) as listener:
        listener.refuse_others()
        with Game(SOLO, address=str(listener.address), on_agent_lost="wait") as game:
            assert game.next_request(0.2) is None
        with pytest.raises(PeerBusy), Game(SOLO, address=str(listener.address)) as game:
            game.next_request()
