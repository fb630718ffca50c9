"""Agents in processes of their own, to be killed, interrupted and forked."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

from tests.bridges.faults.games import BARE
from tests.bridges.traces import PATIENT, is_running

HEAD = """
import json, os, sys
from tropism.bridges.env import BridgeEnv
env = BridgeEnv(**json.loads(sys.argv[1]))
env.reset(seed=1)
print(json.dumps([env.session.game_pid, env.session.transport, env.session.address]), flush=True)
"""
PLAY = (
    HEAD
    + """
for count in range(10**9):
    env.step(0)
    if count % 50 == 49:
        env.reset()
"""
)


def _first_line(stream):
    """Read no further than it: ``communicate`` does not know of what a buffer holds."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(stream.fileno(), 1)):
        line += byte
    return line


class Agent:
    """A process with a session that plays.

    Attributes:
        pid: its process id, and that of its group.
        game_pid: of the game it has launched, or None.
        transport: of its session.
        address: where it listens or has dialled.
    """

    def __init__(
        self, script=PLAY, environment=None, flags=(), interpreter=sys.executable, **options
    ):
        options = {"deadlines": PATIENT, **options}
        if "address" not in options and "listen" not in options:
            options.setdefault("command", BARE)
        self.process = subprocess.Popen(
            [interpreter, *flags, "-c", script, json.dumps(options)],
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self.process.pid
        self.game_pid, self.transport, self.address = json.loads(_first_line(self.process.stdout))

    def signal(self, number):
        """Send a signal to it and to all others of its group, as a terminal does."""
        os.killpg(self.pid, number)

    def end(self, seconds=20.0):
        """Wait for its end; return code and what it has written to its standard error."""
        _, errors = self.process.communicate(timeout=seconds)
        return self.process.returncode, errors


@contextmanager
def agent(*args, **kwargs):
    """An agent that does not outlive its test, nor does its game."""
    made = Agent(*args, **kwargs)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.signal(signal.SIGKILL)
        made.process.communicate()
        if made.game_pid is not None and is_running(made.game_pid):
            os.kill(made.game_pid, signal.SIGKILL)


class Waiting:
    """CartPole in a process of its own, which waits for one agent after the other."""

    def __init__(self, token, *where):
        command = [sys.executable, "-m", "tropism.bridges.serve", "CartPole-v1", *where]
        self.process = subprocess.Popen(
            command,
            env={**os.environ, "TROPISM_BRIDGE_TOKEN": token},
            stdout=subprocess.PIPE,
            text=True,
        )

    def address(self):
        """Where it listens."""
        return re.search(r"\S+://\S+", self.process.stdout.readline())[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
