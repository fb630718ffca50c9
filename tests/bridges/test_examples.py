"""The examples in Python: the grid of every client library, and pixels from Panda3D in its own interpreter."""

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
PANDA3D = os.environ.get("TROPISM_PANDA3D_PYTHON", sys.executable)
"""An interpreter that has panda3d, numpy and gymnasium."""


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


def test_panda3d_draws_one_frame_for_each_step(paths):
    probe = [PANDA3D, "-c", "import panda3d.core, gymnasium"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip(
            f"{PANDA3D} has no panda3d; TROPISM_PANDA3D_PYTHON may name another interpreter"
        )
    module = load("bridge_panda3d")
    command = [PANDA3D, str(EXAMPLES / "bridge_panda3d.py"), "--game"]
    frames = []
    for _ in range(2):
        env = gymnasium.make("tropism/Bridge-v0", command=command)
        pixels, _ = env.reset(seed=0)
        seen, over = [pixels], False
        while not over:
            pixels, _, over, truncated, _ = env.step(module.steer(pixels))
            assert not truncated
            seen.append(pixels)
        env.close()
        frames.append(np.stack(seen))
    assert len({frame.tobytes() for frame in frames[0]}) == len(frames[0]) > 2  # the ship moves
    np.testing.assert_array_equal(frames[0], frames[1])
