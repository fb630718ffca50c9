"""What one step of an evaluation leaves in an episode: checked, copied, stacked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Discrete, Space
from gymnasium.vector import VectorEnv

from tropism.agents.contract import BoolArray, Decision
from tropism.agents.episodes import Episode, hash_actions
from tropism.errors import AgentContractError


def checked_action(decision: Decision, env: VectorEnv) -> npt.NDArray[Any]:
    """A copy of the decision's action, after a look at the shapes.

    Raises:
        tropism.errors.AgentContractError: naming the array, its shape and the expected one.
    """
    action, lanes = np.array(decision.action), env.num_envs
    expected = {
        "action": (action, env.action_space.shape),
        "compute": (np.asarray(decision.compute), (lanes,)),
    }
    if decision.log_probs is not None and isinstance(env.single_action_space, Discrete):
        n = int(env.single_action_space.n)
        expected["log_probs"] = (np.asarray(decision.log_probs), (lanes, n))
    for name, (array, shape) in expected.items():
        if array.shape != shape:
            raise AgentContractError(f"Decision.{name} must have shape {shape}, got {array.shape}")
    return action


def step_row(
    decision: Decision,
    action: npt.NDArray[Any],
    labels: Mapping[str, npt.NDArray[Any]],
    reward: npt.NDArray[np.float64],
    seconds: float,
    space: Space[Any],
) -> dict[str, npt.NDArray[Any]]:
    """Copies of what one step gives the episodes, lanes first; ``space`` is the action space of one lane."""
    row = {
        "action": action,
        "reward": np.array(reward, np.float64),
        "compute": np.array(decision.compute, np.int64),
    }
    if "mode" in decision.diagnostics:
        row["gated"] = np.asarray(decision.diagnostics["mode"]) > 0
    if decision.log_probs is not None and isinstance(space, Discrete):
        lanes = np.arange(len(reward))
        taken = decision.log_probs[lanes, action - space.start]
        row["action_log_prob"] = taken.astype(np.float32)
        if "target" in labels:
            row["target_log_prob"] = decision.log_probs[lanes, labels["target"]].astype(np.float32)
    row["seconds"] = np.full(len(reward), seconds)
    return row | {f"labels.{name}": np.array(value) for name, value in labels.items()}


def stack_rows(rows: list[dict[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
    """Columns ``[T, B, ...]`` of what every row has."""
    names = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: np.stack([row[name] for row in rows]) for name in names}


def to_episode(
    seed: int, columns: Mapping[str, npt.NDArray[Any]], lane: int, terminated: bool
) -> Episode:
    """Cut one lane out of the columns ``[T, B, ...]`` of :func:`stack_rows`."""
    lanes = columns["reward"].shape[1]
    mine = {name: column[:, lane].copy() for name, column in columns.items()}
    return Episode(
        seed=seed,
        reward=mine["reward"],
        action=mine["action"],
        compute=mine["compute"],
        gated=mine.get("gated"),
        labels={
            name.partition(".")[2]: column
            for name, column in mine.items()
            if name.startswith("labels.")
        },
        target_log_prob=mine.get("target_log_prob"),
        action_log_prob=mine.get("action_log_prob"),
        terminated=terminated,
        lanes=lanes,
        wall_us=float(mine["seconds"].mean()) * 1e6 / lanes,
        action_hash=hash_actions(seed, mine["action"]),
    )


def merge_info(old: Mapping[str, Any], new: Mapping[str, Any], mask: BoolArray) -> dict[str, Any]:
    """Info of all lanes after a reset of those in ``mask``: the new values there, the old ones elsewhere."""
    merged = dict(old)
    for key, value in new.items():
        if isinstance(value, Mapping):
            merged[key] = merge_info(old.get(key, {}), value, mask)
        elif key in old:
            merged[key] = np.array(old[key])
            merged[key][mask] = value[mask]
        else:
            merged[key] = value
    return merged
