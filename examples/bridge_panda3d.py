"""A 3D game with pixels behind the bridge, in lock-step and without a display: steer the ship into the ring.

    pip install tropism[examples]
    python examples/bridge_panda3d.py                                # launches itself as a game and plays it
    python examples/bridge_panda3d.py --game                         # what an agent launches

Panda3D's own software renderer draws one frame for each step, so it needs neither a graphics card nor X. The agent
needs no Panda3D at all: give `command` the interpreter that has it.
"""

import argparse
import random
import sys
import time
from typing import Any

import numpy as np
from gymnasium import spaces

from tropism.bridges.game import AgentSpec, Game, Reset, Spec

SIZE = 84  # pixels
SPEED = 0.15
REACH = 0.15  # of the ring, in the units of the plane, which ends at -1 and 1
LIMIT = 60  # steps
MOVES = ((0, 0), (0, 1), (0, -1), (-1, 0), (1, 0))  # stay, up, down, left, right
PIXELS = spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)
SPEC = Spec("ring", [AgentSpec("ship", PIXELS, spaces.Discrete(len(MOVES)))])
SETTINGS = f"""
load-display p3tinydisplay
window-type offscreen
audio-library-name null
sync-video false
win-size {SIZE} {SIZE}
notify-level error
"""


class Scene:
    """Two boxes in front of a camera, drawn into memory."""

    def __init__(self) -> None:
        from direct.showbase.ShowBase import ShowBase
        from panda3d.core import GraphicsOutput, Texture, load_prc_file_data

        load_prc_file_data("", SETTINGS)
        self.base: Any = ShowBase(windowType="offscreen")  # its stubs say that anything may be None
        self.base.disable_mouse()
        self.base.set_background_color(0, 0, 0)
        self.base.camera.set_pos(0, -4, 0)
        self.texture = Texture()
        self.base.win.add_render_texture(self.texture, GraphicsOutput.RTM_copy_ram)
        self.ship, self.ring = self._box((1, 1, 1, 1)), self._box((1, 0.4, 0, 1))

    def draw(self, ship: tuple[float, ...], ring: tuple[float, ...]) -> np.ndarray:
        """One frame, uint8 [84, 84, 3], top row first."""
        self.ship.set_pos(ship[0], 0, ship[1])
        self.ring.set_pos(ring[0], 0.2, ring[1])
        self.base.graphicsEngine.render_frame()
        data = self.texture.get_ram_image_as("RGB")  # bottom row first, as graphics cards have it
        return np.frombuffer(data, np.uint8).reshape(SIZE, SIZE, 3)[::-1]

    def _box(self, color: tuple[float, float, float, float]) -> Any:
        box = self.base.loader.load_model("models/box")
        box.set_texture_off(1)
        box.set_color(*color)
        box.set_scale(0.2)
        box.reparent_to(self.base.render)
        return box


class World:
    """Where things are."""

    def __init__(self) -> None:
        self.random = random.Random()

    def reset(self, seed: int | None) -> None:
        """Begin an episode."""
        if seed is not None:
            self.random.seed(seed)
        self.ship, self.ring = self._place(), self._place()
        self.steps, self.reward, self.arrived = 0, 0.0, False

    def step(self, action: int) -> None:
        """Move the ship; the reward is how much nearer it came."""
        before = self._distance()
        self.ship = tuple(
            min(1.0, max(-1.0, place + SPEED * move))
            for place, move in zip(self.ship, MOVES[action], strict=True)
        )
        self.steps, self.reward = self.steps + 1, before - self._distance()
        self.arrived = self._distance() < REACH

    def _place(self) -> tuple[float, ...]:
        return self.random.uniform(-1, 1), self.random.uniform(-1, 1)

    def _distance(self) -> float:
        return max(abs(a - b) for a, b in zip(self.ship, self.ring, strict=True))


def serve() -> None:
    """Draw one frame for each request."""
    world, scene = World(), Scene()
    with Game(SPEC) as game:
        for request in game:
            if isinstance(request, Reset):
                world.reset(request.seed)
            else:
                world.step(request.action)
            frame = scene.draw(world.ship, world.ring)
            late = world.steps >= LIMIT and not world.arrived
            game.observe(frame, world.reward, terminated=world.arrived, truncated=late)


def play() -> None:
    """Be the agent: look where the boxes are, and steer."""
    import gymnasium

    command = [sys.executable, __file__, "--game"]
    env = gymnasium.make("tropism.bridges:tropism/Bridge-v0", command=command)
    start, steps = time.perf_counter(), 0
    for seed in range(5):
        (pixels, _), total, terminated, truncated = env.reset(seed=seed), 0.0, False, False
        while not (terminated or truncated):
            pixels, reward, terminated, truncated, _ = env.step(steer(pixels))
            total, steps = total + float(reward), steps + 1
        print(f"seed {seed}: return {total:.2f}, {'arrived' if terminated else 'late'}")
    print(f"{steps / (time.perf_counter() - start):.0f} steps a second")
    env.close()


def steer(pixels: np.ndarray) -> int:
    """The move that brings the white box nearer to the orange one."""
    blue, red = pixels[..., 2].astype(int), pixels[..., 0].astype(int)
    ship, ring = np.argwhere(blue > 40), np.argwhere((red > 40) & (blue <= 40))
    if not len(ship) or not len(ring):
        return 0
    down, right = ring.mean(0) - ship.mean(0)
    if abs(down) > abs(right):
        return 2 if down > 0 else 1
    return 4 if right > 0 else 3


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Steer a ship into a ring, through the bridge.")
    parser.add_argument("--game", action="store_true", help="be a game that an agent has launched")
    serve() if parser.parse_args().game else play()
