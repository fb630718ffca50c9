"""Training from rewards, and what is set on held-out seeds: the gate's threshold, and whether actions are drawn."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from tropism.agents.contract import Budget, Task
from tropism_council.calibration import Calibration
from tropism_council.reinforced_policy import ReinforcedPolicy
from tropism_council.reinforcement import Practitioner
from tropism_council.rollouts import Rollouts
from tropism_council.schedule import CALIBRATION, HELD_OUT, LEAST_CALIBRATION, Schedule
from tropism_council.store import read_part

if TYPE_CHECKING:
    from tropism.agents.runs import Run


class ReinforcedTrainer(Schedule):
    """One training from rewards."""

    def __init__(
        self, policy: ReinforcedPolicy, task: Task, budget: Budget, run: Run, seed: int
    ) -> None:
        super().__init__(policy, task, budget, run, seed)
        self.learner = Practitioner(policy.actor, policy.config, policy.practice, self.plan.updates)

    def source(self) -> Rollouts:  # noqa: D102
        policy, config = self.policy, self.policy.config
        share = config.questions / config.stretch
        return Rollouts(
            policy.actor,
            policy.encoder,
            policy.choices,
            self.task,
            self.plan.lanes,
            share,
            self.held,
        )

    def begun(self) -> None:  # noqa: D102
        pass  # rollouts carry their lanes themselves

    def done(self) -> int:  # noqa: D102
        return self.learner.done

    def learn(self, source: Rollouts, steps: int) -> None:  # noqa: D102
        found = self.learner.update(source.next(steps))
        self.steps += steps * self.plan.lanes
        if ended := source.finished:
            found["return"] = float(np.mean(ended))
        source.finished = []
        self.run.log(self.steps, **found)

    def restore(self) -> None:  # noqa: D102
        checkpoint = self.run.latest_checkpoint()
        if checkpoint is None:
            return
        weights, _ = read_part(checkpoint, "council")
        self.policy.restore(weights, checkpoint)
        state, facts = read_part(checkpoint, "training")
        self.steps = facts["steps"]
        self.learner.restore(state, facts["updates"])

    def calibrate(self) -> None:
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
            found = held_out(self.policy, self.task, plan.calibration // 2, config.share, rng)
            plays.append((actor.gate.levels.clone(), found))
        (_, greedy), (_, drawn) = plays
        draws = better(drawn, greedy)
        actor.draws.fill_(draws)
        actor.gate.ask_above(plays[draws][0])
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
) -> npt.NDArray[np.float64]:
    """Play about ``steps`` steps from held-out training seeds, and set the gate's threshold by them.

    Returns:
        The returns of the episodes that ended, ``float64[M]``.
    """
    count = task.train_seeds[1] - task.train_seeds[0]
    lanes = min(HELD_OUT, max(1, steps // LEAST_CALIBRATION), count)
    env: Any = task.make_vec(lanes, train=True, autoreset_mode=AutoresetMode.SAME_STEP)
    calibration = Calibration(policy.actor.gate, share, steps // lanes, rng)
    try:
        seeds = np.arange(task.train_seeds[1] - lanes, task.train_seeds[1])
        observation, info = env.reset(seed=seeds.tolist())
        policy.reset(np.ones(lanes, np.bool_), seeds.astype(np.uint64))
        returns, sums = [], np.zeros(lanes)
        for _ in range(calibration.steps):
            decision = policy.act(observation, info, calibration.asks(lanes))
            calibration.hear(decision.diagnostics["score"])
            observation, reward, terminated, truncated, info = env.step(decision.action)
            policy.observe(decision.action, observation, reward, terminated, truncated, info)
            ends, sums = terminated | truncated, sums + reward
            returns += sums[ends].tolist()
            sums[ends] = 0
            if ends.any():
                policy.reset(ends, rng.integers(2**63, size=lanes).astype(np.uint64))
    finally:
        env.close()
    calibration.end()
    return np.array(returns)
