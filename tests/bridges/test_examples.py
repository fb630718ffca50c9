"""The examples in Python: the grid of every client library, and pixels from Panda3D."""

import importlib.util
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from tests.bridges import grid
from tests.bridges.raw_agent import RawAgent, running

import tropism.bridges  # noqa: F401 - registers
from tropism.bridges.game import Game
from tropism.bridges.protocol.header import Type
from tropism.bridges.transports.handshake import AGENT_CAPS

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def paths(monkeypatch):
    """Lets other interpreters find the packages of this checkout."""
    found = [str(ROOT / "envs"), str(ROOT / "bridges")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(found))


class Bodies(RawAgent):
    """An agent as `grid.play` wants it."""

    def observation(self):
        return bytes(self.receive(Type.OBS).body)


class Grid:
    """The example, listening in this process."""

    def __init__(self, module):
        self.game = Game(module.SPEC, listen="tcp://127.0.0.1:0", on_agent_lost="exit")
        self.address, self.close = self.game.address, self.game.close
        self.run = partial(module.answer, self.game, module.World())


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("caps", [AGENT_CAPS, AGENT_CAPS - {"shm"}], ids=["shm", "tcp"])
def test_the_grid_is_played_byte_for_byte_as_by_the_oracle(caps):
    example = Grid(load("bridge_game"))
    with running(example), Bodies(example.address, caps=caps) as agent:
        grid.play(agent, 10_000)


def test_the_grid_is_launched_and_learnt_by_walking(paths):
    run = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / "bridge_game.py"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines() == [
        "seed 0: return 196",
        "seed 1: return 196",
        "seed 2: return 240",
    ]


BLACK, ORANGE, WHITE = (0, 0, 0), (255, 102, 0), (255, 255, 255)


def film(module, steps=60):
    """One episode as the example's own agent steers it: what it sees, uint8 [steps, 84, 84, 3]."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / "bridge_panda3d.py"), "--game"]
    env = gymnasium.make("tropism/Bridge-v0", command=command)
    frame, _ = env.reset(seed=0)
    seen, over = [frame], False
    while not over:
        assert len(seen) <= steps
        frame, _, over, truncated, _ = env.step(module.steer(frame))
        assert not truncated
        seen.append(frame)
    env.close()
    return np.stack(seen)


def test_panda3d_draws_one_frame_for_each_step(paths):
    pytest.importorskip("panda3d.core", reason="panda3d is not installed")
    module = load("bridge_panda3d")
    seen = film(module)
    assert seen.shape[1:] == (84, 84, 3)
    colors, counts = np.unique(seen[0].reshape(-1, 3), axis=0, return_counts=True)
    assert [tuple(color) for color in colors] == [BLACK, ORANGE, WHITE]  # space, ring, ship
    assert (counts[1:] > 50).all()  # boxes, not specks
    assert len({frame.tobytes() for frame in seen}) == len(seen) > 2  # the ship moves
    np.testing.assert_array_equal(seen, film(module))
