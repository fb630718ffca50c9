"""Training from revealed answers, and the gate's threshold, set on episodes that were not learned from."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import AutoresetMode

from tropism.agents.contract import Budget, Task
from tropism_council.calibration import Calibration
from tropism_council.episodes import Episodes
from tropism_council.learning import Carried, Learner
from tropism_council.policy import CouncilPolicy
from tropism_council.schedule import CALIBRATION, HELD_OUT, LEAST_CALIBRATION, Schedule
from tropism_council.store import read_part

if TYPE_CHECKING:
    from tropism.agents.runs import Run

LOG_EVERY = 20


class Trainer(Schedule):
    """One training from revealed answers."""

    def __init__(
        self, policy: CouncilPolicy, task: Task, budget: Budget, run: Run, seed: int
    ) -> None:
        super().__init__(policy, task, budget, run, seed)
        self.learner = Learner(policy.network, policy.config, self.plan.updates)
        self.updates = 0
        self.begun()

    def source(self) -> Episodes:  # noqa: D102
        return Episodes(self.task, self.plan.lanes, self.policy.sizes.tokens - 1, self.held)

    def begun(self) -> None:  # noqa: D102
        self._carried = Carried.begin(self.policy.network, self.plan.lanes)

    def done(self) -> int:  # noqa: D102
        return self.updates

    def learn(self, source: Episodes, steps: int) -> None:  # noqa: D102
        stretch, began = source.next(steps)
        if began:
            self.begun()
        losses, facts, self._carried = self.learner.update(stretch, self._carried)
        self.steps += stretch.answers.numel()
        self.updates += 1
        if self.updates % LOG_EVERY == 1:
            logged = {**losses._asdict(), **facts._asdict()}
            self.run.log(self.steps, **{k: v.item() for k, v in logged.items()})

    def restore(self) -> None:  # noqa: D102
        checkpoint = self.run.latest_checkpoint()
        if checkpoint is None:
            return
        weights, _ = read_part(checkpoint, "council")
        self.policy.network.load_state_dict(weights)
        state, facts = read_part(checkpoint, "training")
        self.steps, self.updates = facts["steps"], facts["updates"]
        self.learner.restore(state, self.updates)

    def calibrate(self) -> None:
        """Set the gate's threshold on episodes that were not learned from, and put it on record."""
        config, plan, gate = self.policy.config, self.plan, self.policy.network.gate
        if plan.calibration:
            calibrate(self.policy, self.task, plan.calibration, config.share, self.seed)
        facts = {"calibrated": plan.calibration > 0, "threshold": gate.threshold.item()}
        self.run.log(self.steps + plan.calibration, **facts)
        if not plan.calibration:
            warnings.warn(
                f"a budget of {plan.training} steps leaves too few to calibrate the gate: the council is never asked; "
                f"give at least {int(LEAST_CALIBRATION / CALIBRATION)}",
                stacklevel=2,
            )


def calibrate(policy: CouncilPolicy, task: Task, steps: int, share: float, seed: int) -> None:
    """Set the gate's threshold by about ``steps`` steps of held-out training seeds."""
    lanes = min(
        HELD_OUT, max(1, steps // LEAST_CALIBRATION), task.train_seeds[1] - task.train_seeds[0]
    )
    env: Any = task.make_vec(lanes, train=True, autoreset_mode=AutoresetMode.DISABLED)
    rng = np.random.default_rng([seed, steps])
    calibration = Calibration(policy.network.gate, share, steps // lanes, rng)
    try:
        last = task.train_seeds[1]
        seeds = np.arange(last - lanes, last)
        observation, info = env.reset(seed=seeds.tolist())
        policy.reset(np.ones(lanes, np.bool_), seeds.astype(np.uint64))
        for _ in range(calibration.steps):
            decision = policy.act(observation, info, calibration.asks(lanes))
            calibration.hear(decision.diagnostics["score"])
            observation, _, terminated, truncated, info = env.step(decision.action)
            if (terminated | truncated).any():  # of all, which are equally long
                observation, info = env.reset(seed=seeds.tolist())
                policy.reset(np.ones(lanes, np.bool_), seeds.astype(np.uint64))
    finally:
        env.close()
        policy.forget()
    calibration.end()
