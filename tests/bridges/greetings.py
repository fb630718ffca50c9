"""Both sides of a handshake, word by word."""

from tests.bridges.pairs import SPEC

from tropism.bridges.errors import (
    BridgeError,
)
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import write_json
from tropism.bridges.transports import hello
from tropism.bridges.transports.handshake import expect_ready, open_agent, open_game, ready

TOKEN = "5a" * 32


def agent(connection, dialled=False, **options):
    agreed = open_agent(connection, dialled=dialled, **options)
    ready(connection, agreed)
    return agreed


def game(connection, dialled=True, spec=SPEC, **options):
    agreed = open_game(connection, spec, dialled=dialled, **options)
    assert expect_ready(connection, agreed) is None
    return agreed


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


def speak_then_close(connection, *messages):
    heard = []
    for kind, body in messages:
        connection.send(kind, body if isinstance(body, bytes) else write_json(body))
        try:
            heard.append(connection.receive(5))
        except BridgeError as error:
            return [*heard, error]
    return heard
