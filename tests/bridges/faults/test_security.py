"""Rows 33 to 35 of the fault matrix: strangers, other users, web pages, and those who connect and say nothing."""

import hmac
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.bridges.faults.games import BARE
from tests.bridges.faults.guarded import own_address, plays, served
from tests.bridges.traces import AT_ONCE, PATIENT, TRANSPORTS

from tropism.bridges.env import BridgeEnv
from tropism.bridges.errors import AuthError
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import encode, write_json
from tropism.bridges.transports.hello import new_token, own_hello
from tropism.bridges.transports.shm.region import Region

IN_TIME = 1.0 + AT_ONCE
as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"
)


@pytest.mark.parametrize("given", ["wrong", "none"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_row_33_an_agent_without_the_token_is_refused(transport, given, tmp_path, caplog):
    token = new_token()
    with served(transport, tmp_path, token) as address:
        start = time.monotonic()
        with pytest.raises(AuthError) as caught:
            BridgeEnv(address=address, token=new_token() if given == "wrong" else None)
        assert time.monotonic() - start < IN_TIME
        assert token not in f"{caught.value} {caught.value.facts} {caplog.text}"
        plays(address, token=token, transport=transport)


@pytest.mark.parametrize("given", ["wrong", "none"])
def test_row_33_a_game_without_the_token_is_refused_and_learns_nothing(given, transport, tmp_path):
    """Neither mode nor capabilities, not even whether its proof was the only thing wrong."""
    where = own_address(transport, tmp_path)
    env = BridgeEnv(listen=where, token=new_token(), connect=False, deadlines=PATIENT)
    waiting = threading.Thread(target=env.connect, daemon=True)
    waiting.start()
    environment = {"TROPISM_BRIDGE_ADDR": where}
    if given == "wrong":
        environment["TROPISM_BRIDGE_TOKEN"] = new_token()
    start = time.monotonic()
    stranger = subprocess.run(BARE, env=environment, capture_output=True, text=True, check=False)
    assert time.monotonic() - start < IN_TIME
    assert stranger.returncode != 0
    assert '{"code":"auth","text":"","detail":null}' in stranger.stderr
    assert "caps" not in stranger.stderr
    own = {**environment, "TROPISM_BRIDGE_TOKEN": env._keeper.options.token}
    game = subprocess.Popen(BARE, env=own)
    waiting.join(30)
    env.reset(seed=1)
    assert env.step(0)[4]["bridge"]["step"] == 1
    env.close()
    assert game.wait(10) == 0


def test_row_33_proofs_are_compared_in_constant_time(monkeypatch, tmp_path):
    compared, compare = [], hmac.compare_digest

    def noted(a, b):
        compared.append((len(a), len(b)))
        return compare(a, b)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    token = new_token()
    with served("tcp", tmp_path, token) as address:
        plays(address, token=token)
        assert compared == [(64, 64)] * 2
        with pytest.raises(AuthError):
            BridgeEnv(address=address, token=new_token())
        assert compared[2:] == [(64, 64)]


TRESPASS = """
import os, socket, sys
os.setgid(65534)
os.setuid(65534)
for path in sys.argv[1:]:
    try:
        if path.endswith(".sock"):
            socket.socket(socket.AF_UNIX).connect(path)
        else:
            open(path, "rb").close()
        print("in")
    except OSError as error:
        print(type(error).__name__)
"""


def trespass(*paths):
    """What another user meets with who wants to open these."""
    command = [sys.executable, "-I", "-S", "-c", TRESPASS, *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@as_root
def test_row_33_another_user_reaches_neither_socket_nor_memory(monkeypatch):
    """Looked at while both have a name: until the game has come."""
    seen = {}
    unlink = Region.unlink

    def look(region):
        if region._linked:
            path = Path(region.path)
            seen["mode"], seen["memory"] = stat.S_IMODE(path.stat().st_mode), trespass(path)
        unlink(region)

    monkeypatch.setattr(Region, "unlink", look)
    env = BridgeEnv(BARE, transport="shm", listen="unix://", deadlines=PATIENT, connect=False)
    path = Path(env._keeper.session.address.removeprefix("unix://"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert trespass(path) == ["PermissionError"]
    env.connect()
    assert env.session.transport == "shm"
    assert seen == {"mode": 0o600, "memory": ["PermissionError"]}
    env.close()


@as_root
def test_row_33_another_user_who_gets_at_the_socket_is_turned_away():
    """Even if modes and directories were opened by mistake, the system tells who it is."""
    with tempfile.TemporaryDirectory() as home, served("unix", Path(home)) as address:
        path = Path(address.removeprefix("unix://"))
        for part in {path, path.parent, Path(home)}:
            part.chmod(0o777)
        assert trespass(path) == ["in"]  # connected, and closed at once
        plays(address)


def test_row_33_the_token_is_in_no_argument_list():
    env = BridgeEnv(BARE, transport="tcp", deadlines=PATIENT)
    process = Path(f"/proc/{env.session.game_pid}")
    environment = dict(
        line.split("=", 1) for line in (process / "environ").read_text().split("\0") if "=" in line
    )
    token = environment["TROPISM_BRIDGE_TOKEN"]
    assert len(token) == 64
    assert token not in (process / "cmdline").read_text()
    assert token not in repr(env._keeper.options)
    env.close()


@pytest.mark.parametrize("word", ["nothing", "garbage", "busy", "version", "PING", "nesting"])
def test_row_33_a_stranger_who_breaks_the_opening_keeps_no_game_out(word, tmp_path):
    where, token = own_address("tcp", tmp_path), new_token()
    facts = own_hello("game", (), "", "stranger", "1", True)
    if word == "version":
        facts |= {"proto": [9, 0], "min_major": 9}
    if word == "nesting":
        facts["role"] = json.loads("[" * 500 + "]" * 500)
    then = {
        "garbage": bytes(64),
        "busy": encode(Type.ERROR, b'{"code":"busy"}'),
        "PING": encode(Type.PING),
    }
    env = BridgeEnv(listen=where, token=token, connect=False, deadlines=PATIENT)
    waiting = threading.Thread(target=env.connect, daemon=True)
    waiting.start()
    address = urlsplit(where)
    with socket.create_connection((address.hostname, address.port), 5) as stranger:
        stranger.sendall(encode(Type.HELLO, write_json(facts)) + then.get(word, b""))
        if word == "nothing":
            stranger.shutdown(socket.SHUT_WR)
        heard = b"".join(iter(lambda: stranger.recv(4096), b""))
    assert b'"code"' in heard or word in ("nothing", "busy")
    told = {"TROPISM_BRIDGE_ADDR": where, "TROPISM_BRIDGE_TOKEN": token}
    with subprocess.Popen(BARE, env=told) as game:
        waiting.join(5.0 + AT_ONCE)
        assert not waiting.is_alive()
        env.reset(seed=1)
        env.close()
        assert game.wait(10) == 0
