"""A live game whose frames tell when they were made: run it as a script with frames per second (0: no rest) and their size.

The first number of an observation is the monotonic clock in seconds, all others are the number of the frame.
"""

import sys
import time

import numpy as np
from gymnasium import spaces

from tropism.bridges.game import AgentSpec, Game, Spec


def spec(size):
    """Frames of that many numbers."""
    space = spaces.Box(0, np.inf, (size,), np.float64)
    return Spec("clock", [AgentSpec("a", space, spaces.Discrete(2))], hold=True)


def run(game, period, size):
    """Show frames until the agent has gone."""
    game.next_request()
    frame, count, due = np.zeros(size), 0, time.monotonic()
    while not game.over:
        count += 1
        frame[:] = count
        frame[0] = time.monotonic()
        game.observe(frame)
        due += period
        game.newest()
        while (left := due - time.monotonic()) > 0 and not game.over:
            game.newest(left)


if __name__ == "__main__":
    rate, numbers = float(sys.argv[1]), int(sys.argv[2])
    with Game(spec(numbers), live=True) as game:
        run(game, 1 / rate if rate else 0.0, numbers)
