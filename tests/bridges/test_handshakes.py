"""The opening of a session, and everything that can be wrong with it, on both sides."""

import time

import pytest
from tests.bridges.pairs import SOCKETS, SPEC, both, connected

from tropism.bridges.errors import (
    AuthError,
    BridgeError,
    ConnectionLost,
    HandshakeTimeout,
    MessageTooLarge,
    PeerError,
    ProtocolError,
    SpecMismatch,
    UnexpectedMessage,
    UnsupportedMessage,
    VersionMismatch,
)
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import encode, read_json, write_json
from tropism.bridges.transports import hello
from tropism.bridges.transports.handshake import expect_ready, open_agent, open_game, ready
from tropism.errors import OptionError

TOKEN = "5a" * 32
OTHER = "a5" * 32


@pytest.fixture(params=SOCKETS)
def pair(request):
    with connected(request.param) as pair:
        yield pair


def agent(connection, dialled=False, **options):
    agreed = open_agent(connection, dialled=dialled, **options)
    ready(connection, agreed)
    return agreed


def game(connection, dialled=True, spec=SPEC, **options):
    agreed = open_game(connection, spec, dialled=dialled, **options)
    assert expect_ready(connection, agreed) is None
    return agreed


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


def speak(connection, *messages):
    """Be a peer that says just this, and return what it hears."""
    for kind, body in messages:
        connection.send(kind, body if isinstance(body, bytes) else write_json(body))
    heard = []
    try:
        while True:
            heard.append(connection.receive(10))
    except BridgeError as error:
        heard.append(error)
    return heard


def greeting(role="game", **changes):
    facts = hello.own_hello(role, ("shm",), "", "x", "1", False) | changes
    return Type.HELLO, {key: value for key, value in facts.items() if value is not ...}


def test_a_token_is_demanded_even_of_who_does_not_say_whether_it_has_one(pair):
    near, far = pair
    caught, heard = both(
        lambda: agent(near, token=TOKEN, timeout=0.3), lambda: speak(far, greeting(auth=...))
    )
    assert isinstance(caught, AuthError)
    assert [message.type for message in heard[:-1]] == [Type.HELLO]
    assert isinstance(heard[-1], AuthError)


def test_a_token_that_nobody_asked_for_is_refused(pair):
    near, far = pair
    caught, heard = both(
        lambda: agent(near), lambda: speak(far, greeting(auth=...), (Type.AUTH, {"mac": "0"}))
    )
    assert isinstance(caught, AuthError)
    assert isinstance(heard[-1], AuthError)


@pytest.mark.parametrize("mac", ["", "0" * 64, "ü" * 64, None, 5])
def test_a_wrong_proof_reveals_nothing(pair, mac):
    near, far = pair
    caught, heard = both(
        lambda: agent(near, token=TOKEN),
        lambda: speak(far, greeting(auth=True), (Type.AUTH, {"mac": mac})),
    )
    assert isinstance(caught, AuthError)
    assert [message.type for message in heard[:-1]] == [Type.HELLO]
    assert str(heard[-1]) == "the peer refuses: auth"


def test_a_proof_cannot_be_sent_back_as_ones_own():
    token = bytes(32)
    assert hello.proof(token, "agent", "a", "b") != hello.proof(token, "game", "a", "b")


@pytest.mark.parametrize(
    ("proto", "least", "good"),
    [([1, 7], 1, True), ([2, 0], 1, True), ([2, 0], 2, False), ([0, 9], 0, False)],
)
def test_versions_are_compared_by_their_major(pair, proto, least, good):
    near, far = pair
    greet = greeting(proto=proto, min_major=least, caps=["shm", "telepathy"])
    spec = (Type.SPEC, SPEC.to_bytes())
    caught, heard = both(lambda: agent(near), lambda: speak_then_close(far, greet, spec))
    if good:
        assert caught.major == 1
        assert caught.caps == {"shm"}
    else:
        assert isinstance(caught, VersionMismatch)
        assert isinstance(heard[-1], VersionMismatch)
        for text in (str(caught), str(heard[-1])):
            assert "1.0" in text
            assert f"{proto[0]}.{proto[1]}" in text


def speak_then_close(connection, *messages):
    heard = []
    for kind, body in messages:
        connection.send(kind, body if isinstance(body, bytes) else write_json(body))
        try:
            heard.append(connection.receive(5))
        except BridgeError as error:
            return [*heard, error]
    return heard


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"role": "agent"}, ProtocolError),
        ({"role": "spectator"}, ProtocolError),
        ({"nonce": "A" * 64}, ProtocolError),
        ({"nonce": ...}, ProtocolError),
        ({"caps": "shm"}, ProtocolError),
        ({"caps": [1]}, ProtocolError),
        ({"proto": 1}, ProtocolError),
        ({"proto": [1]}, ProtocolError),
        ({"proto": ["1", "0"]}, ProtocolError),
        ({"session": 5}, ProtocolError),
        ({"min_major": "1"}, ProtocolError),
        ({"about": "x" * 70_000}, MessageTooLarge),
    ],
)
def test_a_wrong_hello_is_refused(changes, error):
    with connected("tcp") as (near, far):
        caught, heard = both(lambda: agent(near), lambda: speak(far, greeting(**changes)))
    assert isinstance(caught, error)
    assert isinstance(heard[-1], PeerError)
    assert near.closed


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ((Type.OBS, b""), UnexpectedMessage),
        ((Type.SPEC, b"[]"), ProtocolError),
        ((Type.SPEC, {"name": "x", "agents": []}), SpecMismatch),
        ((Type.CLOSE, {"reason": "bored"}), ConnectionLost),
        ((Type.ERROR, {"code": "internal", "text": "oops"}), PeerError),
    ],
)
def test_a_wrong_answer_to_welcome_is_refused(message, error):
    with connected("tcp") as (near, far):
        caught, heard = both(lambda: agent(near), lambda: speak(far, greeting(), message))
    assert isinstance(caught, error)
    assert near.closed
    assert [m.type for m in heard[:2]] == [Type.HELLO, Type.WELCOME]


@pytest.mark.parametrize(
    "changes",
    [
        {"caps": None},
        {"max_message": 0},
        {"max_message": 2**40},
        {"max_message": True},
        {"mode": "fast"},
        {"session": None},
    ],
)
def test_a_wrong_welcome_is_refused(changes):
    welcome = {"caps": [], "max_message": 1000, "mode": "lockstep", "session": ""} | changes
    with connected("tcp") as (near, far):
        caught, heard = both(
            lambda: game(near, dialled=False),
            lambda: speak(far, greeting("agent"), (Type.WELCOME, welcome)),
        )
    assert isinstance(caught, ProtocolError)
    assert isinstance(heard[-1], PeerError)


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
