"""Rows 34 and 35 of the fault matrix: pages of a browser, and peers that say nothing."""

import http.client
import os
import subprocess
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from tests.bridges.faults.agents import Waiting
from tests.bridges.faults.games import BARE
from tests.bridges.faults.guarded import listen_at, own_address, plays, served
from tests.bridges.faults.peers import strangers
from tests.bridges.traces import AT_ONCE, PATIENT, TRANSPORTS, eventually

from tropism.bridges.env import BridgeEnv
from tropism.bridges.transports.hello import new_token

# -- row 34 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, new_token()], ids=["open", "secret"])
def test_row_34_a_page_in_a_browser_is_refused(token, tmp_path):
    with served("ws", tmp_path, token) as address:
        where = urlsplit(address)
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=5)
        headers = {
            "Origin": "https://example.org",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
        }
        connection.request("GET", "/", headers=headers)
        assert connection.getresponse().status == 403
        connection.close()
        plays(address, token=token)


# -- row 35 ------------------------------------------------------------------------------------------------

SILENT = 200


def is_closed(sock):
    """Whether the other side has closed it."""
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def files_of(pid):
    """How many descriptors a process has."""
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_row_35_two_hundred_silent_peers_keep_no_agent_out(transport, tmp_path):
    with Waiting("", "--listen", listen_at(transport, tmp_path)) as game:
        address, pid = game.address(), game.process.pid
        before, start = files_of(pid), time.monotonic()
        with strangers(address, SILENT) as silent:
            assert eventually(lambda: sum(map(is_closed, silent)) >= SILENT - 16)
            assert files_of(pid) <= before + 16
            plays(address, transport=transport)
            assert time.monotonic() - start < 5.0
            if transport == "tcp":  # it takes the whole five seconds
                assert eventually(lambda: all(map(is_closed, silent)), 6.0 + AT_ONCE)
        assert eventually(lambda: files_of(pid) <= before)


def test_row_35_silent_peers_disturb_no_session_and_keep_no_game_out(transport, tmp_path):
    """The agent listens: first it waits for its game, then it plays."""
    where = own_address(transport, tmp_path)
    env = BridgeEnv(listen=where, transport=transport, connect=False, deadlines=PATIENT)
    waiting = threading.Thread(target=env.connect, daemon=True)
    waiting.start()
    with (
        strangers(where, SILENT),
        subprocess.Popen(BARE, env={"TROPISM_BRIDGE_ADDR": where}) as game,
    ):
        waiting.join(5.0 + AT_ONCE)
        assert not waiting.is_alive()
        env.reset(seed=1)
        with strangers(where, 50):
            for count in range(1, 101):
                assert env.step(0)[4]["bridge"]["step"] == count
        env.close()
        assert game.wait(10) == 0


def test_row_35_half_a_hello_is_as_silent(tmp_path):
    with served("tcp", tmp_path) as address, strangers(address, 20) as slow:
        for sock in slow:
            with suppress(ConnectionError):
                sock.sendall(b"GBR1\x01\x00")
        plays(address)
