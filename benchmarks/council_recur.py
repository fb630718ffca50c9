"""What could be saved on Recur whose rules nobody has seen: a learner that solves for a rule, and remembers it.

The exact filter knows the library, so that old rules are as easy as new ones.  Of an affine rule modulo 97 that is unknown, two
transitions tell all; of one that was met before, one does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tropism.agents.contract import BoolArray, Decision, Policy
from tropism.envs.patternworld.observation import read

MODULUS = 97


class Rule(NamedTuple):
    """``x -> (scale x + shift) mod 97``."""

    scale: int
    shift: int

    def __call__(self, x: int) -> int:
        """What follows ``x``."""
        return (self.scale * x + self.shift) % MODULUS


def solve(x: int, y: int, z: int) -> Rule | None:
    """The rule that leads from ``x`` to ``y`` to ``z``; None if there is none, or more than one."""
    if x == y:
        return None
    scale = (z - y) * pow(y - x, -1, MODULUS) % MODULUS
    return Rule(scale, (y - scale * x) % MODULUS) if scale else None


class Mind:
    """What is known in one episode.

    Args:
        remembers: whether rules are kept when they are left.
    """

    def __init__(self, remembers: bool) -> None:
        self.remembers = remembers
        self.known: dict[Rule, None] = {}
        self.rule: Rule | None = None
        self.seen: list[int] = []

    def hear(self, token: int) -> int:
        """Take the next token in; what follows it."""
        self.seen = [*self.seen[-2:], token]
        if len(self.seen) > 1 and not self._holds():
            self.rule = self._recall() or self._solve()
        return self.rule(token) if self.rule else token

    def _holds(self) -> bool:
        return self.rule is not None and self.rule(self.seen[-2]) == self.seen[-1]

    def _recall(self) -> Rule | None:
        """The rule solved last among those that explain the last transition."""
        before, now = self.seen[-2:]
        found = [rule for rule in self.known if rule(before) == now]
        return found[-1] if found and self.remembers else None

    def _solve(self) -> Rule | None:
        """The rule of the last two transitions, unless the first of them was the end of another."""
        if len(self.seen) < 3 or self.rule is not None:
            return None
        rule = solve(*self.seen)
        if rule is not None:
            self.known[rule] = None
        return rule


class Solver(Policy):
    """Plays Recur by :class:`Mind`, one a lane.

    Args:
        remembers: as there.
    """

    def __init__(self, *, remembers: bool) -> None:
        self.remembers = remembers
        self._minds: list[Mind] = []

    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:  # noqa: ARG002  nothing is drawn
        """Begin an episode in the lanes of ``mask``."""
        old = self._minds if len(self._minds) == len(mask) else [None] * len(mask)
        self._minds = [
            Mind(self.remembers) if begins or mind is None else mind
            for begins, mind in zip(mask, old, strict=True)
        ]

    def act(
        self,
        observation: Any,
        info: Mapping[str, Any],  # noqa: ARG002  all it needs is shown
        gate: BoolArray | None = None,  # noqa: ARG002  it does not think twice
    ) -> Decision:
        """What follows the last token."""
        tokens = read(observation).history[:, -1].tolist()
        said = [mind.hear(token) for mind, token in zip(self._minds, tokens, strict=True)]
        return Decision(action=np.array(said), compute=np.ones(len(said), np.int64))

    def save(self, directory: Path) -> None:
        """Nothing is learned that a file could keep."""
