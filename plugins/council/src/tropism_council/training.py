"""A training run: stretches within the budget, checkpoints, a resume that changes nothing, and the gate's threshold.

Each checkpoint begins afresh: episodes and generators are seeded from the agent's seed and the steps so far, so that a run
that was killed and resumed ends with the very weights of one that was not.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from tropism.agents.contract import Budget, Task
from tropism_council.config import CouncilConfig
from tropism_council.episodes import Episodes, Stretch
from tropism_council.learning import Carried, Learner
from tropism_council.policy import CouncilPolicy
from tropism_council.store import read_part, write_part

if TYPE_CHECKING:
    from tropism.agents.runs import Run

HELD_OUT = 64
"""Seeds at the end of the training range that are kept for the threshold."""
CALIBRATION = 0.05
"""Part of the budget for it, at most as many steps as ..."""
MOST_CALIBRATION = 32_768
LEAST_CALIBRATION = 256
"""Steps with fewer of which no threshold is set."""
LOG_EVERY = 20


class Plan:
    """How a budget is spent.

    Attributes:
        lanes: episodes side by side.
        training: environment steps for learning.
        calibration: environment steps for the threshold; 0 if too few would be left.
        updates: how often is learned, at most.
    """

    def __init__(self, config: CouncilConfig, env_steps: int) -> None:
        held = min(int(CALIBRATION * env_steps), MOST_CALIBRATION)
        self.calibration = held if held >= LEAST_CALIBRATION else 0
        self.training = env_steps - self.calibration
        self.lanes = max(1, min(config.lanes, self.training // config.stretch))
        self.updates = max(1, self.training // (self.lanes * config.stretch))


class Trainer:
    """One training.

    Args:
        policy: whose network learns.
        task: where.
        budget: how much.
        run: gets progress, scalars and checkpoints.
        seed: of the agent.
    """

    def __init__(
        self, policy: CouncilPolicy, task: Task, budget: Budget, run: Run, seed: int
    ) -> None:
        self.policy, self.task, self.run, self.seed = policy, task, run, seed
        self.plan = Plan(policy.config, budget.env_steps)
        self._end = np.inf if budget.wall_s is None else time.monotonic() + budget.wall_s
        self.learner = Learner(policy.network, policy.config, self.plan.updates)
        self.steps = self.updates = 0

    def train(self) -> CouncilPolicy:
        """Learn to the end of the plan, then set the threshold."""
        self._restore()
        held = self.task.train_seeds[1] - self.task.train_seeds[0] > 2 * HELD_OUT
        episodes = Episodes(
            self.task, self.plan.lanes, self.policy.sizes.tokens - 1, HELD_OUT * held
        )
        try:
            with self.run.progress(self.plan.training, f"council {self.task.env_id}") as update:
                update(self.steps)
                while self._goes_on():
                    self._to_checkpoint(episodes, update)
        finally:
            episodes.env.close()
        self._calibrate()
        return self.policy

    def _goes_on(self) -> bool:
        return self.steps < self.plan.training and time.monotonic() < self._end

    def _to_checkpoint(self, episodes: Episodes, update: Callable[[float], None]) -> None:
        """Learn from fresh episodes up to the next checkpoint."""
        rng = np.random.default_rng([self.seed, self.steps])
        torch.manual_seed(int(rng.integers(2**63)))
        episodes.begin(rng)
        carried = Carried.begin(self.policy.network, self.plan.lanes)
        end = self.steps + self.policy.config.checkpoint_every
        while self._goes_on() and self.steps < end:
            left = (self.plan.training - self.steps) // self.plan.lanes
            if not left:
                self.steps = self.plan.training  # less than a step of all lanes
                break
            stretch, began = episodes.next(min(self.policy.config.stretch, left))
            if began:
                carried = Carried.begin(self.policy.network, self.plan.lanes)
            carried = self._learn(stretch, carried)
            update(self.steps)
        with self.run.checkpoint_dir(self.steps) as directory:
            self.policy.save(directory)
            facts = {"steps": self.steps, "updates": self.updates}
            write_part(directory, "training", self.learner.tensors(), facts)

    def _learn(self, stretch: Stretch, carried: Carried) -> Carried:
        losses, facts, carried = self.learner.update(stretch, carried)
        self.steps += stretch.answers.numel()
        self.updates += 1
        if self.updates % LOG_EVERY == 1:
            logged = {**losses._asdict(), **facts._asdict()}
            self.run.log(self.steps, **{k: v.item() for k, v in logged.items()})
        return carried

    def _restore(self) -> None:
        checkpoint = self.run.latest_checkpoint()
        if checkpoint is None:
            return
        weights, _ = read_part(checkpoint, "council")
        self.policy.network.load_state_dict(weights)
        state, facts = read_part(checkpoint, "training")
        self.steps, self.updates = facts["steps"], facts["updates"]
        self.learner.restore(state, self.updates)

    def _calibrate(self) -> None:
        """Set the gate's threshold on episodes that were not learned from, and put it on record."""
        config, plan, gate = self.policy.config, self.plan, self.policy.network.gate
        if plan.calibration:
            scores = held_out_scores(
                self.policy, self.task, plan.calibration, config.share, self.seed
            )
            gate.calibrate(torch.from_numpy(scores), config.share)
        facts = {"calibrated": plan.calibration > 0, "threshold": gate.threshold.item()}
        self.run.log(self.steps + plan.calibration, **facts)
        if not plan.calibration:
            warnings.warn(
                f"a budget of {plan.training} steps leaves too few to calibrate the gate: the council is never asked; "
                f"give at least {int(LEAST_CALIBRATION / CALIBRATION)}",
                stacklevel=2,
            )


def held_out_scores(
    policy: CouncilPolicy, task: Task, steps: int, share: float, seed: int
) -> np.ndarray:
    """What the gate says in about ``steps`` steps of held-out training seeds, asked at random as often as it may ask."""
    lanes = min(
        HELD_OUT, max(1, steps // LEAST_CALIBRATION), task.train_seeds[1] - task.train_seeds[0]
    )
    env: Any = task.make_vec(lanes, train=True, autoreset_mode=AutoresetMode.DISABLED)
    rng = np.random.default_rng([seed, steps])
    try:
        last = task.train_seeds[1]
        seeds = np.arange(last - lanes, last)
        observation, info = env.reset(seed=seeds.tolist())
        policy.reset(np.ones(lanes, np.bool_), seeds.astype(np.uint64))
        scores = []
        for _ in range(steps // lanes):
            decision = policy.act(observation, info, rng.random(lanes) < share)
            scores.append(decision.diagnostics["score"])
            observation, _, terminated, truncated, info = env.step(decision.action)
            if (terminated | truncated).any():
                break
    finally:
        env.close()
        policy.forget()
    return np.concatenate(scores)
