"""The client for Godot 3, in its headless server: its example plays the oracle's game, and refuses what is wrong."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.bridges import client_games as ask
from tests.bridges.c_games import PATIENCE, Agent, playing, running
from tests.bridges.client_games import STEPS, TOKEN
from tests.bridges.grid import play
from tests.bridges.vectors import make

CLIENT = ask.CLIENTS / "godot"
GODOT = shutil.which("godot3-server")
GRID = (GODOT or "", "--path", str(CLIENT), "--fixed-fps", "60")

pytestmark = pytest.mark.skipif(GODOT is None, reason="there is no `godot3-server` here")


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    """The engine writes where it finds its user's home."""
    monkeypatch.setenv("HOME", str(tmp_path))


def script(name):
    """The command of a game that is there for these tests only."""
    return (*GRID[:3], "-s", str(Path(__file__).parent / "godot" / name))


class TestExample(ask.Example):
    grid = GRID


@pytest.mark.parametrize("token", [None, TOKEN], ids=["open", "secret"])
def test_it_plays_the_oracles_game(token):
    with playing(*GRID, token=token) as agent:
        play(agent, STEPS if token else 500)


@pytest.mark.parametrize("address", ["unix:///nowhere/x", "ws://127.0.0.1:9", "tcp://127.0.0.1:9"])
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


def test_a_text_nested_too_deep_does_not_crash_the_engine():
    deep = ask.raw(ask.message(ask.Type.HELLO, b'{"a":' + b"[" * 200_000))
    assert ask.answer_to(GRID, deep, opened=False) == "too-large"


def test_the_golden_vectors_are_read_and_written_alike():
    said = ask.finished(script("golden.gd"), env={**os.environ, "GOLDEN": str(make.HERE)})
    assert int(said.split("checked ")[1]) > 200


def test_a_live_game_of_two_agents_shows_what_was_done():
    with playing(*script("live.gd"), mode="latest") as agent:
        ask.lives(agent)


def test_the_status_is_that_of_the_step():
    with playing(*script("fates.gd")) as agent:
        ask.tells_the_status(agent)
