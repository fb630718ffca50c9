"""Playing a policy while noting what it says of its decisions: diagnostics are recorded nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.agents.contract import BoolArray, Decision, Policy, Task
from tropism.agents.episodes import Episode
from tropism.agents.evaluate import RandomGate, evaluate

Floats = npt.NDArray[np.float64]
STABLE = 10
"""Steps after a switch that count as adaptation; later ones are stable.  As the leaderboard has it."""
SAME = 1e-3
"""Nats by which losses of the same answer may differ, as batches are rounded differently."""
DECIMALS = 5
"""Of what policies say of themselves; further ones are not the same when they play again."""


@dataclass(frozen=True)
class Life:
    """An episode of ``T`` steps with what the policy said of each decision.

    Attributes:
        episode: what happened.
        told: diagnostics by name, each ``[T]``.
    """

    episode: Episode
    told: dict[str, npt.NDArray[Any]]

    def __len__(self) -> int:
        return len(self.episode)

    def column(self, name: str) -> Floats | None:
        """A diagnostic, or ``None`` if the policy does not give it."""
        return self.told[name].astype(np.float64) if name in self.told else None

    def label(self, *names: str) -> npt.NDArray[Any] | None:
        """The first of these labels that the environment gives."""
        return next((self.episode.labels[n] for n in names if n in self.episode.labels), None)

    @cached_property
    def thinks(self) -> BoolArray:
        """Where System 2 answered."""
        gated = self.episode.gated
        return np.zeros(len(self), np.bool_) if gated is None else gated

    @cached_property
    def loss(self) -> Floats | None:
        """Nats by which the right answer was missed; ``None`` where none is known."""
        said = self.episode.target_log_prob
        return None if said is None else -said.astype(np.float64)

    @cached_property
    def ideal_loss(self) -> Floats | None:
        """The same of the ideal observer."""
        said = self.label("ideal_log_prob")
        return None if said is None else -said.astype(np.float64)

    @cached_property
    def right(self) -> Floats | None:
        """Where the action was the target, as 0 or 1."""
        target = self.label("target")
        return None if target is None else (self.episode.action == target).astype(np.float64)

    @cached_property
    def switches(self) -> npt.NDArray[np.intp]:
        """Steps that are the first to be judged by a new regime."""
        switched = self.label("switched")
        return np.zeros(0, np.intp) if switched is None else np.flatnonzero(switched)

    @cached_property
    def since(self) -> npt.NDArray[np.intp]:
        """Steps since the last switch; 0 where it switched, -1 before the first."""
        steps, last = np.arange(len(self)), np.full(len(self), -1)
        last[self.switches] = self.switches
        last = np.maximum.accumulate(last)
        return np.where(last < 0, -1, steps - last)

    @cached_property
    def disagreement(self) -> Floats | None:
        """How far the voices were apart where they were asked, not a number elsewhere."""
        coherence = self.column("coherence")
        if coherence is None:
            return None
        return np.where(self.thinks, np.round(1 - coherence, DECIMALS), np.nan)

    @cached_property
    def memory(self) -> Floats | None:
        """Attention that the voices paid to the memory where they were asked, not a number elsewhere."""
        recalled = self.column("memory")
        return None if recalled is None else np.where(self.thinks, recalled, np.nan)

    @cached_property
    def ponder(self) -> Floats | None:
        """Steps that the voices thought where they were asked, not a number elsewhere."""
        steps = self.column("steps")
        return None if steps is None else np.where(self.thinks, steps, np.nan)


class Watched(Policy):
    """Plays as ``policy`` does, and keeps the diagnostics."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self.max_lanes = policy, policy.max_lanes
        self._rows: list[dict[str, npt.NDArray[Any]]] = []
        self._began: dict[int, tuple[int, int]] = {}

    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:
        """Note where an episode begins."""
        for lane in np.flatnonzero(mask).tolist():
            self._began.setdefault(int(seeds[lane]), (lane, len(self._rows)))
        self._policy.reset(mask, seeds)

    def act(
        self, observation: Any, info: Mapping[str, Any], gate: BoolArray | None = None
    ) -> Decision:
        """Note what is told beside the action."""
        decision = self._policy.act(observation, info, gate)
        told = {name: np.array(value) for name, value in decision.diagnostics.items()}
        self._rows.append({name: value for name, value in told.items() if value.ndim == 1})
        return decision

    def observe(
        self,
        action: Any,
        observation: Any,
        reward: Floats,
        terminated: BoolArray,
        truncated: BoolArray,
        info: Mapping[str, Any],
    ) -> None:
        """Pass it on."""
        self._policy.observe(action, observation, reward, terminated, truncated, info)

    def save(self, directory: Path) -> None:
        """Save the policy."""
        self._policy.save(directory)

    def told(self, episode: Episode) -> dict[str, npt.NDArray[Any]]:
        """The diagnostics of an episode that was played."""
        lane, first = self._began[episode.seed]
        rows = self._rows[first : first + len(episode)]
        names = [name for name in rows[0] if all(name in row for row in rows)]
        return {name: np.stack([row[name][lane] for row in rows]) for name in names}


def play(
    policy: Policy,
    task: Task,
    seeds: Sequence[int],
    *,
    rate: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Life]:
    """Play one episode of each seed.

    Args:
        policy: who.
        task: where.
        seeds: one episode each.
        rate: impose the costly mode at random with this probability, instead of leaving it to the policy.
        progress: told the number of episodes played so far.
    """
    watched = Watched(policy)
    gate = None if rate is None else RandomGate(rate)
    episodes = evaluate(watched, task, seeds, gate=gate, belief=True, progress=progress)
    return [Life(episode, watched.told(episode)) for episode in episodes]


def with_gains(
    own: Sequence[Life], alone: Sequence[Life], always: Sequence[Life]
) -> list[Life] | None:
    """``own`` with the diagnostic ``gain``: what System 2 added at every step to the probability of the right answer.

    Args:
        own: episodes as the gate decided.
        alone: the same episodes, played by System 1 alone.
        always: the same with System 2 asked at every step.

    Returns:
        ``None`` where the three were not shown the same, so that their steps cannot be compared.
    """
    found = []
    for life, first, second in zip(own, alone, always, strict=True):
        if life.loss is None or first.loss is None or second.loss is None:
            return None
        if not len(life) == len(first) == len(second):
            return None
        alike = (
            life.loss[~life.thinks],
            first.loss[~life.thinks],
        )  # when asked it may think longer or shorter
        if not np.allclose(*alike, atol=SAME):
            return None
        gain = np.exp(-second.loss) - np.exp(-first.loss)
        found.append(replace(life, told=life.told | {"gain": gain}))
    return found
