"""What happened in an episode, kept for those who watch.

Only an environment that renders runs a recording reference; the plain one is never slowed down by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tropism.envs.core.random import Key
from tropism.envs.patternworld.params import Params
from tropism.envs.patternworld.reference import HopReference, Reference
from tropism.envs.patternworld.rules import library

FloatArray = npt.NDArray[np.float64]

HORIZON = 20
"""Ages of a regime that are told apart."""
COLOURS = 8
"""Rules that are told apart by colour."""


class Step(NamedTuple):
    """One answer and what became of it.

    Attributes:
        token: the last token before the answer (on Hop, the symbol asked about).
        action: the answer; ``V`` is a look at the answer in ``probe`` mode.
        target: the right answer.
        reward: what the answer earned.
        rule: the regime that judged it.
        switched: whether that regime was new.
        since: answers that regime had judged before.
        query: hops asked for (Hop only, else 0).
        masked: whether the agent was not shown the right answer afterwards.
        peeked: whether the answer was a look.
        belief: the probabilities that were announced for ``target``, ``float64[V]``, or ``None``.
    """

    token: int
    action: int
    target: int
    reward: float
    rule: int
    switched: bool
    since: int
    query: int
    masked: bool
    peeked: bool
    belief: FloatArray | None

    @property
    def hit(self) -> bool:
        """The answer was right."""
        return self.action == self.target

    @property
    def known(self) -> bool:
        """The agent can tell the right answer: it was shown, or it was given."""
        return self.hit or not self.masked

    @property
    def mark(self) -> str:
        """``hit``, ``miss`` or ``peek``."""
        return "peek" if self.peeked else "hit" if self.hit else "miss"


class Recording(Reference):
    """A reference that remembers its episode.

    Attributes:
        steps: the answers so far, oldest first.
        score: the sum of their rewards.
        belief: announced probabilities of the next token, ``float64[V]``, or ``None``.
        rule_belief: announced probabilities of all rules, ``float64[R]``, or ``None``.
        answered, hits: answers (looks aside) and right ones, by how many the regime had judged before;
            the last of the ``HORIZON`` entries takes all later ones.
        slots: number of a colour for each rule met so far; successive regimes never share one.
        on_change: called without arguments after every reset and step.
    """

    on_change: Callable[[], None] | None = None

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self._forget()

    def _forget(self) -> None:
        self.steps: list[Step] = []
        self.score = 0.0
        self.belief: FloatArray | None = None
        self.rule_belief: FloatArray | None = None
        self.answered, self.hits = [0] * HORIZON, [0] * HORIZON
        self.slots: dict[int, int] = {}

    def reset(self, key: Key, episode: int, options: Mapping[str, int]) -> tuple[int, ...]:
        """Begin an episode with an empty record."""
        self._forget()
        shown = super().reset(key, episode, options)
        self._take_slot()
        self._changed()
        return shown

    def step(self, action: int) -> tuple[float, tuple[int, ...]]:
        """Judge ``action`` and write it down."""
        before = (self.rule, self.switched, self.since, self.query)
        token, target = self.token, self.target
        reward, shown = super().step(action)
        masked = shown[0] != target
        peeked = action == self.params.vocabulary
        step = Step(token, action, target, reward, *before, masked, peeked, self.belief)
        self._count(step)
        self._take_slot()
        self.belief = self.rule_belief = None
        self._changed()
        return reward, shown

    def announce(self, tokens: Any, rules: Any) -> None:
        """Take note of what somebody believes about the next token and the current rule."""
        self.belief = None if tokens is None else np.asarray(tokens, np.float64)
        self.rule_belief = None if rules is None else np.asarray(rules, np.float64)

    def _count(self, step: Step) -> None:
        self.steps.append(step)
        self.score += step.reward
        age = min(step.since, HORIZON - 1)
        self.answered[age] += not step.peeked
        self.hits[age] += step.hit

    def _take_slot(self) -> None:
        if self.rule not in self.slots:
            slot, taken = len(self.slots) % COLOURS, self.slots.get(self.stale_rule)
            self.slots[self.rule] = (slot + 1) % COLOURS if slot == taken else slot

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()


class HopRecording(Recording, HopReference):
    """The same for the Hop tier."""


def make_recording(params: Params) -> Recording:
    """The recording reference of ``params``."""
    return (HopRecording if params.family == "hop" else Recording)(params)


def rule_name(world: Recording, rule: int) -> str:
    """A readable name of ``rule``: its formula, or on Hop its number among the permutations."""
    return (
        f"permutation {rule}"
        if isinstance(world, HopReference)
        else library(world.params).names[rule]
    )
