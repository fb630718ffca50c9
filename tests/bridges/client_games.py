"""What the tests of every client library ask of its example, the grid, in whatever language it is written."""

import json
import secrets
import subprocess

import pytest
from tests.bridges.c_games import CLIENT, PATIENCE, Agent, playing, running
from tests.bridges.grid import play

from tropism.bridges import errors
from tropism.bridges.protocol.header import Flag, Type, pack_header
from tropism.bridges.protocol.jsons import write_json

CLIENTS = CLIENT.parent
STEPS = 10_000
TOKEN = "c0ffee00" * 8


def answer_to(command, send, *, opened, token=None):
    """The error by which a launched game answers what `send(connection)` sends; it must end by itself.

    Args:
        command: of the game.
        send: called with the connection.
        opened: whether a session is opened first.
        token: the game's secret.
    """
    with running(*command, token=token) as (process, listener):
        connection = listener.accept(PATIENCE)
        if opened:
            Agent(connection, token=token).reset(1)
        send(connection)
        with pytest.raises(errors.BridgeError) as caught:
            _listen(connection)
        process.communicate(timeout=PATIENCE)
        assert process.returncode != 0
        connection.close()
    return getattr(caught.value, "code", type(caught.value).__name__)


def _listen(connection):
    while True:
        connection.receive(PATIENCE)


def raw(data):
    """Sends these bytes and nothing else."""
    return lambda connection: connection._sock.sendall(data)


def hello(**changes):
    """Sends a HELLO that is right but for these changes."""
    facts = {
        "proto": [1, 0],
        "min_major": 1,
        "role": "agent",
        "name": "",
        "version": "",
        "pid": 1,
        "caps": [],
        "nonce": secrets.token_hex(32),
        "session": "",
    }
    return raw(message(Type.HELLO, write_json(facts | changes)))


def message(kind, body=b"", seq=0, episode=0, flags=0):
    """The bytes of a message."""
    return pack_header(kind, len(body), seq, episode, flags) + body


WRONG_HELLOS = {
    "version": hello(proto=[3, 0], min_major=2),
    "version-old": hello(proto=[0, 9], min_major=0),
    "protocol-role": hello(role="game"),
    "protocol-nonce": hello(nonce="0" * 63),
    "protocol-proto": hello(proto="1.0"),
    "protocol-json": raw(message(Type.HELLO, b"{")),
    "protocol-list": raw(message(Type.HELLO, b"[]")),
    "protocol-utf8": raw(message(Type.HELLO, b'{"role": "\xff"}')),
    "protocol-order": raw(message(Type.STEP)),
    "protocol-ping": raw(message(Type.PING)),
}

_STEP = b"\x01\0\0\0" + bytes(4) + b"\x01" + bytes(7)
WRONG_REQUESTS = {
    "protocol-short": raw(message(Type.STEP, _STEP, 2, 1)),
    "protocol-agents": raw(message(Type.STEP, b"\x02" + _STEP[1:] + bytes(8), 2, 1)),
    "protocol-flag": raw(message(Type.STEP, _STEP[:8] + b"\x02" + bytes(15), 2, 1)),
    "protocol-mode": raw(message(Type.ACTION, _STEP + bytes(8), 2, 1)),
    "protocol-seed": raw(message(Type.RESET, b'{"seed": -1, "options": null}', 2, 2)),
    "protocol-options": raw(message(Type.RESET, b"7", 2, 2)),
    "protocol-hello": hello(),
    "protocol-long-ping": raw(message(Type.PING, bytes(65))),
    "action-range": raw(message(Type.STEP, _STEP + b"\x05" + bytes(7), 2, 1)),
    "unsupported-type": raw(message(99, flags=Flag.MUST_UNDERSTAND)),
    "too-large": raw(pack_header(Type.STEP, 2**24 + 1, 2, 1)),
}


def code_of(name):
    """The code at the start of a case's name."""
    return "too-large" if name.startswith("too-large") else name.split("-")[0]


def carries_on(agent):
    """What a game has to take without harm: what it does not know, what is old, questions and signs of life."""
    agent.reset(3)
    for strange in (message(99, b"???"), message(Type.STEP, b"old", agent.seq, 1)):
        raw(strange)(agent.connection)
    agent.connection.send(Type.EVENT, write_json({"name": "hint", "data": [1]}))
    agent.connection.send(Type.PING, b"there?")
    assert agent.receive(Type.PONG).body == b"there?"
    agent.connection.send(Type.CALL, write_json({"id": 9, "name": "echo", "args": {"a": 1}}))
    reply = agent.receive(Type.REPLY).body
    assert agent.step(1)
    return reply


