"""An agent as small as can be, which says just what a test wants said."""

import threading
import time
from contextlib import contextmanager
from typing import Any

from tropism.bridges.errors import PeerBusy
from tropism.bridges.protocol.bodies import ActionCodec, ObsCodec
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import read_json, write_json
from tropism.bridges.transports.dial import dial
from tropism.bridges.transports.handshake import AGENT_CAPS, open_agent, ready
from tropism.bridges.transports.shm.upgrade import offer

PATIENCE = 20.0


class RawAgent:
    """Dials a game and opens a session with it."""

    def __init__(self, address, mode="lockstep", caps=AGENT_CAPS - {"shm"}, token=None):
        options = {"token": token, "caps": caps, "mode": mode, "timeout": PATIENCE}
        self.connection = dial(address, PATIENCE)
        self.facts = open_agent(self.connection, dialled=True, **options)
        if "shm" in caps:
            self.connection = offer(self.connection, self.facts)
        ready(getattr(self.connection, "connection", self.connection), self.facts)
        self.spec = self.facts.spec
        self.actions, self.frames = ActionCodec(self.spec), ObsCodec(self.spec)
        self.seq = self.episode = 0

    def send(self, kind, body=b""):
        self.seq += 1
        self.connection.send(kind, body, self.seq, self.episode)

    def receive(self, kind=None):
        message = self.connection.receive(PATIENCE)
        assert kind is None or message.type == kind, message
        return message

    def observation(self) -> Any:
        return self.frames.decode(self.receive(Type.OBS).body)

    def ask_reset(self, seed=None, options=None):
        self.episode += 1
        self.send(Type.RESET, write_json({"seed": seed, "options": options}))

    def reset(self, seed=None, options=None):
        self.ask_reset(seed, options)
        return self.observation()

    def step(self, *actions):
        self.send(Type.STEP, self.actions.encode(actions))
        return self.observation()

    def act(self, *actions):
        self.send(Type.ACTION, self.actions.encode(actions))

    def call(self, name, args=None, number=7):
        self.connection.send(Type.CALL, write_json({"id": number, "name": name, "args": args}))
        return read_json(self.receive(Type.REPLY).body, Type.REPLY)

    def close(self, reason="done"):
        self.connection.close(reason)

    def vanish(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def next_agent(address, **options):
    """An agent once the game has noticed that the one before is gone."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return RawAgent(address, **options)
        except PeerBusy:
            if time.monotonic() > end:
                raise


@contextmanager
def running(target, raises=None):
    """Run `target.run` in a thread that must end by itself, with an error of this class if one is given."""
    errors = []

    def run():
        try:
            target.run()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield target
    finally:
        thread.join(PATIENCE)
        target.close()
    assert not thread.is_alive()
    assert [type(error) for error in errors] == ([] if raises is None else [raises]), errors
