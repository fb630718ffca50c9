"""What the open settings become for a task, and how a budget divides into rollouts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd
from typing import Any, TypeVar

from tropism.agents.contract import Budget, Task
from tropism_ppo.config import PPOConfig, RecurrentPPOConfig
from tropism_ppo.lanes import has_vector_class

Config = TypeVar("Config", bound=PPOConfig)

GENERAL: dict[str, Any] = {
    "batch_size": 256,
    "n_epochs": 10,
    "learning_rate": 3e-4,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "ent_coef": 0.0,
    "net_arch": (64, 64),
    "value_arch": (64, 64),
    "activation": "tanh",
    "window": 2,
}
"""Defaults of Stable-Baselines3, but for the batch: there are more lanes here."""

RECURRENT: dict[str, Any] = {"n_epochs": 5, "learning_rate": 1e-3}
"""What the recurrent agent has instead: by trial, 3e-3 is quicker on Sanity-Memory but not for every seed."""

PATTERNWORLD: dict[str, Any] = {
    "n_steps": 16,
    "batch_size": 512,
    "n_epochs": 8,
    "learning_rate": 6e-3,
    "gamma": 0.0,
    "gae_lambda": 0.0,
    "ent_coef": 0.03,
    "net_arch": (128,),
    "value_arch": (),
    "activation": "relu",
}
"""A token comes next whatever the action, so nothing is to be discounted; found by trial (see the README)."""

WINDOWS = {"Seed": 3, "Switch": 3}
"""Tokens shown where two do not tell the rules apart: after x, x + 1 comes x + 2 by one rule and x by another."""

CHEAP_LANES = 64
"""Lanes where one call steps them all: past this, the network is the bottleneck (SB3 on two cores)."""
ROLLOUT = 2048
"""Transitions collected before an update, over all lanes (the default of Stable-Baselines3)."""
SHORTEST = 16
"""Steps a lane takes at least before an update, while the budget can be shared by fewer lanes."""


def resolve(config: Config, task: Task, budget: Budget) -> Config:
    """``config`` with every ``None`` replaced by what fits ``task`` and ``budget``.

    The discount of PatternWorld holds in every feedback mode but ``closed``, where actions have consequences.
    """
    chosen = GENERAL | (RECURRENT if isinstance(config, RecurrentPPOConfig) else {})
    if "tropism/PatternWorld-" in task.env_id:
        tier = task.env_id.split("PatternWorld-")[1].split("-v")[0]
        chosen |= PATTERNWORLD | {"window": WINDOWS.get(tier, GENERAL["window"])}
        if task.kwargs.get("feedback") == "closed":
            chosen |= {"gamma": GENERAL["gamma"], "gae_lambda": GENERAL["gae_lambda"]}
    lanes = config.n_envs or _lanes(task, budget)
    chosen |= {"n_envs": lanes, "n_steps": chosen.get("n_steps") or max(1, ROLLOUT // lanes)}
    return replace(config, **{k: v for k, v in chosen.items() if getattr(config, k) is None})


def _lanes(task: Task, budget: Budget) -> int:
    lanes = max(task.num_envs, CHEAP_LANES) if has_vector_class(task) else task.num_envs
    while lanes > 1 and lanes * SHORTEST > budget.env_steps:
        lanes //= 2
    return lanes


@dataclass(frozen=True)
class Plan:
    """How a budget is spent: never more than it, and at most one rollout's worth less.

    Attributes:
        n_envs: lanes.
        n_steps: steps a lane and rollout.
        batch_size: transitions a gradient step; divides the rollout.
        rollouts: how many.
    """

    n_envs: int
    n_steps: int
    batch_size: int
    rollouts: int

    @property
    def rollout(self) -> int:
        """Transitions a rollout."""
        return self.n_envs * self.n_steps


def make_plan(config: PPOConfig, budget: Budget) -> Plan:
    """Divide ``budget.env_steps`` into rollouts of about ``n_envs * n_steps`` transitions.

    Args:
        config: a resolved one (:func:`resolve`).
        budget: how many environment steps may be taken.
    """
    n_envs, n_steps, batch_size = config.n_envs or 1, config.n_steps or 1, config.batch_size or 1
    lanes = max(1, min(n_envs, budget.env_steps // 2))
    fewest = -(-2 // lanes)  # one transition alone has no deviation to normalise advantages by
    steps = max(fewest, n_steps)
    rollouts = max(1, -(-budget.env_steps // (lanes * steps)))
    steps = max(fewest, budget.env_steps // (rollouts * lanes))
    batches = -(-lanes * steps // batch_size)
    grain = batches // gcd(batches, lanes)  # steps must be a multiple for batches of equal size
    if lanes * (steps - steps % grain) >= 2 * batches:
        steps -= steps % grain
    else:
        batches = 1
    return Plan(lanes, steps, lanes * steps // batches, budget.env_steps // (lanes * steps))
