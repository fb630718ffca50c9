"""Policies and an environment that make mix-ups of lanes visible, shared by the tests of agents."""

from __future__ import annotations

import hashlib
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete

from tropism.agents.contract import Decision, Policy

MOODY = "tropism-tests/Moody-v0"


class Listener(Policy):
    """Acts on a digest of everything its lane has seen since reset: any leak between lanes changes its actions.

    Knows every array-valued action space through ``space.sample`` under a seed made of the digest.
    """

    def __init__(self, action_space: gymnasium.Space[Any], max_lanes: int | None = None) -> None:
        self.space, self.max_lanes = action_space, max_lanes
        self.heard: list[Any] = []
        self.gates: list[Any] = []
        self.infos: list[dict[str, Any]] = []

    def reset(self, mask, seeds) -> None:
        if len(self.heard) != len(mask):
            self.heard = [hashlib.sha256() for _ in mask]
        for lane in np.flatnonzero(mask):
            self.heard[lane] = hashlib.sha256(seeds[lane].tobytes())

    def act(self, observation, info, gate=None) -> Decision:
        self.gates.append(gate)
        self.infos.append(dict(info))
        lanes = len(self.heard)
        self._hear(observation)
        words = [int.from_bytes(digest.digest()[:4], "little") for digest in self.heard]
        actions = []
        for word in words:
            self.space.seed(word)
            actions.append(self.space.sample())
        mode = np.array([word % 4 == 0 for word in words]) if gate is None else gate
        log_probs = None
        if isinstance(self.space, Discrete):
            log_probs = np.full((lanes, int(self.space.n)), -np.log(self.space.n), np.float32)
        return Decision(
            np.array(actions), np.where(mode, 5, 1).astype(np.int64), log_probs, {"mode": mode}
        )

    def observe(self, action, observation, reward, terminated, truncated, info) -> None:
        self._hear(
            {
                "action": np.asarray(action),
                "reward": reward,
                "end": terminated | truncated,
                "next": observation,
            }
        )

    def save(self, directory) -> None:
        raise AssertionError("not saved here")

    def _hear(self, batch: Any) -> None:
        arrays = [batch[key] for key in sorted(batch)] if isinstance(batch, dict) else [batch]
        for array in arrays:
            if isinstance(array, dict):
                self._hear(array)
                continue
            for lane, digest in enumerate(self.heard):
                digest.update(np.ascontiguousarray(array[lane]).tobytes())


def essence(episodes):
    """What of the episodes must not depend on the batch."""
    return [
        (
            e.seed,
            e.action_hash,
            e.score,
            e.compute.tolist(),
            e.terminated,
            {k: v.tolist() for k, v in e.labels.items()},
        )
        for e in episodes
    ]


class Moody(gymnasium.Env):
    """Episodes of a length that depends on the seed; labels come at most steps, and an array rides in ``info``."""

    metadata = {"render_modes": [], "labels": ("mood", "target")}  # noqa: RUF012

    def __init__(self) -> None:
        self.observation_space, self.action_space = Discrete(1000), Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.length = 0, int(self.np_random.integers(1, 9))
        return self._see()

    def step(self, action):
        reward = float(action == self.target)
        self.t += 1
        observation, info = self._see()
        return (
            observation,
            reward,
            self.t == self.length and self.length % 2 == 0,
            self.t == self.length,
            info,
        )

    def _see(self):
        self.target = int(self.np_random.integers(3))
        info = {
            "mood": self.t * 10 + self.length,
            "target": self.target,
            "hint": np.array([self.t, self.length]),
        }
        return int(self.np_random.integers(1000)), info


if MOODY not in gymnasium.registry:
    gymnasium.register(MOODY, entry_point=Moody)