def agrees_on(agent, *caps):
    """Play a little with these capabilities granted, and send a message that is long enough to be compressed."""
    assert {"crc", "zlib"} & set(agent.facts.caps) == set(caps)
    play(agent, 100)
    args = list(range(2000))
    agent.connection.send(Type.CALL, write_json({"id": 1, "name": "echo", "args": args}))
    assert json.loads(agent.receive(Type.REPLY).body) == {"id": 1, "result": args}


FATES = {
    "the answer to RESET": ([], [1]),
    "both go on": ([(0, 0)], [1, 2]),
    "one goes on": ([(1, 0), (0, 0)], [1, 2, 2]),
    "both are terminated": ([(1, 1)], [1, 3]),
    "both are truncated": ([(2, 2)], [1, 4]),
    "one is terminated, the other truncated": ([(2, 1)], [1, 3]),
    "the last is truncated": ([(1, 0), (0, 2)], [1, 2, 4]),
    "after the end": ([(2, 2), (0, 0)], [1, 4, 3]),
}
"""What two agents do (0 goes on, 1 is terminated, 2 truncated), and the status of each answer."""


def tells_the_status(agent):
    """Act out all fates."""
    for name, (steps, wanted) in FATES.items():
        bodies = [agent.reset(), *(agent.step(*fates) for fates in steps)]
        assert [agent.frames.decode(body).status for body in bodies] == wanted, name


def lives(agent):
    """Act in a game of two that runs by itself, and see the effect."""
    agent.episode, seen = 1, 0
    agent.send(Type.RESET, write_json({"seed": None, "options": None}))
    for actions in ((1, 2), (2, None), (0, 1)):
        agent.send(Type.ACTION, agent.actions.encode(actions))
        message, frame = _frame_after(agent, seen)
        seen = message.seq
        red, blue = frame.agents
        assert [red.observation[0], blue.alive] == [actions[0], actions[1] is not None]
        assert not blue.alive or blue.observation == (actions[1], red.observation[1])
        assert red.reward == red.observation[1]


def _frame_after(agent, seen):
    """The first frame that shows the effect of the last action, all frames being in order."""
    while True:
        message = agent.receive(Type.OBS)
        assert message.seq == seen + 1
        seen, frame = message.seq, agent.frames.decode(message.body)
        if frame.applied == agent.seq:
            return message, frame


class Example:
    """The tests of an example that dials; a class of each language's tests inherits them.

    Attributes:
        grid: the command of the example.
    """

    grid: tuple[str, ...]

    @pytest.mark.parametrize("ours", [None, "cd" * 32])
    def test_an_agent_with_another_secret_is_refused(self, ours):
        with running(*self.grid, token=TOKEN) as (process, listener):
            with pytest.raises((errors.AuthError, errors.PeerError)):
                Agent(listener.accept(PATIENCE), token=ours)
            assert "auth" in last_words(process)

    def test_a_game_without_the_secret_is_refused(self):
        with running(*self.grid) as (process, listener):
            with pytest.raises(errors.AuthError):
                Agent(listener.accept(PATIENCE), token=TOKEN)
            assert "auth" in last_words(process)

    @pytest.mark.parametrize("name", WRONG_HELLOS)
    def test_a_wrong_hello_is_answered_by_an_error(self, name):
        assert answer_to(self.grid, WRONG_HELLOS[name], opened=False) == code_of(name)

    @pytest.mark.parametrize("name", WRONG_REQUESTS)
    def test_a_wrong_request_is_answered_by_an_error(self, name):
        assert answer_to(self.grid, WRONG_REQUESTS[name], opened=True) == code_of(name)

    def test_strange_and_old_messages_do_no_harm(self):
        with playing(*self.grid) as agent:
            assert json.loads(carries_on(agent)) == {"id": 9, "result": {"a": 1}}

    @pytest.mark.parametrize("caps", [("crc",), ("zlib",), ("crc", "zlib")], ids="+".join)
    def test_checksums_and_compression_go_both_ways(self, caps):
        with playing(*self.grid, caps={"call", *caps}) as agent:
            agrees_on(agent, *caps)


def last_words(process):
    """What a game that must fail by itself said."""
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    return said


def finished(command, **told):
    """What a command that must end well printed."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False, **told
    )
    assert done.returncode == 0, done.stderr
    assert "SCRIPT ERROR" not in done.stderr, done.stderr  # Godot goes on after one
    return done.stdout
