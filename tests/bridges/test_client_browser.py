"""The JavaScript client in a browser without a screen: the page of the example plays the oracle's game over a WebSocket."""

import os
import shutil
import signal
import subprocess
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.bridges.c_games import PATIENCE, Agent
from tests.bridges.client_games import CLIENTS, TOKEN
from tests.bridges.grid import play

from tropism.bridges.errors import AuthError
from tropism.bridges.transports.listener import Listener

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no `chromium` here")


class Silent(SimpleHTTPRequestHandler):
    """Serves files and says nothing about it."""

    def log_message(self, format, *args):  # noqa: A002 - the name of the base class
        pass


@pytest.fixture(scope="module")
def origin():
    """The client's folder, served; where."""
    handler = partial(Silent, directory=CLIENTS / "js")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def browsing(page, home):
    """A browser that shows a page; it and its helpers are gone afterwards."""
    command = [
        BROWSER,
        *QUIET,
        f"--user-data-dir={home}/profile",
        "--remote-debugging-port=0",
        page,
    ]
    told = {**os.environ, "HOME": str(home)}
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=told, start_new_session=True, **silent)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def met(origin, home, origins):
    """What listens where the page dials."""
    with Listener("ws://127.0.0.1:0", TOKEN, origins) as listener:
        page = f"{origin}/example_grid.html#addr={listener.address}&token={TOKEN}"
        with browsing(page, home):
            yield listener


def test_the_page_plays_the_oracles_game(origin, tmp_path):
    with met(origin, tmp_path, [origin]) as listener:
        agent = Agent(listener.accept(PATIENCE), token=TOKEN, caps={"call", "crc", "zlib"})
        assert agent.facts.caps == {"call", "crc"}  # a page cannot inflate while one waits
        play(agent, 500)
        agent.close()


def test_a_page_that_nobody_allowed_is_refused(origin, tmp_path):
    with (
        met(origin, tmp_path, ["http://127.0.0.1:1"]) as listener,
        pytest.raises(AuthError, match=f"a page of {origin} may not connect"),
    ):
        listener.accept(PATIENCE, strict=True)
