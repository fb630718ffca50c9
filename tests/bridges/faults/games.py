"""Games that misbehave, in processes of their own, and what an agent must make of them."""

import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from tests.bridges.faults.bare_game import act
from tests.bridges.traces import PATIENT, is_running

from tropism.bridges.env import BridgeEnv

BARE = [sys.executable, "-I", "-S", str(Path(__file__).with_name("bare_game.py"))]


def make(*arguments, **kwargs):
    """A `BridgeEnv` over the bare game with these words on its command line."""
    return BridgeEnv([*BARE, *arguments], **{"deadlines": PATIENT, "transport": "tcp", **kwargs})


class Told(NamedTuple):
    """What an agent was told of a fault."""

    error: str
    text: str
    facts: dict
    raised: Exception | None
    seconds: float


def fault(env, action):
    """Take a step into a fault, after a good one; what is told of it, however that is done.

    Args:
        env: one that has been reset.
        action: by name, or as the game takes it.
    """
    last = env.step(act("play"))[0]
    start = time.monotonic()
    action = act(action) if isinstance(action, str) else action
    if env._keeper.faults.on_fault.policy == "raise":
        with pytest.raises(Exception) as caught:
            env.step(action)
        error = caught.value
        return Told(type(error).__name__, str(error), error.facts, error, time.monotonic() - start)
    observation, reward, terminated, truncated, info = env.step(action)
    seconds = time.monotonic() - start
    assert (reward, terminated, truncated) == (0.0, False, True)
    np.testing.assert_equal(observation, last)
    told = info["bridge"]["fault"]
    return Told(told["error"], told["text"], told, None, seconds)


def comes_back(env):
    """The next reset is answered by a new game; the old one is gone."""
    old = env.session.game_pid
    env.reset(seed=1)
    assert env.session.game_pid != old
    assert not is_running(old)
    assert env.step(act("play"))[4]["bridge"]["step"] == 1


def len_of_observation(size):
    """Bytes of the body of OBS of a bare game with so many numbers (f4)."""
    return 32 + 16 + -(-4 * size // 8) * 8 + 8


def state(pid):
    """The letter of the state of a process, such as T for stopped."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
