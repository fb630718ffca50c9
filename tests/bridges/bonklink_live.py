"""A BonkLink game that ticks: as a thread for tests, and as a program that shows how old its states are.

`python bonklink_live.py BASE` serves at 60 Hz, with a raw frame of 320 x 180 ten times a second; `game_time` is
the monotonic clock less BASE.
"""

import sys
import threading
import time
from dataclasses import replace

import numpy as np

from tropism.bridges.legacy import BonkLinkServer, State, encode_raw


class Game(threading.Thread):
    """Counts its ticks in `game_time`, reward 1 a tick, ends at `length` ticks; a reset begins at 0 again."""

    def __init__(self, port: int = 0, hz: float = 500.0, length: int = 10**9, **options) -> None:
        super().__init__(daemon=True)
        self.server = BonkLinkServer(port, **options)
        self.port, self.pause, self.length = self.server.port, 1 / hz, length
        self.actions, self.seeds, self.ticks, self.ending = [], [], 0, threading.Event()

    def run(self) -> None:
        with self.server:
            while not self.ending.wait(self.pause):
                self.tick()

    def tick(self) -> None:
        time_, ended = float(self.ticks), self.ticks >= self.length
        state = State((time_, 0.0, 0.0), game_time=time_, is_playing=True, menu="Gameplay")
        frame = encode_raw(np.full((4, 6, 3), self.ticks % 256, np.uint8))
        actions = self.server.tick(state, frame, total=time_, terminated=ended)
        self.actions += actions
        self.ticks += 1
        for request in (action.request for action in actions):
            if request is not None and request.reset:
                self.seeds.append(request.seed)
                self.ticks = 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join()


def serve(base: float) -> None:
    frame = encode_raw(np.random.default_rng(0).integers(0, 256, (180, 320, 3), np.uint8))
    state, start, tick = State(is_playing=True, menu="Gameplay"), time.monotonic(), 0
    with BonkLinkServer(0) as server:
        print(server.port, flush=True)  # noqa: T201
        while True:
            now = replace(state, game_time=time.monotonic() - base)
            server.tick(now, frame if tick % 6 == 0 else b"")
            tick += 1
            time.sleep(max(start + tick / 60 - time.monotonic(), 0.0))


if __name__ == "__main__":
    serve(float(sys.argv[1]))
