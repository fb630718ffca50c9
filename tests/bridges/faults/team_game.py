"""A game of several players, each with a program of its own, which may die: run it as a script.

The programs are processes that say a number for each line that they get; the observation of a player is what its program says.
"""

import subprocess
import sys

import numpy as np
from gymnasium import spaces

from tropism.bridges.game import AgentSpec, Game, Reset, Spec

NAMES = ("ada", "bob", "eve")
SPACE = spaces.Box(0, 1e6, (1,), np.float32)
SPEC = Spec("team", [AgentSpec(name, SPACE, spaces.Discrete(2)) for name in NAMES])
PROGRAM = "import sys\nfor count, _ in enumerate(sys.stdin): print(count, flush=True)"


class Player:
    """A player and its program.

    Attributes:
        alive: whether it will act.
        seen: what the program has said last.
    """

    def __init__(self):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        command = [sys.executable, "-I", "-S", "-c", PROGRAM]
        self.process = subprocess.Popen(command, text=True, bufsize=1, **pipes)
        self.alive, self.seen = True, 0.0

    def step(self):
        """Whether the program has answered."""
        try:
            self.process.stdin.write("go\n")
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        self.seen = float(line) if line else self.seen
        return bool(line)


def play(game):
    """Rounds of players until the agent has gone."""
    players = {}
    for request in game:
        if isinstance(request, Reset):
            for player in players.values():
                player.process.kill()
            players = {name: Player() for name in NAMES}
        acting = [name for name in NAMES if players[name].alive]
        lost = {name: not players[name].step() for name in acting}
        for name in acting:
            players[name].alive = not lost[name]
        seen = {name: np.array([players[name].seen], np.float32) for name in acting}
        info = {name: {"pid": players[name].process.pid} for name in acting}
        game.observe(seen, dict.fromkeys(acting, 1.0), truncated=lost, info=info)


if __name__ == "__main__":
    with Game(SPEC) as game:
        play(game)
