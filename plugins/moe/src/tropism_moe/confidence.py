"""Calibrate the confidence of a packed policy on episodes that were not learned from."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from tropism.agents.contract import Task
from tropism_moe.calibration import LEAST, Calibration
from tropism_moe.lessons import Lessons
from tropism_moe.policy import MoEPolicy


def calibrate(policy: MoEPolicy, lessons: Lessons, task: Task, steps: int, seed: int) -> MoEPolicy:
    """Fit the map from what the policy claims to how often its teacher would do the same; without enough steps it is left as it is.

    Args:
        policy: to be calibrated, in place.
        lessons: whose teacher is asked.
        task: whose last training seeds are played.
        steps: environment steps to spend.
        seed: of the agent.

    Returns:
        The policy.
    """
    if len(policy.choices.counts) != 1:
        return policy
    if steps < LEAST:
        warnings.warn(
            f"a budget of {steps} steps is too little to calibrate the confidence, {LEAST} are needed: it stays as it is",
            stacklevel=2,
        )
        return policy
    confidence, right = rollouts(policy, lessons, task, steps, seed)
    policy.calibration = Calibration.fit(confidence, right)
    return policy


def rollouts(
    policy: MoEPolicy, lessons: Lessons, task: Task, steps: int, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Confidences of about ``steps`` steps on held-out training seeds, and where the teacher would have done the same."""
    lanes = max(1, min(8, steps // LEAST))
    env: Any = task.make_vec(lanes, train=True, autoreset_mode=AutoresetMode.DISABLED)
    last, rng = task.train_seeds[1], np.random.default_rng([seed, steps])
    told, same = [], []
    over = np.ones(lanes, np.bool_)
    observation: Any = None
    info: Any = None
    try:
        for _ in range(steps // lanes):
            if over.any():
                seeds = rng.permutation(np.arange(last - 64, last))[:lanes]
                chosen: Any = [int(s) if m else None for s, m in zip(seeds, over, strict=True)]
                options = None if over.all() else {"reset_mask": over}
                observation, info = env.reset(seed=chosen, options=options)
                for player in (policy, lessons.teacher):
                    player.reset(over, seeds.astype(np.uint64))
            decision = policy.act(observation, info)
            advice = lessons.teacher.act(observation, info).action
            told.append(decision.diagnostics["confidence"])
            same.append(np.asarray(decision.action) == np.asarray(advice))
            observation, reward, terminated, truncated, info = env.step(decision.action)
            happened = decision.action, observation, reward, terminated, truncated, info
            for player in (policy, lessons.teacher):
                player.observe(*happened)
            over = terminated | truncated
    finally:
        env.close()
    return np.concatenate(told).astype(np.float64), np.concatenate(same)
