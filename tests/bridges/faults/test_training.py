"""Training goes on while its games are killed again and again."""

import os
import signal
import sys

import numpy as np
import pytest
from tests.bridges.traces import PATIENT, TRANSPORTS, descriptors, is_running, shared_files

from tropism.bridges.env import BridgeEnv

COMMAND = [sys.executable, "-m", "tropism.bridges.serve", "CartPole-v1"]


def cartpole(transport, **kwargs):
    """CartPole on the other side, whose deaths end an episode and nothing else."""
    return BridgeEnv(
        COMMAND,
        transport=transport,
        on_fault={"policy": "truncate", "backoff": 0.0},
        deadlines=PATIENT,
        **kwargs,
    )


class Killer:
    """Kills the game of an environment at given steps, as they are counted by `step`.

    Attributes:
        pids: of the games that were killed.
    """

    def __init__(self, env, steps):
        self._env, self._steps, self._count, self.pids = env, set(steps), 0, []

    def step(self):
        """One more step is about to be taken."""
        self._count += 1
        if self._count in self._steps:
            self.pids.append(self._env.session.game_pid)
            os.kill(self.pids[-1], signal.SIGKILL)


def test_a_random_player_survives_three_kills(transport, record_property):
    env = cartpole(transport)
    before = descriptors()
    killer, dice, faults, over = Killer(env, (50, 150, 250)), np.random.default_rng(1), 0, True
    for _ in range(300):
        if over:
            env.reset()
        killer.step()
        _, reward, terminated, truncated, info = env.step(int(dice.integers(2)))
        fault = info["bridge"].get("fault")
        assert (reward, terminated, truncated) == (0.0, False, True) if fault else reward == 1.0
        faults += fault is not None
        over = terminated or truncated
    record_property("kills", len(killer.pids))
    assert faults == env.num_faults == 3
    env.reset()
    assert descriptors() == before
    env.close()
    assert not any(map(is_running, killer.pids))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of other people's code
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ppo_learns_through_twenty_kills(transport, record_property):
    sb3 = pytest.importorskip("stable_baselines3", reason="it comes with plugins/ppo")
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)  # the games want a processor, too
    steps, kills = 20_000, 20
    env = cartpole(transport)
    at = np.random.default_rng(3).choice(np.arange(100, steps - 100), kills, replace=False)
    killer = Killer(env, at.tolist())
    model = sb3.PPO("MlpPolicy", env, seed=1, device="cpu", n_steps=1024)
    model.learn(steps, callback=lambda *_: killer.step() or True)
    returns = [episode["r"] for episode in model.ep_info_buffer or ()]
    record_property("kills", len(killer.pids))
    record_property("last_returns", round(float(np.mean(returns[-50:])), 1))
    assert env.num_faults == len(killer.pids) == kills
    assert np.mean(returns[-50:]) > 80  # a random player has 22
    env.close()
    assert not any(map(is_running, killer.pids))
    assert shared_files() == []
