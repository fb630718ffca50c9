"""Play a policy on a task: one seed a lane and episode, auto-reset disabled, labels out of its sight."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode, VectorEnv

from tropism.agents.contract import BoolArray, Decision, Policy, Task
from tropism.agents.episodes import Episode, hash_actions, load_episodes, save_episodes
from tropism.agents.gates import ComputePrice, Gate, RandomGate, TokenBucket
from tropism.errors import AgentContractError, UnsupportedTaskError

__all__ = [
    "ComputePrice",
    "Episode",
    "Gate",
    "RandomGate",
    "TokenBucket",
    "evaluate",
    "hash_actions",
    "load_episodes",
    "measure_latency",
    "save_episodes",
]

PROGRESS_EVERY = 32
"""Batch steps between two reports of progress."""


def evaluate(
    policy: Policy,
    task: Task,
    seeds: Sequence[int],
    *,
    privileged: bool = False,
    lanes: int | None = None,
    gate: Gate | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Episode]:
    """Play one episode of each seed and return them in that order.

    A lane that finishes takes the next seed; when none is left it plays on unrecorded.  What happens for a
    seed does not depend on the number of lanes.

    Args:
        policy: what acts; it is reset with each episode's seed.
        task: where.
        seeds: one episode each.
        privileged: leave the labels (``env.metadata["labels"]``) in ``info``.
        lanes: environments played at once; by default as many as seeds, policy and gate allow.
        gate: imposes the mode of the policy, see :mod:`tropism.agents.gates`.
        progress: told the number of episodes played so far, fractions included.

    Raises:
        tropism.errors.AgentContractError: if a decision has the wrong shape.
        tropism.errors.UnsupportedTaskError: if the task's actions are not arrays.
    """
    if not seeds:
        return []
    limits = [lanes, policy.max_lanes, gate.max_lanes if gate else None]
    count = min([len(seeds), *(limit for limit in limits if limit is not None)])
    env = task.make_vec(count, autoreset_mode=AutoresetMode.DISABLED)
    try:
        return _Evaluation(policy, env, [int(seed) for seed in seeds], privileged, gate).play(
            progress
        )
    finally:
        env.close()


def measure_latency(
    policy: Policy, task: Task, steps: int, *, seed: int = 0
) -> npt.NDArray[np.float64]:
    """Wall microseconds of each of ``steps`` decisions (``act`` and ``observe``) at one lane.

    Episodes follow one another with seeds ``seed``, ``seed + 1``, ...

    Returns:
        ``float64[steps]``.
    """
    env = task.make_vec(1, autoreset_mode=AutoresetMode.DISABLED)
    try:
        game = _Evaluation(policy, env, list(range(seed, seed + steps)))
        return np.array([game.step() for _ in range(steps)]) * 1e6
    finally:
        env.close()


class _Evaluation:
    """The state of one evaluation: which seed each lane plays, and the rows recorded since."""

    def __init__(
        self,
        policy: Policy,
        env: VectorEnv,
        seeds: list[int],
        privileged: bool = False,
        gate: Gate | None = None,
    ) -> None:
        if env.action_space.shape is None:
            raise UnsupportedTaskError(
                f"evaluate() records actions that are arrays, not {env.single_action_space}"
            )
        self.policy, self.env, self.gate = policy, env, gate
        self.seeds, self.lanes = seeds, env.num_envs
        self.labels = tuple(env.metadata.get("labels", ()))
        self.hidden = frozenset(
            () if privileged else (*self.labels, *(f"_{k}" for k in self.labels))
        )
        self.horizon = getattr(env.spec, "max_episode_steps", None)
        self.turn = list(range(self.lanes))  # which of the seeds each lane plays
        self.next_turn = self.lanes
        self.rows: list[dict[str, npt.NDArray[Any]]] = []
        self.began = [0] * self.lanes  # the row each lane's episode began at
        self.episodes: dict[int, Episode] = {}
        self._reset(np.ones(self.lanes, dtype=np.bool_))

    def play(self, progress: Callable[[float], None] | None) -> list[Episode]:
        """All episodes in the order of the seeds."""
        report = progress or (lambda played: None)  # noqa: ARG005
        for tick in itertools.count(1):
            self.step()
            if len(self.episodes) == len(self.seeds):
                break
            if tick % PROGRESS_EVERY == 0:
                report(self._played())
        report(len(self.seeds))
        return [self.episodes[turn] for turn in range(len(self.seeds))]

    def step(self) -> float:
        """One decision in every lane; returns the seconds the policy took."""
        imposed = self.gate.impose(self.lanes) if self.gate else None
        started = time.perf_counter()
        decision = self.policy.act(self.observation, self._shown(self.info), imposed)
        seconds = time.perf_counter() - started
        action = checked_action(decision, self.env)
        if self.gate:
            self.gate.charge(decision.compute)
        labels = {key: self.info[key] for key in self.labels if key in self.info}
        observation, reward, terminated, truncated, info = self.env.step(action)
        shown = self._shown(info)
        started = time.perf_counter()
        self.policy.observe(action, observation, reward, terminated, truncated, shown)
        seconds += time.perf_counter() - started
        self.rows.append(_row(decision, action, labels, reward, seconds))
        self.observation, self.info = observation, info
        ended = np.asarray(terminated | truncated)
        if ended.any():
            self._finish(ended, terminated)
        return seconds

    def _shown(self, info: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in info.items() if key not in self.hidden}

    def _finish(self, ended: BoolArray, terminated: BoolArray) -> None:
        """Close the episodes that ended, hand out the next seeds, and begin again in those lanes."""
        columns: dict[
            int, dict[str, npt.NDArray[Any]]
        ] = {}  # [T, B] by first row, shared by lanes in step
        for lane in np.flatnonzero(ended):
            turn, began = self.turn[lane], self.began[lane]
            if turn not in self.episodes:
                if began not in columns:
                    columns[began] = _stack(self.rows[began:])
                mine = {name: column[:, lane] for name, column in columns[began].items()}
                self.episodes[turn] = _episode(
                    self.seeds[turn], mine, bool(terminated[lane]), self.lanes
                )
            if self.next_turn < len(self.seeds):
                self.turn[lane] = self.next_turn
                self.next_turn += 1
            self.began[lane] = len(self.rows)
        forget = min(self.began)
        del self.rows[:forget]
        self.began = [began - forget for began in self.began]
        if len(self.episodes) < len(self.seeds):
            self._reset(ended)

    def _reset(self, mask: BoolArray) -> None:
        seeds = [self.seeds[turn] for turn in self.turn]
        if mask.all():
            self.observation, self.info = self.env.reset(seed=list(seeds))
        else:
            options = {"reset_mask": mask.copy()}
            self.observation, info = self.env.reset(seed=list(seeds), options=options)
            self.info = _merge(self.info, info, mask)
        self.policy.reset(mask.copy(), np.array(seeds, dtype=np.uint64))
        if self.gate:
            for lane in np.flatnonzero(mask):
                self.gate.begin(int(lane), seeds[lane])

    def _played(self) -> float:
        """Episodes played so far, those under way by their share of the time limit."""
        live = [
            len(self.rows) - b
            for t, b in zip(self.turn, self.began, strict=True)
            if t not in self.episodes
        ]
        return len(self.episodes) + (sum(live) / self.horizon if self.horizon else 0.0)


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


def _row(
    decision: Decision,
    action: npt.NDArray[Any],
    labels: Mapping[str, npt.NDArray[Any]],
    reward: npt.NDArray[np.float64],
    seconds: float,
) -> dict[str, npt.NDArray[Any]]:
    """Copies of what one step gives the episodes, lanes first."""
    row = {
        "action": action,
        "reward": np.array(reward, np.float64),
        "compute": np.array(decision.compute, np.int64),
    }
    if "mode" in decision.diagnostics:
        row["gated"] = np.asarray(decision.diagnostics["mode"]) > 0
    if decision.log_probs is not None:
        lanes = np.arange(len(reward))
        row["action_log_prob"] = decision.log_probs[lanes, action].astype(np.float32)
        if "target" in labels:
            row["target_log_prob"] = decision.log_probs[lanes, labels["target"]].astype(np.float32)
    row["seconds"] = np.full(len(reward), seconds)
    return row | {f"labels.{name}": np.array(value) for name, value in labels.items()}


def _stack(rows: list[dict[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
    """Columns ``[T, B, ...]`` of what every row has."""
    names = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: np.stack([row[name] for row in rows]) for name in names}


def _episode(
    seed: int, columns: dict[str, npt.NDArray[Any]], terminated: bool, lanes: int
) -> Episode:
    columns = {name: column.copy() for name, column in columns.items()}
    return Episode(
        seed=seed,
        reward=columns["reward"],
        action=columns["action"],
        compute=columns["compute"],
        gated=columns.get("gated"),
        labels={
            name.partition(".")[2]: column
            for name, column in columns.items()
            if name.startswith("labels.")
        },
        target_log_prob=columns.get("target_log_prob"),
        action_log_prob=columns.get("action_log_prob"),
        terminated=terminated,
        lanes=lanes,
        wall_us=float(columns["seconds"].mean()) * 1e6 / lanes,
        action_hash=hash_actions(seed, columns["action"]),
    )


def _merge(old: Mapping[str, Any], new: Mapping[str, Any], mask: BoolArray) -> dict[str, Any]:
    """Info of all lanes after a reset of those in ``mask``: the new values there, the old ones elsewhere."""
    merged = dict(old)
    for key, value in new.items():
        if isinstance(value, Mapping):
            merged[key] = _merge(old.get(key, {}), value, mask)
        elif key in old:
            merged[key] = np.array(old[key])
            merged[key][mask] = value[mask]
        else:
            merged[key] = value
    return merged
