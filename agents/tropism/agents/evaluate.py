"""Play a policy on a task: one seed a lane and episode, auto-reset disabled, labels out of its sight."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from tropism.agents.belief import add_belief
from tropism.agents.contract import BoolArray, Policy, Task
from tropism.agents.episodes import Episode, hash_actions, load_episodes, save_episodes
from tropism.agents.gates import ComputePrice, Gate, RandomGate, TokenBucket
from tropism.agents.recording import (
    checked_action,
    merge_info,
    stack_rows,
    step_row,
    to_episode,
)
from tropism.envs.core.wrappers import hidden_keys, visible
from tropism.errors import UnsupportedTaskError

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
    belief: bool = False,
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
        belief: add the ideal observer's belief to the labels where it is computable, once all is played.
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
        game = _Evaluation(policy, env, [int(seed) for seed in seeds], privileged, gate)
        episodes = game.play(progress)
    finally:
        env.close()
    return add_belief(episodes, task) if belief else episodes


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
        env: Any,  # a VectorEnv; Gymnasium's own annotation of reset() knows no list of seeds
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
        self.hidden = frozenset() if privileged else hidden_keys(env)
        self.horizon = getattr(env.spec, "max_episode_steps", None)
        self.turn = list(range(self.lanes))  # which of the seeds each lane plays
        self.next_turn = self.lanes
        self.rows: list[dict[str, npt.NDArray[Any]]] = []
        self.began = [0] * self.lanes  # the row each lane's episode began at
        self.episodes: dict[int, Episode] = {}
        self._reset(np.ones(self.lanes, dtype=np.bool_))

    def play(self, progress: Callable[[float], None] | None) -> list[Episode]:
        """All episodes in the order of the seeds."""
        report = progress or (lambda played: None)  # noqa: ARG005  nobody listens
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
        shown = visible(self.info, self.hidden)
        started = time.perf_counter()
        decision = self.policy.act(self.observation, shown, imposed)
        seconds = time.perf_counter() - started
        action = checked_action(decision, self.env)
        if self.gate:
            self.gate.charge(decision.compute)
        labels = {key: self.info[key] for key in self.labels if key in self.info}
        observation, reward, terminated, truncated, info = self.env.step(action)
        shown = visible(info, self.hidden)
        started = time.perf_counter()
        self.policy.observe(action, observation, reward, terminated, truncated, shown)
        seconds += time.perf_counter() - started
        self.rows.append(
            step_row(decision, action, labels, reward, seconds, self.env.single_action_space)
        )
        self.observation, self.info = observation, info
        ended = np.asarray(terminated | truncated)
        if ended.any():
            self._finish(ended, terminated)
        return seconds

    def _finish(self, ended: BoolArray, terminated: BoolArray) -> None:
        """Close the episodes that ended, hand out the next seeds, and begin again in those lanes."""
        stacked: dict[int, dict[str, npt.NDArray[Any]]] = {}  # by first row: lanes in step share it
        for lane in map(int, np.flatnonzero(ended)):
            turn, began = self.turn[lane], self.began[lane]
            if turn not in self.episodes:
                if began not in stacked:
                    stacked[began] = stack_rows(self.rows[began:])
                columns = stacked[began]
                self.episodes[turn] = to_episode(
                    self.seeds[turn], columns, lane, bool(terminated[lane])
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
            self.info = merge_info(self.info, info, mask)
        self.policy.reset(mask.copy(), np.array(seeds, dtype=np.uint64))
        if self.gate:
            for lane in map(int, np.flatnonzero(mask)):
                self.gate.begin(lane, seeds[lane])

    def _played(self) -> float:
        """Episodes played so far, those under way by their share of the time limit."""
        if not self.horizon:
            return len(self.episodes)
        live = [lane for lane in range(self.lanes) if self.turn[lane] not in self.episodes]
        steps = sum(len(self.rows) - self.began[lane] for lane in live)
        return len(self.episodes) + steps / self.horizon
