"""Games in C: compiled for the tests, and played by an agent over any transport."""

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest

from tropism.bridges import errors
from tropism.bridges.protocol.bodies import ActionCodec, ObsCodec
from tropism.bridges.protocol.header import Flag, Type
from tropism.bridges.protocol.messages import write_json
from tropism.bridges.transports.handshake import ALL_CAPS, open_agent, ready
from tropism.bridges.transports.listener import Listener
from tropism.bridges.transports.shm.upgrade import offer

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "bridges/tropism/bridges/clients/c"
HERE = Path(__file__).parent / "c"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
PATIENCE = 20.0

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler `cc` here")


@cache
def _folder():
    """Where programs are put; gone at exit."""
    return tempfile.TemporaryDirectory(prefix="tropism-c-")


@cache
def build(source, *flags):
    """The path of the program that is made of one file; each is compiled once."""
    program = Path(_folder().name) / f"{source.stem}-{abs(hash((source, flags)))}"
    command = ["cc", *STRICT, *flags, f"-I{CLIENT}", str(source), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "-fsanitize=address,undefined" in flags and "cannot find" in done.stderr:
        pytest.skip("the compiler has no sanitizers here")
    assert done.returncode == 0, done.stderr
    return str(program)


class Agent:
    """One session, opened up to READY.

    Args:
        connection: fresh.
        dialled: by us.
        shared: steps go through shared memory.
    """

    def __init__(
        self, connection, dialled=False, token=None, shared=False, caps=None, mode="lockstep"
    ):
        caps = ALL_CAPS - {"crc", "zlib"} if caps is None else caps
        options = {"token": token, "caps": caps, "mode": mode, "timeout": PATIENCE}
        self.connection = self.channel = connection
        self.facts = open_agent(connection, dialled=dialled, **options)
        if shared:
            self.channel = offer(connection, self.facts)
        ready(connection, self.facts)
        self.actions, self.frames = ActionCodec(self.facts.spec), ObsCodec(self.facts.spec)
        self.seq = self.episode = 0

    def send(self, kind, body):
        """A request."""
        self.seq += 1
        self.channel.send(kind, body, self.seq, self.episode)

    def receive(self, kind=None):
        """The next message, of that kind if one is named: what goes through memory may overtake what goes over the connection."""
        message = self.channel.receive(PATIENCE)
        if kind not in (None, message.type) and message.flags & Flag.SHM:
            overtaking, message = message, self.channel.receive(PATIENCE)
            self.channel.unread(overtaking)
        assert kind is None or message.type == kind, message
        return message

    def ask_reset(self, seed=None, options=None):
        """RESET, without waiting for what comes of it."""
        self.episode += 1
        self.send(Type.RESET, write_json({"seed": seed, "options": options}))

    def reset(self, seed=None, options=None):
        """The body of the answer to RESET."""
        self.ask_reset(seed, options)
        return self._answer()

    def step(self, *actions):
        """The body of the answer to STEP."""
        self.send(Type.STEP, self.actions.encode(actions))
        return self._answer()

    def _answer(self):
        message = self.receive(Type.OBS)
        assert (message.seq, message.episode) == (self.seq, self.episode)
        return bytes(message.body)

    def close(self):
        """Say CLOSE."""
        with suppress(errors.BridgeError):
            self.channel.close("done")


@contextmanager
def running(program, *arguments, address="tcp://127.0.0.1:0", token=None):
    """A launched game and the listener that it dials; it is killed in the end."""
    with Listener(address, token) as listener:
        told = {"TROPISM_BRIDGE_ADDR": str(listener.address), "TROPISM_BRIDGE_TOKEN": token or ""}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([program, *arguments], env={**os.environ, **told}, **pipes)
        try:
            yield process, listener
        finally:
            process.kill()
            process.communicate()


@contextmanager
def playing(program, *arguments, address="tcp://127.0.0.1:0", token=None, **options):
    """An agent in session with a launched game, which must then end by itself and with status 0."""
    with running(program, *arguments, address=address, token=token) as (process, listener):
        agent = Agent(listener.accept(PATIENCE), token=token, **options)
        yield agent
        agent.close()
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said


@contextmanager
def waiting(*command):
    """A game that listens, as `program, its arguments, address`; its process, and where."""
    *program, address = command
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([*program, "--listen", address], **pipes)
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()
