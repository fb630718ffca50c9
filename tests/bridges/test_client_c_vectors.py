"""The C client against the golden vectors: the same spaces, offsets and bytes, and the same refusals."""

import json
import subprocess

import pytest
from tests.bridges.c_games import (
    HERE,
    PATIENCE,
    SANITIZED,
    Agent,
    build,
    needs_cc,
    playing,
    running,
)
from tests.bridges.vectors import make

from tropism.bridges.errors import BridgeError, PeerError
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import read_json
from tropism.bridges.protocol.spec import Spec

pytestmark = needs_cc
VECTORS = make.HERE
INDEX = json.loads((VECTORS / "index.json").read_text(encoding="utf-8"))
GAMES = {game["name"]: game for game in INDEX["games"]}
BROKEN = [
    case for case in INDEX["broken"] if "zlib" not in case["file"] and "bomb" not in case["file"]
]


def raw(name):
    return (VECTORS / name).read_bytes()


@pytest.fixture(scope="module")
def golden():
    return build(HERE / "golden.c", *SANITIZED)


@pytest.fixture
def agent(golden):
    """In session with the game of one agent and three numbers; checksums are agreed upon."""
    with running(golden, "vector") as (process, listener):
        agent = Agent(listener.accept(PATIENCE), caps={"crc", "call"})
        yield agent
        agent.close()
        process.wait(PATIENCE)
        assert "ERROR: " not in process.stderr.read()  # of a sanitizer


def said(agent):
    return read_json(agent.receive(Type.EVENT).body, Type.EVENT)


def push(agent, name):
    """The bytes of a file as they are."""
    agent.connection._write(raw(name), b"", PATIENCE)


@pytest.mark.parametrize("name", GAMES)
def test_the_builder_makes_the_spaces_and_offsets_of_the_vectors(golden, name):
    done = subprocess.run([golden, name], capture_output=True, check=True, env={})
    offsets, text = done.stdout.splitlines()
    ours, theirs = Spec.from_bytes(text), Spec.from_bytes(raw(f"{name}-spec.bin"))
    assert [tuple(agent) for agent in ours.agents] == [tuple(agent) for agent in theirs.agents]
    assert (ours.hold, ours.render, ours.about) == (theirs.hold, theirs.render, theirs.about)
    leaves = [agent[side]["leaves"] for agent in GAMES[name]["agents"] for side in ("obs", "act")]
    known = [offset for side in leaves for *_, offset in side]
    found = [int(offset) for offset in offsets.split()]
    if (
        name == "variable"
    ):  # the elements of a sequence are leaves, too, of which one offset is told
        assert set(found) <= set(known)
    else:
        assert found == known


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("shared", [False, True])
def test_golden_actions_are_taken_and_golden_observations_given(golden, name, shared):
    with playing(golden, name, shared=shared) as agent:
        agent.episode = 1
        agent.seq = 1
        agent.channel.send(Type.RESET, b'{"seed":null,"options":null}', 1, 1)
        said(agent)
        first = agent.receive(Type.OBS).body
        game = GAMES[name]
        start, end = 32, game["obs_size"] - 8
        if name == "vector":
            agent.send(Type.STEP, raw("vector-step-0.bin"))
            body = agent.receive(Type.OBS).body
            wanted = raw("vector-obs-0.bin")
        else:
            agent.send(Type.STEP, raw(f"{name}-step-0.bin"))
            body = agent.receive(Type.OBS).body
            wanted = raw(f"{name}-obs-0.bin")
        assert len(first) == len(body) == game["obs_size"]
        assert body[start:end] == wanted[start:end]


def test_golden_requests_and_events_are_read(agent):
    for name in ("reset", "event", "event-crc", "call"):
        case = next(c for c in INDEX["messages"] if c["file"] == f"message-{name}.bin")
        push(agent, case["file"])
        seen = said(agent)
        assert (seen["data"]["type"], seen["data"]["episode"]) == (case["type"], case["episode"])
        if name == "reset":
            assert seen["data"]["seed"] == case["json"]["seed"]
            assert seen["data"]["json"] == case["json"]["options"]
            info = agent.frames.decode(agent.receive(Type.OBS).body).info
            assert info == {"seed_ignored": True}
        else:
            assert seen["name"] == case["json"]["name"]
            assert seen["data"]["json"] == case["json"].get("data")
    reply = next(c for c in INDEX["messages"] if c["file"] == "message-reply.bin")["json"]
    assert read_json(agent.receive(Type.REPLY).body, Type.REPLY) == reply


def test_golden_ping_is_answered_and_unknown_messages_are_skipped(agent):
    for name in ("unknown", "pong", "bell", "ping"):
        push(agent, f"message-{name}.bin")
    push(agent, "message-event.bin")
    assert agent.receive().body == raw("message-ping.bin")[32:]
    assert said(agent)["name"] == "won"


def test_calls_are_answered_in_every_way(agent):
    def call(number, name, args=None):
        body = json.dumps({"id": number, "name": name, "args": args}).encode()
        agent.connection.send(Type.CALL, body)
        said(agent)

    def reply():
        return read_json(agent.receive(Type.REPLY).body, Type.REPLY)

    args = {"text": 'ü\n"\\\U0001d11e', "deep": [[{}]], "n": -1.5e-3}
    call(-5, "echo", args)
    assert reply() == {"id": -5, "result": args}
    call(2, "what ü")
    assert reply() == {"id": 2, "error": 'no "such" call'}
    call(3, "forget")
    assert reply() == {"id": 3, "error": "the game did not answer"}


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case["file"])
def test_every_broken_message_is_refused(agent, case):
    push(agent, case["file"])
    with pytest.raises(BridgeError) as caught:
        agent.receive()
    assert isinstance(caught.value, PeerError)
    assert caught.value.code == case["code"]


@pytest.mark.parametrize("name", ["close", "error"])
def test_golden_farewells_end_the_game(golden, name):
    with running(golden, "vector") as (process, listener):
        agent = Agent(listener.accept(PATIENCE), caps={"crc"})
        push(agent, f"message-{name}.bin")
        assert process.wait(PATIENCE) == 0
        text = process.stderr.read()
        assert ("closed the session" if name == "close" else "version: 1.0 and 2.0") in text
        agent.close()


@pytest.mark.parametrize("kind", [Type.HELLO, Type.WELCOME, Type.READY, Type.SPEC, Type.OBS])
def test_messages_out_of_order_are_refused(agent, kind):
    agent.connection.send(kind, b"{}")
    with pytest.raises(PeerError) as caught:
        agent.receive()
    assert caught.value.code == "protocol"
