"""The client for Godot 3, in its headless server: its example plays the oracle's game, and refuses what is wrong."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.bridges import client_games as ask
from tests.bridges.c_games import PATIENCE, Agent, playing, running
from tests.bridges.grid import play
from tests.bridges.vectors import make

from tropism.bridges import errors

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "bridges/tropism/bridges/clients/godot"
STEPS = 10_000
TOKEN = "c0ffee00" * 8
GODOT = shutil.which("godot3-server")
GRID = (GODOT or "", "--path", str(CLIENT), "--fixed-fps", "60")

pytestmark = pytest.mark.skipif(GODOT is None, reason="there is no `godot3-server` here")


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    """The engine writes where it finds its user's home."""
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("token", [None, TOKEN], ids=["open", "secret"])
def test_it_plays_the_oracles_game(token):
    with playing(*GRID, token=token) as agent:
        play(agent, STEPS if token else 500)


@pytest.mark.parametrize("ours", [None, "cd" * 32])
def test_an_agent_with_another_secret_is_refused(ours):
    with running(*GRID, token=TOKEN) as (process, listener):
        with pytest.raises((errors.AuthError, errors.PeerError)):
            Agent(listener.accept(PATIENCE), token=ours)
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        assert "auth" in said


def test_a_game_without_the_secret_is_refused():
    with running(*GRID) as (process, listener):
        with pytest.raises(errors.BridgeError):
            Agent(listener.accept(PATIENCE), token=TOKEN)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 1


@pytest.mark.parametrize("address", ["unix:///tmp/x", "ws://127.0.0.1:9", "tcp://127.0.0.1:9"])
def test_an_address_that_it_cannot_dial_is_named(address):
    told = {**os.environ, "TROPISM_BRIDGE_ADDR": address}
    done = subprocess.run(
        GRID, env=told, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 1
    assert f"connect: {'cannot' if address.startswith('tcp') else 'this client'}" in done.stderr
    assert address in done.stderr


def test_an_agent_that_is_gone_ends_the_game():
    with running(*GRID) as (process, listener):
        agent = Agent(listener.accept(PATIENCE))
        agent.reset(1)
        agent.connection.close()  # without CLOSE
        _, said = process.communicate(timeout=PATIENCE)
        assert "lost: the agent has hung up" in said


@pytest.mark.parametrize("name", ask.WRONG_HELLOS)
def test_a_wrong_hello_is_answered_by_an_error(name):
    code = ask.answer_to(GRID, ask.WRONG_HELLOS[name], opened=False)
    assert code == ask.code_of(name)


@pytest.mark.parametrize("name", ask.WRONG_REQUESTS)
def test_a_wrong_request_is_answered_by_an_error(name):
    code = ask.answer_to(GRID, ask.WRONG_REQUESTS[name], opened=True)
    assert code == ask.code_of(name)


def test_a_text_nested_too_deep_does_not_crash_the_engine():
    deep = ask.raw(ask.message(ask.Type.HELLO, b'{"a":' + b"[" * 200_000))
    assert ask.answer_to(GRID, deep, opened=False) == "too-large"


def test_strange_and_old_messages_do_no_harm():
    with playing(*GRID) as agent:
        reply = json.loads(ask.carries_on(agent))
        assert reply == {"id": 9, "result": {"a": 1}}


def test_the_golden_vectors_are_read_and_written_alike():
    command = [GODOT, "--path", CLIENT, "-s", Path(__file__).parent / "godot/golden.gd"]
    told = {**os.environ, "GOLDEN": str(make.HERE)}
    done = subprocess.run(
        command, env=told, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "SCRIPT ERROR" not in done.stderr, done.stderr
    assert int(done.stdout.split("checked ")[1]) > 200


def test_a_live_game_of_two_agents_shows_what_was_done():
    script = Path(__file__).parent / "godot/live.gd"
    with playing(GODOT, "--path", str(CLIENT), "-s", str(script), mode="latest") as agent:
        ask.lives(agent)


def test_the_status_is_that_of_the_step():
    script = Path(__file__).parent / "godot/fates.gd"
    with playing(GODOT, "--path", str(CLIENT), "-s", str(script)) as agent:
        ask.tells_the_status(agent)


@pytest.mark.parametrize("caps", [("crc",), ("zlib",), ("crc", "zlib")], ids="+".join)
def test_checksums_and_compression_go_both_ways(caps):
    with playing(*GRID, caps=set(caps) | {"call"}) as agent:
        ask.agrees_on(agent, *caps)
