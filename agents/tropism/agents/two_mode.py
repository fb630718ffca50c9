"""The two-mode reference agent: a successor table, and the exact filter when the table is surprised.

It exists so that the controls of compute (the matched-random gate, prices, buckets) are themselves tested on
an agent whose gate is known to be worth something.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Dict, MultiDiscrete, Space

from tropism.agents.artifacts import write_atomic
from tropism.agents.baselines import make_baseline, unsupported
from tropism.agents.contract import Agent, BoolArray, Budget, Decision, Policy, Task
from tropism.agents.options import build_config
from tropism.agents.records import read_record, spaces_record
from tropism.agents.runs import Run
from tropism.envs.core.baselines import Baseline
from tropism.errors import AgentContractError, OptionError, UnsupportedTaskError

FILE = "two_mode.json"
CHEAP, COSTLY = "table", "ideal"
FLOOR = 1e-6
"""Probabilities are held above this, so that a surprise is finite (13.8 nats)."""


@dataclass(frozen=True)
class TwoModeConfig:
    """Settings of the two-mode agent.

    Attributes:
        threshold: nats; the costly mode answers while the larger of the table's last two surprises exceeds it.
        costly_units: compute of an answer of the exact filter, >= 2; an answer of the table is 1 unit.
    """

    threshold: float = 1.0
    costly_units: int = 8

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if not self.threshold >= 0:
            raise OptionError(f"threshold must be >= 0 nats, got {self.threshold}")
        if self.costly_units < 2:
            raise OptionError(f"costly_units must be >= 2, got {self.costly_units}")


class TwoModePolicy(Policy):
    """Table or filter, lane by lane.

    Both listen at every step, so that either can answer; ``compute`` counts answers, and wall time does not
    fall with the cheap mode.
    """

    def __init__(self, task: Task, config: TwoModeConfig) -> None:
        self.task, self.config = task, config
        self._tokens = count_tokens(task.spaces()[0])
        self._players: tuple[Baseline, Baseline] | None = None

    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:
        """Begin an episode in the lanes of ``mask``: nothing is known, so surprise is at its highest."""
        if self._players is None or self._players[0].num_lanes != len(mask):
            self._players = (
                make_baseline(self.task, CHEAP, len(mask)),
                make_baseline(self.task, COSTLY, len(mask)),
            )
            self._surprise = np.zeros((len(mask), 2))
        for player in self._players:
            player.reset(mask, seeds)
        self._surprise[mask] = -np.log(FLOOR)

    def act(
        self, observation: Any, info: Mapping[str, Any], gate: BoolArray | None = None
    ) -> Decision:
        """The filter's answer where ``gate`` says so (by default: where the table was surprised), else the table's."""
        (cheap, p_cheap), (costly, p_costly) = (_answer(p, observation, info) for p in self.players)
        surprise = self._surprise.max(axis=1)
        mode = surprise > self.config.threshold if gate is None else np.asarray(gate, np.bool_)
        self._expected = p_cheap
        return Decision(
            action=np.where(mode, costly, cheap),
            compute=np.where(mode, self.config.costly_units, 1).astype(np.int64),
            log_probs=np.where(mode[:, None], p_costly, p_cheap).astype(np.float32),
            diagnostics={"mode": mode.astype(np.int64), "surprise": surprise},
        )

    def observe(
        self,
        action: Any,
        observation: Any,
        reward: npt.NDArray[np.float64],
        terminated: BoolArray,
        truncated: BoolArray,
        info: Mapping[str, Any],
    ) -> None:
        """Tell both players, and remember how surprised the table was."""
        for player in self.players:
            player.observe(action, observation, reward, terminated, truncated, info)
        newest = newest_token(observation)
        seen = newest < self._tokens  # else it is masked
        surprise = _surprise(self._expected, np.asarray(action), np.where(seen, newest, -1), reward)
        self._surprise = np.stack([self._surprise[:, 1], surprise], axis=1)

    def save(self, directory: Path) -> None:
        """Write settings and spaces."""
        record = {"config": asdict(self.config), **spaces_record(self.task)}
        write_atomic(directory / FILE, json.dumps(record))

    @property
    def players(self) -> tuple[Baseline, Baseline]:
        """Table and filter of the current lanes.

        Raises:
            RuntimeError: before the first :meth:`reset`.
        """
        if self._players is None:
            raise RuntimeError(
                "TwoModePolicy.act() before reset(); call policy.reset(mask, seeds) first"
            )
        return self._players


class TwoModeAgent(Agent):
    """Registered as ``two-mode``; nothing is trained."""

    Config = TwoModeConfig

    def supports(self, task: Task) -> str | None:
        """Where the environment offers both a table and the ideal observer."""
        return unsupported(task, CHEAP, COSTLY)

    def train(self, task: Task, budget: Budget, run: Run) -> Policy:  # noqa: ARG002  nothing to learn
        """The policy; no environment step is taken."""
        return TwoModePolicy(task, self.config)

    @classmethod
    def load(cls, directory: Path, task: Task) -> Policy:
        """The policy saved in ``directory``, with its settings."""
        saved = read_record(directory / FILE, spaces_record(task))
        return TwoModePolicy(
            task, build_config(TwoModeConfig, saved.get("config"), owner=str(directory))
        )


def _answer(
    player: Baseline, observation: Any, info: Mapping[str, Any]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    action, log_probs = player.act(observation, info)
    if log_probs is None:
        raise AgentContractError(
            f"{type(player).__name__} must give log-probabilities to serve as a mode"
        )
    return action, log_probs


def newest_token(observation: Any) -> npt.NDArray[np.int64]:
    """``int64[B]``: the last token of the history, from a dict observation or a flat one (``H + 3`` numbers)."""
    history = (
        observation["history"]
        if isinstance(observation, Mapping)
        else np.asarray(observation)[:, :-3]
    )
    return history[:, -1].astype(np.int64)


def count_tokens(space: Space[Any]) -> int:
    """Tokens of an observation space with a history; that number itself stands for a masked token.

    Raises:
        tropism.errors.UnsupportedTaskError: if there is no history in it.
    """
    history = space.spaces.get("history") if isinstance(space, Dict) else space
    if isinstance(history, MultiDiscrete):
        return int(history.nvec[-1]) - 1
    if isinstance(history, Box) and history.shape[0] > 3:
        return int(history.high[-4])
    raise UnsupportedTaskError(
        f"the two-mode agent needs a history of tokens, the observations are {space}"
    )


def _surprise(
    log_probs: npt.NDArray[np.float64],
    action: npt.NDArray[np.int64],
    token: npt.NDArray[np.int64],
    reward: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """``float64[B]``: −log p of the token that came; where it is masked (-1), of the action having been a hit or a miss."""
    lanes = np.arange(len(log_probs))
    hit = np.exp(log_probs[lanes, action])
    came = np.exp(log_probs[lanes, token])
    p = np.where(token >= 0, came, np.where(reward > 0, hit, 1.0 - hit))
    return -np.log(np.maximum(p, FLOOR))
