"""A policy that plays as another one, and keeps what that decided."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.agents.contract import BoolArray, Decision, Policy


class Overheard(Policy):
    """Plays as another policy.

    Args:
        policy: the other.

    Attributes:
        decisions: all of them, in their order.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.decisions: list[Decision] = []

    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:
        """Begin an episode in the lanes of ``mask``."""
        self.policy.reset(mask, seeds)

    def act(
        self, observation: Any, info: Mapping[str, Any], gate: BoolArray | None = None
    ) -> Decision:
        """The other's decision."""
        self.decisions.append(self.policy.act(observation, info, gate))
        return self.decisions[-1]

    def observe(self, action: Any, *outcome: Any, **named: Any) -> None:
        """Told to the other."""
        self.policy.observe(action, *outcome, **named)

    def save(self, directory: Path) -> None:
        """Save the other."""
        self.policy.save(directory)

    def told(self, name: str) -> list[npt.NDArray[Any]]:
        """A diagnostic of every decision."""
        return [decision.diagnostics[name] for decision in self.decisions]
