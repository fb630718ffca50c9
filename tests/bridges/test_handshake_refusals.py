import pytest
from tests.bridges.greetings import TOKEN, agent, game, greeting, speak, speak_then_close
from tests.bridges.pairs import SPEC, both, connected

from tropism.bridges.errors import (
    AuthError,
    ConnectionLost,
    MessageTooLarge,
    PeerError,
    ProtocolError,
    SpecMismatch,
    UnexpectedMessage,
    VersionMismatch,
)
from tropism.bridges.protocol.header import Type
from tropism.bridges.transports import hello


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
