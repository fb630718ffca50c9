"""A tiny game behind the bridge, in Python: walk to the food before the energy is used up.

    python examples/bridge_game.py                                   # launches itself as a game and plays it
    python examples/bridge_game.py --listen tcp://127.0.0.1:5005     # waits for agents

An agent launches it by `gymnasium.make("tropism.bridges:tropism/Bridge-v0", command=["python", "examples/bridge_game.py", "--game"])`.
The examples of the other client libraries, in `tropism/bridges/clients`, play the very same game.
"""

import argparse
import sys

import numpy as np
from gymnasium import spaces

from tropism.bridges.game import AgentSpec, Game, Reset, Spec

SIDE = 8
MOVES = ((0, 0), (0, -1), (0, 1), (-1, 0), (1, 0))  # stay, up, down, left, right
OBSERVATION = spaces.Dict(
    [
        ("view", spaces.Box(0, 2, (SIDE, SIDE), np.uint8)),
        ("where", spaces.Box(0, SIDE - 1, (4,), np.int32)),
        ("energy", spaces.Box(0, 1, (), np.float32)),
        ("hungry", spaces.Discrete(2)),
    ]
)
SPEC = Spec("grid", [AgentSpec("walker", OBSERVATION, spaces.Discrete(len(MOVES)))])


class World:
    """The game itself, which knows nothing of the bridge."""

    random = 1

    def reset(self, seed: int | None) -> None:
        """Begin an episode."""
        if seed is not None:
            self.random = seed % 2**32 or 1
        self.walker, self.food = (self._draw(), self._draw()), (self._draw(), self._draw())
        self.energy, self.steps, self.reward = 64, 0, 0

    def step(self, action: int) -> None:
        """Walk one cell, and eat what is there."""
        moved = (here + step for here, step in zip(self.walker, MOVES[action], strict=True))
        x, y = (min(SIDE - 1, max(0, place)) for place in moved)
        self.walker, self.steps, self.reward = (x, y), self.steps + 1, -1
        self.energy -= 1
        if self.walker == self.food:
            self.reward, self.energy = 10, min(128, self.energy + 16)
            self.food = (self._draw(), self._draw())

    def observation(self) -> dict:
        """What the walker sees."""
        view = np.zeros((SIDE, SIDE), np.uint8)
        view[self.food[::-1]], view[self.walker[::-1]] = 2, 1
        where = np.array([*self.walker, *self.food], np.int32)
        energy = np.float32(self.energy / 128)
        return {"view": view, "where": where, "energy": energy, "hungry": int(self.energy < 32)}

    def _draw(self) -> int:
        """Xorshift of 32 bits (Marsaglia 2003), for a coordinate."""
        self.random ^= self.random << 13 & 0xFFFFFFFF
        self.random ^= self.random >> 17
        self.random ^= self.random << 5 & 0xFFFFFFFF
        return self.random % SIDE


def serve(listen: str | None = None) -> None:
    """Be a game."""
    with Game(SPEC, listen=listen) as game:
        if listen:
            print(f"listening at {game.address}", flush=True)
        answer(game, World())


def answer(game: Game, world: World) -> None:
    """Let the world go on as it is asked to."""
    for request in game:
        if isinstance(request, Reset):
            world.reset(request.seed)
        else:
            world.step(request.action)
        starved = world.energy == 0
        late = not starved and world.steps >= 200
        game.observe(world.observation(), world.reward, terminated=starved, truncated=late)


def play() -> None:
    """Be the agent: walk towards the food."""
    import gymnasium

    command = [sys.executable, __file__, "--game"]
    env = gymnasium.make("tropism.bridges:tropism/Bridge-v0", command=command)
    for seed in range(3):
        observation, _ = env.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            x, y, food_x, food_y = observation["where"]
            action = 3 + (food_x > x) if x != food_x else 1 + (food_y > y)
            observation, reward, terminated, truncated, _ = env.step(int(action))
            total, over = total + float(reward), terminated or truncated
        print(f"seed {seed}: return {total:.0f}")
    env.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Walk to the food, through the bridge.")
    parser.add_argument("--listen", metavar="ADDRESS", help="wait there for agents")
    parser.add_argument("--game", action="store_true", help="be a game that an agent has launched")
    options = parser.parse_args()
    if options.game or options.listen:
        serve(options.listen)
    else:
        play()
