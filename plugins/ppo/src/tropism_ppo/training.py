"""Training: rollouts within the budget, a checkpoint every so often, and a resume that changes nothing.

Each checkpoint begins a new *stretch*: environments and generators are seeded anew from the agent's seed and
the steps so far.  A run that was killed and resumed therefore ends with the very weights of one that was not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat

from tropism.agents.contract import Task
from tropism_ppo.lanes import lane_seeds
from tropism_ppo.normalization import Normalization
from tropism_ppo.policy import PPOPolicy
from tropism_ppo.presets import Plan
from tropism_ppo.store import load_network, load_optimizer, optimizer_arrays, read_part, write_part

if TYPE_CHECKING:
    from tropism.agents.runs import Run


class RunWriter(KVWriter):
    """Sends the scalars of SB3's logger to a run."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def write(
        self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0
    ) -> None:
        """Log the numbers; what SB3 keeps from TensorBoard only repeats ``step``."""
        kinds = (int, float, np.integer, np.floating)
        wanted = {k: v for k, v in key_values.items() if "tensorboard" not in key_excluded[k]}
        scalars = {k: float(v) for k, v in wanted.items() if isinstance(v, kinds)}
        self._run.log(step, **scalars)

    def close(self) -> None:
        """Nothing to close: the run writes row by row."""


def make_logger(run: Run, tensorboard: bool) -> Logger:
    """A logger into ``run``, and into TensorBoard files under it if asked."""
    outputs: list[KVWriter] = [RunWriter(run)]
    if tensorboard:
        outputs.append(TensorBoardOutputFormat(str(run.directory / "tensorboard")))
    return Logger(folder=None, output_formats=outputs)


@contextmanager
def own_random_state() -> Iterator[None]:
    """Give the caller's global generators back as they were; SB3 draws from torch's and NumPy's."""
    # The legacy functions, because SB3 shuffles with NumPy's global generator.
    before = np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng():
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


class Trainer:
    """One training of one SB3 algorithm.

    Args:
        model: an SB3 ``PPO`` or ``RecurrentPPO`` over ``venv``, untrained.
        venv: its environments (perhaps inside a ``VecNormalize``).
        policy: the policy that shares the model's network, for checkpoints.
        task: gives the training seeds.
        plan: how the budget is spent.
        run: where progress, scalars and checkpoints go.
        seed: of the agent.
    """

    def __init__(
        self, model: Any, venv: Any, policy: PPOPolicy, task: Task, plan: Plan, run: Run, seed: int
    ) -> None:
        self._model, self._venv, self._policy = model, venv, policy
        self._task, self._plan, self._run, self._seed = task, plan, run, seed

    def train(self, wall_s: float | None) -> PPOPolicy:
        """Continue from the latest checkpoint, if there is one, to the end of the plan.

        Args:
            wall_s: stop after the rollout during which this many seconds have passed; ``None`` for no limit.
        """
        deadline = np.inf if wall_s is None else time.monotonic() + wall_s
        self._restore(self._run.latest_checkpoint())
        total = self._plan.rollouts * self._plan.rollout
        with self._run.progress(total, f"{self._policy.algorithm} {self._task.env_id}") as update:
            update(self._steps)
            while self._left() and time.monotonic() < deadline:
                self._stretch(deadline, update)
        return self._finished()

    @property
    def _steps(self) -> int:
        return self._model.num_timesteps

    def _left(self) -> int:
        """Rollouts that still fit."""
        return max(0, self._plan.rollouts - -(-self._steps // self._plan.rollout))

    def _stretch(self, deadline: float, update: Any) -> None:
        """Rollouts from fresh seeds up to the next checkpoint."""
        rng = np.random.default_rng([self._seed, self._steps])
        self._venv.unwrapped.set_seeds(lane_seeds(self._task, self._plan.n_envs, rng))
        torch.manual_seed(int(rng.integers(2**63)))
        np.random.seed(int(rng.integers(2**32)))  # noqa: NPY002
        self._model._last_obs = None  # SB3 then resets the environments
        each = -(-self._policy.config.checkpoint_every // self._plan.rollout)
        for _ in range(min(each, self._left())):
            self._model.learn(self._plan.rollout, reset_num_timesteps=False)
            update(self._steps)
            if time.monotonic() >= deadline:
                break
        self._model.logger.dump(self._steps)  # SB3 logs an update only with the next rollout
        with self._run.checkpoint_dir(self._steps) as directory:
            self._checkpoint(directory)

    def _checkpoint(self, directory: Path) -> None:
        self._finished().save(directory)
        rewards = getattr(self._venv, "ret_rms", None)
        arrays = optimizer_arrays(self._model.policy.optimizer)
        if rewards is not None:
            arrays["rewards"] = np.array([rewards.mean, rewards.var, rewards.count])
        facts = {"num_timesteps": self._steps, "n_updates": self._model._n_updates}
        write_part(directory, "training", arrays, facts)

    def _restore(self, checkpoint: Path | None) -> None:
        if checkpoint is None:
            return
        arrays, _ = read_part(checkpoint, "policy")
        load_network(self._model.policy, arrays, checkpoint)
        Normalization.from_tensors(arrays).restore(self._venv)
        arrays, facts = read_part(checkpoint, "training")
        load_optimizer(self._model.policy.optimizer, arrays)
        if "rewards" in arrays:
            rms = self._venv.ret_rms
            rms.mean, rms.var, rms.count = arrays["rewards"]
        self._model.num_timesteps = facts["num_timesteps"]
        self._model._n_updates = facts["n_updates"]

    def _finished(self) -> PPOPolicy:
        """The policy with the statistics gathered so far."""
        policy = self._policy
        parts = (policy.network, policy.config, policy._encoder, Normalization.of(self._venv))
        return type(policy)(*parts, (policy.observation_space, policy.action_space))
