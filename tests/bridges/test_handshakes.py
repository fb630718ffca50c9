"""The opening of a session, and everything that can be wrong with it, on both sides."""

import time

import pytest
from tests.bridges.greetings import TOKEN, agent, game, greeting, speak, speak_then_close
from tests.bridges.pairs import SPEC, both, connected

from tropism.bridges.errors import (
    AuthError,
    BridgeError,
    HandshakeTimeout,
    PeerError,
    SpecMismatch,
    UnsupportedMessage,
)
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import encode, read_json, write_json
from tropism.bridges.transports import hello
from tropism.bridges.transports.handshake import open_agent, open_game
from tropism.errors import OptionError

OTHER = "a5" * 32


@pytest.mark.parametrize("agent_dials", [True, False])
@pytest.mark.parametrize("token", [None, TOKEN, bytes.fromhex(TOKEN)])
def test_two_peers_agree(pair, agent_dials, token):
    near, far = pair
    options = {"token": token, "caps": ("latest", "shm", "new"), "mode": "latest", "session": "s"}
    ours, theirs = both(
        lambda: agent(far if agent_dials else near, agent_dials, max_message=70_000, **options),
        lambda: game(near if agent_dials else far, not agent_dials, token=token, session="s"),
    )
    for side in (ours, theirs):
        assert side.caps == {"latest", "shm"}
        assert (side.mode, side.session, side.max_message, side.major) == ("latest", "s", 70_000, 1)
        assert side.spec == SPEC
        assert near.max_message == far.max_message == 70_000
    assert (ours.peer.role, theirs.peer.role) == ("game", "agent")
    assert ours.peer.session == "s"


def test_each_session_has_fresh_nonces():
    nonces = {hello.own_hello("agent", (), "", "", "", False)["nonce"] for _ in range(100)}
    assert len(nonces) == 100


@pytest.mark.parametrize("agent_dials", [True, False])
@pytest.mark.parametrize(
    ("mine", "yours"),
    [(TOKEN, OTHER), (TOKEN, None), (None, TOKEN)],
    ids=["other", "mine", "yours"],
)
def test_without_the_same_token_both_are_refused(pair, agent_dials, mine, yours):
    near, far = pair
    start = time.monotonic()
    ours, theirs = both(
        lambda: agent(far if agent_dials else near, agent_dials, token=mine),
        lambda: game(near if agent_dials else far, not agent_dials, token=yours),
    )
    assert isinstance(ours, AuthError)
    assert isinstance(theirs, AuthError)
    assert time.monotonic() - start < 3
    assert "Box" not in str(ours) + str(theirs)


def test_a_game_is_not_made_to_run_live_without_its_capability():
    welcome = {"caps": ["latest"], "max_message": 1000, "mode": "latest", "session": ""}
    with connected("tcp") as (near, far):
        caught, heard = both(
            lambda: game(near, dialled=False, caps=("seed",)),
            lambda: speak(far, greeting("agent"), (Type.WELCOME, welcome)),
        )
    assert isinstance(caught, UnsupportedMessage)
    assert heard[-1].code == "unsupported"


def test_capabilities_that_nobody_offered_cannot_be_granted():
    welcome = {"caps": ["shm", "crc", "x"], "max_message": 1000, "mode": "lockstep", "session": ""}
    with connected("tcp") as (near, far):
        agreed, _ = both(
            lambda: open_game(near, SPEC, dialled=False, caps=("crc",)),
            lambda: speak_then_close(far, greeting("agent"), (Type.WELCOME, welcome)),
        )
    assert agreed.caps == {"crc"}
    assert near.crc


def test_another_specification_is_noticed():
    with connected("tcp") as (near, far):

        def careless(connection):
            open_agent(connection, dialled=False)
            return speak(connection, (Type.READY, {"spec": "0" * 32}))

        heard, caught = both(lambda: careless(near), lambda: game(far))
    assert isinstance(caught, SpecMismatch)
    assert heard[-1].code == "spec"


def test_a_game_that_cannot_run_live_is_not_made_to():
    with connected("tcp") as (near, far):
        caught, theirs = both(lambda: agent(near, mode="latest"), lambda: game(far, caps=("shm",)))
    assert isinstance(caught, UnsupportedMessage)
    assert isinstance(theirs, PeerError)


@pytest.mark.parametrize("stage", [(), (greeting(),)], ids=["silence", "no spec"])
def test_a_peer_that_stops_speaking_is_given_up(stage):
    with connected("tcp") as (near, far):
        start = time.monotonic()
        caught, heard = both(lambda: agent(near, timeout=0.3), lambda: speak(far, *stage))
        assert time.monotonic() - start < 5
    assert isinstance(caught, HandshakeTimeout)
    assert heard[-1].code == "timeout"


def test_a_slow_peer_has_one_time_for_everything():
    with connected("tcp") as (near, far):
        wire = encode(Type.HELLO, write_json(greeting()[1]))

        def dribble():
            for i in range(len(wire)):
                far._sock.send(wire[i : i + 1])
                try:
                    far.receive(0.01)
                except HandshakeTimeout:
                    raise
                except BridgeError as error:
                    if isinstance(error, PeerError):
                        return error
            return None

        caught, told = both(lambda: agent(near, timeout=0.3), dribble)
    assert isinstance(caught, HandshakeTimeout)
    assert told.code == "timeout"


@pytest.mark.parametrize("token", ["abc", "zz" * 32, b"short"])
def test_a_token_that_is_none_is_refused_at_once(token):
    with connected("tcp") as (near, _), pytest.raises(OptionError, match="token"):
        open_agent(near, dialled=False, token=token)


def test_a_mode_that_is_none_is_refused_at_once():
    with connected("tcp") as (near, _), pytest.raises(OptionError, match="mode"):
        open_agent(near, dialled=False, mode="fast")


def test_tokens_are_fresh():
    tokens = {hello.new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(hello.secret(token)) == 32 for token in tokens)
    assert hello.secret("") is None


def test_the_error_that_is_sent_names_its_code():
    with connected("tcp") as (near, far):
        near.refuse(SpecMismatch("agents[0].obs", "Box(3)", "Box(4)"))
        message = far._stream.next() or (far._read() and far._stream.next())
    assert read_json(message.body, message.type)["code"] == "spec"
