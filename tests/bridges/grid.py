"""The game that every client library's example plays, in Python: integers only, from one seed."""

from __future__ import annotations

import hashlib
import random
import struct

SIDE = 8
MOVES = ((0, 0), (0, -1), (0, 1), (-1, 0), (1, 0))
READY, RUNNING, TERMINATED, TRUNCATED = 1, 2, 3, 4


class Grid:
    """Walk to the food before the energy is used up.

    Attributes:
        over: 0, or the status of a world that has ended.
    """

    def reset(self, seed: int | None) -> None:
        """Begin an episode; without a seed the old randomness goes on."""
        if seed is not None:
            self.random = seed % 2**32 or 1
        self.x, self.y, self.food_x, self.food_y = (self._draw() for _ in range(4))
        self.energy, self.steps, self.reward, self.over = 64, 0, 0, 0

    def step(self, action: int) -> None:
        """Walk one cell: 0 stay, 1 up, 2 down, 3 left, 4 right."""
        dx, dy = MOVES[action]
        self.x = min(SIDE - 1, max(0, self.x + dx))
        self.y = min(SIDE - 1, max(0, self.y + dy))
        self.steps, self.energy, self.reward = self.steps + 1, self.energy - 1, -1
        if (self.x, self.y) == (self.food_x, self.food_y):
            self.reward, self.energy = 10, min(128, self.energy + 16)
            self.food_x, self.food_y = self._draw(), self._draw()
        if self.energy == 0:
            self.over = TERMINATED
        elif self.steps >= 200:
            self.over = TRUNCATED

    def body(self, applied: int) -> bytes:
        """The body of OBS, written without any code of the bridge.

        Args:
            applied: `seq` of the request that it answers.
        """
        status = self.over or (RUNNING if self.steps else READY)
        head = struct.pack("<QQQII", self.steps, applied, 0, status, 1)
        ends = (self.over == TERMINATED, self.over == TRUNCATED, True)
        outcome = struct.pack("<d???5x", self.reward, *ends)
        return head + outcome + self._observation() + bytes(8)

    def _observation(self) -> bytes:
        view = bytearray(SIDE * SIDE)
        view[self.food_y * SIDE + self.food_x] = 2
        view[self.y * SIDE + self.x] = 1
        where = struct.pack("<4i", self.x, self.y, self.food_x, self.food_y)
        rest = struct.pack("<f4xq", self.energy / 128, self.energy < 32)
        return bytes(view) + where + rest

    def _draw(self) -> int:
        """Xorshift of 32 bits (Marsaglia 2003), for a coordinate."""
        self.random ^= self.random << 13 & 0xFFFFFFFF
        self.random ^= self.random >> 17
        self.random ^= self.random << 5 & 0xFFFFFFFF
        return self.random % SIDE


def play(agent, steps: int) -> str:
    """Compare a random run of the game at the other end with this one.

    Args:
        agent: with `reset(seed)` and `step(action)`, which return bodies of OBS, and `seq`.
        steps: to be played.

    Returns:
        SHA-256 of all the bodies.
    """
    world, actions, digest = Grid(), random.Random(7), hashlib.sha256()
    for count in range(steps):
        if count == 0 or world.over:
            seed = None if count % 3 == 1 else count * 7919
            world.reset(seed)
            assert agent.reset(seed) == world.body(agent.seq), count
        action = actions.randrange(len(MOVES))
        world.step(action)
        body = agent.step(action)
        assert body == world.body(agent.seq), count
        digest.update(body)
    return digest.hexdigest()
