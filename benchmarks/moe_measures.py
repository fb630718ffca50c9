"""What is measured of a packed policy at play: whether its confidence is to be believed, and what a small cache costs it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from overheard import Overheard
from tropism.agents.contract import BoolArray, Decision, Policy, Task
from tropism.agents.evaluate import RandomGate, evaluate
from tropism.benchmarks.metrics.ranks import auroc
from tropism.benchmarks.metrics.score import score
from tropism.envs.core.wrappers import hidden_keys, visible
from tropism_moe.calibration import expected_calibration_error
from tropism_moe.expert_store import ExpertStore
from tropism_moe.pack import STORE
from tropism_moe.packed import RECODE
from tropism_moe.policy import MoEPolicy
from tropism_moe.serving import Served
from tropism_moe.teachers import privileged, teach

TOLERANCES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
"""How much farther than the nearest expert one at hand may be, in sides of the torus."""
CACHE = 8
"""One of so many slabs may be in memory."""


class Checked(Overheard):
    """Plays as another policy, and asks a teacher what it would have done.

    Args:
        policy: the other.
        teacher: who is right.
        hidden: keys of the info that the teacher may see alone.

    Attributes:
        right: whether the teacher would have done what was decided, ``bool[B]`` of every step.
    """

    def __init__(self, policy: Policy, teacher: Policy, hidden: Collection[str] = ()) -> None:
        super().__init__(policy)
        self.teacher, self.hidden = teacher, hidden
        self.right = list[npt.NDArray[np.bool_]]()

    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:
        """Begin an episode in the lanes of ``mask``."""
        super().reset(mask, seeds)
        self.teacher.reset(mask, seeds)

    def act(
        self, observation: Any, info: Mapping[str, Any], gate: BoolArray | None = None
    ) -> Decision:
        """The policy's decision."""
        decision = super().act(observation, visible(info, self.hidden), gate)
        advice = self.teacher.act(observation, info).action
        self.right.append(np.asarray(decision.action) == np.asarray(advice))
        return decision

    def observe(self, action: Any, *outcome: Any, **named: Any) -> None:
        """Told to both."""
        *rest, info = outcome
        super().observe(action, *rest, visible(info, self.hidden), **named)
        self.teacher.observe(action, *outcome, **named)


def confidence(
    policy: MoEPolicy, teacher: str, task: Task, seeds: Sequence[int]
) -> dict[str, float | None]:
    """Calibration before and after the map, and how well errors are told by doubt and by disagreement, against the actions of a teacher, by its name."""
    fitted, policy.calibration = policy.calibration, None
    try:
        alone, together = (_told(policy, teacher, task, seeds, share) for share in (0, 1))
    finally:
        policy.calibration = fitted
    said, _, right = alone
    return {
        "right": float(right.mean()),
        "right_by_all_perspectives": float(together[2].mean()),
        "ece_before": expected_calibration_error(said, right),
        "ece_after": expected_calibration_error(fitted.apply(said), right) if fitted else None,
        "auroc_doubt": auroc(1 - said, ~right),
        "auroc_disagreement": auroc(together[1], ~together[2]),
    }


def _told(
    policy: MoEPolicy, teacher: str, task: Task, seeds: Sequence[int], share: float
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Confidence, disagreement and rightness of all steps, ``[N]`` each; all perspectives are asked on a share of them."""
    labels = privileged(teacher)
    checked = Checked(policy, teach(teacher, task), hidden(task) if labels else ())
    evaluate(checked, task, seeds, gate=RandomGate(share), privileged=labels)
    said, apart = (np.concatenate(checked.told(n)) for n in ("confidence", "disagreement"))
    return np.clip(said.astype(np.float64), 0, 1), apart, np.concatenate(checked.right)


def hidden(task: Task) -> frozenset[str]:
    """Keys of the info of a task that hold labels."""
    env = task.make_vec(1)
    try:
        return hidden_keys(env)
    finally:
        env.close()


def caching(policy: MoEPolicy, task: Task, seeds: Sequence[int]) -> list[dict[str, float]]:
    """One lane with an eighth of the slabs in memory: misses, substitutions and score by tolerance."""
    whole, budget = policy.served, cache_bytes(policy.directory)
    rows = []
    for tolerance in TOLERANCES:
        with Served.open(policy.directory, "ring", budget, tolerance) as served:
            policy.served = served
            episodes = evaluate(policy, task, seeds, lanes=1)
            stats, config = served.store.stats, served.config
            held = sum(int(served.store.resident(n).sum()) for n in config.expert_layers)
            rows.append({
                "tolerance": tolerance,
                "score": score(episodes),
                "requests": stats.requests,
                "misses": stats.misses,
                "unannounced": stats.prefetch_misses,
                "substituted": served.substituted / stats.requests,
                "held": held,
                "slabs": config.experts * len(config.expert_layers),
            })  # fmt: skip
    policy.served = whole
    return rows


def cache_bytes(directory: Path) -> int:
    """A budget with room for one slab in :data:`CACHE`."""
    with ExpertStore.open(directory / STORE) as store:
        slabs = list(store.slabs.values())
    most = max(RECODE.start(slab.length, slab.meta) + slab.padded for slab in slabs)
    return most * max(2, len(slabs) // CACHE)
