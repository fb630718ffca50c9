"""The baselines that environments bring along, as agents: nothing to train, one unit of compute a decision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tropism.agents.artifacts import write_atomic
from tropism.agents.contract import Agent, BoolArray, Budget, Decision, Policy, Task
from tropism.agents.records import read_record, spaces_record
from tropism.agents.runs import Run
from tropism.envs.core.baselines import Baseline
from tropism.envs.core.uniform import UniformBaseline
from tropism.errors import TropismError

FILE = "baseline.json"


def make_baseline(task: Task, name: str, lanes: int) -> Baseline:
    """The baseline ``name`` of the task's environment; ``random`` is there for every bounded action space.

    Raises:
        tropism.errors.TropismError: if the environment does not offer it.
    """
    env = task.make()
    try:
        if name == "random":
            return UniformBaseline(lanes, env.action_space)
        make = getattr(env.unwrapped, "make_baseline", None)
        if make is None:
            raise TropismError(f"{task.env_id} offers no baseline {name!r}")
        return make(name, lanes)  # its own error says what it lacks, and why
    finally:
        env.close()


@dataclass(frozen=True)
class NoConfig:
    """A baseline has nothing to set."""


class BaselinePolicy(Policy):
    """Plays a :class:`tropism.envs.core.baselines.Baseline` built for as many lanes as it is reset with."""

    def __init__(self, task: Task, name: str) -> None:
        self.task, self.name = task, name
        self._player: Baseline | None = None

    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:
        """Begin an episode in the lanes of ``mask``; another number of lanes builds the player anew."""
        if self._player is None or self._player.num_lanes != len(mask):
            self._player = make_baseline(self.task, self.name, len(mask))
        self._player.reset(mask, seeds)

    def act(
        self,
        observation: Any,
        info: Mapping[str, Any],
        gate: BoolArray | None = None,  # noqa: ARG002  there is one mode
    ) -> Decision:
        """The player's action, at one unit of compute a lane."""
        action, log_probs = self.player.act(observation, info)
        compute = np.ones(self.player.num_lanes, np.int64)
        return Decision(
            action, compute, None if log_probs is None else log_probs.astype(np.float32)
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
        """Tell the player."""
        self.player.observe(action, observation, reward, terminated, truncated, info)

    def save(self, directory: Path) -> None:
        """Write which baseline of which spaces it is."""
        write_atomic(
            directory / FILE, json.dumps({"baseline": self.name, **spaces_record(self.task)})
        )

    @property
    def player(self) -> Baseline:
        """The player of the current lanes.

        Raises:
            RuntimeError: before the first :meth:`reset`.
        """
        if self._player is None:
            raise RuntimeError(
                "BaselinePolicy.act() before reset(); call policy.reset(mask, seeds) first"
            )
        return self._player


class BaselineAgent(Agent):
    """Adapter over one baseline; subclasses name it."""

    Config = NoConfig
    baseline: ClassVar[str]

    def supports(self, task: Task) -> str | None:
        """The environment must offer the baseline under these keyword arguments."""
        return unsupported(task, self.baseline)

    def train(self, task: Task, budget: Budget, run: Run) -> Policy:  # noqa: ARG002  nothing to learn
        """The baseline itself; no environment step is taken."""
        return BaselinePolicy(task, self.baseline)

    @classmethod
    def load(cls, directory: Path, task: Task) -> Policy:
        """The policy saved in ``directory``."""
        read_record(directory / FILE, {"baseline": cls.baseline, **spaces_record(task)})
        return BaselinePolicy(task, cls.baseline)


def unsupported(task: Task, *names: str) -> str | None:
    """Why the task does not offer the baselines ``names``, or ``None``."""
    if task.agents:
        return "baselines play single-agent tasks only"
    try:
        for name in names:
            make_baseline(task, name, 1)
    except TropismError as error:
        return str(error)
    return None


class RandomAgent(BaselineAgent):
    """Uniform over the action space: the floor of every task."""

    baseline = "random"


class HeuristicAgent(BaselineAgent):
    """The environment's own rule of thumb."""

    baseline = "heuristic"


class StayAgent(BaselineAgent):
    """Never moves: what a world gives to those who do nothing."""

    baseline = "stay"


class ProbeAgent(BaselineAgent):
    """Tries each source once and remembers which did harm."""

    baseline = "probe"


class TableAgent(BaselineAgent):
    """A successor table that never forgets."""

    baseline = "table"


class CusumAgent(BaselineAgent):
    """A successor table, wiped when CUSUM detects a change."""

    baseline = "cusum"


class LastDifferenceAgent(BaselineAgent):
    """Repeats the last difference of tokens."""

    baseline = "last-difference"


class MapAgent(BaselineAgent):
    """The exact filter, committed to its most probable rule."""

    baseline = "map"


class IdealAgent(BaselineAgent):
    """The exact Bayesian observer: what nobody beats on average."""

    baseline = "ideal"


class OracleAgent(BaselineAgent):
    """Is told the hidden regime through the labels."""

    baseline = "oracle"
    privileged = True
