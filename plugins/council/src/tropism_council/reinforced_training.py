"""A training run that learns from rewards: stretches within the budget, checkpoints, and what is set on held-out seeds.

As in :mod:`tropism_council.training`, each checkpoint begins afresh from the agent's seed and the steps so far, so that a run
that was killed and resumed ends with the very weights of one that was not.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode

from tropism.agents.contract import Budget, Task
from tropism_council.reinforced_policy import ReinforcedPolicy
from tropism_council.reinforcement import Practitioner
from tropism_council.rollouts import Rollouts
from tropism_council.store import read_part, write_part
from tropism_council.training import CALIBRATION, HELD_OUT, LEAST_CALIBRATION, Plan

if TYPE_CHECKING:
    from tropism.agents.runs import Run


class ReinforcedTrainer:
    """One training.

    Args:
        policy: whose network learns.
        task: where.
        budget: how much.
        run: gets progress, scalars and checkpoints.
        seed: of the agent.
    """

    def __init__(
        self, policy: ReinforcedPolicy, task: Task, budget: Budget, run: Run, seed: int
    ) -> None:
        self.policy, self.task, self.run, self.seed = policy, task, run, seed
        self.plan = Plan(policy.config, budget.env_steps)
        self._end = np.inf if budget.wall_s is None else time.monotonic() + budget.wall_s
        self.learner = Practitioner(policy.actor, policy.config, policy.practice, self.plan.updates)
        self.steps = 0

    def train(self) -> ReinforcedPolicy:
        """Learn to the end of the plan, then set what is set on held-out seeds."""
        self._restore()
        rollouts = self._rollouts()
        try:
            with self.run.progress(self.plan.training, f"council {self.task.env_id}") as update:
                update(self.steps)
                while self._goes_on():
                    self._to_checkpoint(rollouts, update)
        finally:
            rollouts.env.close()
        self._calibrate()
        return self.policy

    def _rollouts(self) -> Rollouts:
        policy, config = self.policy, self.policy.config
        held = self.task.train_seeds[1] - self.task.train_seeds[0] > 2 * HELD_OUT
        return Rollouts(
            policy.actor,
            policy.encoder,
            policy.choices,
            self.task,
            self.plan.lanes,
            config.questions / config.stretch,
            HELD_OUT * held,
        )

    def _goes_on(self) -> bool:
        return self.steps < self.plan.training and time.monotonic() < self._end

    def _to_checkpoint(self, rollouts: Rollouts, update: Callable[[float], None]) -> None:
        """Learn from fresh episodes up to the next checkpoint."""
        rng = np.random.default_rng([self.seed, self.steps])
        torch.manual_seed(int(rng.integers(2**63)))
        rollouts.begin(rng)
        end = self.steps + self.policy.config.checkpoint_every
        while self._goes_on() and self.steps < end:
            left = (self.plan.training - self.steps) // self.plan.lanes
            if not left:
                self.steps = self.plan.training  # less than a step of all lanes
                break
            self._learn(rollouts, min(self.policy.config.stretch, left))
            update(self.steps)
        with self.run.checkpoint_dir(self.steps) as directory:
            self.policy.save(directory)
            facts = {"steps": self.steps, "updates": self.learner.done}
            write_part(directory, "training", self.learner.tensors(), facts)

    def _learn(self, rollouts: Rollouts, steps: int) -> None:
        found = self.learner.update(rollouts.next(steps))
        self.steps += steps * self.plan.lanes
        if ended := rollouts.finished:
            found["return"] = float(np.mean(ended))
        rollouts.finished = []
        self.run.log(self.steps, **found)

    def _restore(self) -> None:
        checkpoint = self.run.latest_checkpoint()
        if checkpoint is None:
            return
        weights, _ = read_part(checkpoint, "council")
        self.policy.restore(weights, checkpoint)
        state, facts = read_part(checkpoint, "training")
        self.steps = facts["steps"]
        self.learner.restore(state, facts["updates"])

    def _calibrate(self) -> None:
        """Choose between drawing and the likeliest action, set the gate's threshold, and put both on record."""
        plan, actor = self.plan, self.policy.actor
        means = self._compare() if plan.calibration else {}
        facts = {"calibrated": plan.calibration > 0, "threshold": actor.gate.threshold.item()}
        self.run.log(self.steps + plan.calibration, **facts, drawn=actor.draws.item(), **means)
        if not plan.calibration:
            warnings.warn(
                f"a budget of {plan.training} steps leaves too few to calibrate the gate: the council is never asked, "
                f"and actions are drawn; give at least {int(LEAST_CALIBRATION / CALIBRATION)}",
                stacklevel=2,
            )

    def _compare(self) -> dict[str, float]:
        """Play both ways on held-out seeds, and keep the better; mean returns, where episodes ended."""
        config, plan, actor, plays = self.policy.config, self.plan, self.policy.actor, []
        for draws in (False, True):
            actor.draws.fill_(draws)
            rng = np.random.default_rng([self.seed, plan.calibration, draws])
            plays.append(held_out(self.policy, self.task, plan.calibration // 2, config.share, rng))
        (_, greedy), (_, drawn) = plays
        draws = better(drawn, greedy)
        actor.draws.fill_(draws)
        actor.gate.calibrate(torch.from_numpy(plays[draws][0]), config.share)
        both = {"greedy_return": greedy, "drawn_return": drawn}
        return {name: float(found.mean()) for name, found in both.items() if len(found)}


def better(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> bool:
    """Whether the returns ``one`` are higher than ``other`` by more than a standard error."""
    if min(len(one), len(other)) < 2:
        return False
    error = np.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other))
    return bool(one.mean() - other.mean() > error)


def held_out(
    policy: ReinforcedPolicy, task: Task, steps: int, share: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Play about ``steps`` steps from held-out training seeds, asking the council at random as often as it may be asked.

    Returns:
        What the gate says, ``float32[N]``, and the returns of the episodes that ended, ``float64[M]``.
    """
    count = task.train_seeds[1] - task.train_seeds[0]
    lanes = min(HELD_OUT, max(1, steps // LEAST_CALIBRATION), count)
    env: Any = task.make_vec(lanes, train=True, autoreset_mode=AutoresetMode.SAME_STEP)
    try:
        seeds = np.arange(task.train_seeds[1] - lanes, task.train_seeds[1])
        observation, info = env.reset(seed=seeds.tolist())
        policy.reset(np.ones(lanes, np.bool_), seeds.astype(np.uint64))
        scores, returns, sums = [], [], np.zeros(lanes)
        for _ in range(steps // lanes):
            decision = policy.act(observation, info, rng.random(lanes) < share)
            scores.append(decision.diagnostics["score"])
            observation, reward, terminated, truncated, info = env.step(decision.action)
            policy.observe(decision.action, observation, reward, terminated, truncated, info)
            ends, sums = terminated | truncated, sums + reward
            returns += sums[ends].tolist()
            sums[ends] = 0
            if ends.any():
                policy.reset(ends, rng.integers(2**63, size=lanes).astype(np.uint64))
    finally:
        env.close()
    return np.concatenate(scores), np.array(returns)
