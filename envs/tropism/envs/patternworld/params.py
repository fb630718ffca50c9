"""Constants of PatternWorld and the table of its tiers.

Provenance: PatternWorld of the Omni-Zero project (its ``sim.py``), with the sizes, tiers and feedback modes of
Tropism's own specification.  Every number that changes behaviour is a field here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from tropism.errors import OptionError, UnknownNameError
from tropism.limits import check_flag, within

FEEDBACKS = ("reveal", "bandit", "probe", "closed")
SCHEDULES = ("geometric", "periodic", "minimum-dwell", "cyclic")
SPLITS = ("train", "test", "all")
SYMBOLS = 8
"""Symbols of the Hop tier's permutation, and its greatest query ``k``."""

PEEK_REWARD = float(np.float32(-0.2))
"""Reward of a look at the answer in ``probe`` mode; rounded to float32 so that every face returns the same bits."""


def _among(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UnknownNameError(name, value, choices)


@dataclass(frozen=True)
class Params:
    """Everything that defines one PatternWorld task.

    Attributes:
        tier: name of the tier these parameters started from.
        family: how the rules are made: ``arithmetic`` (the origin's three), ``affine`` (``a x + b``),
            ``order2`` (``a x + b y + c``, ``y`` the token before ``x``), ``alias`` (cycles that share half their steps) or ``hop``.
        vocabulary: number of tokens ``V``.
        num_rules: size of the rule library; ignored by ``arithmetic``, ``alias`` and ``hop``; 0 takes every
            rule of the split.
        active_rules: rules in use in one episode, drawn from the library; 0 means the whole library.
        library: which library is drawn, a non-negative integer: another number, other rules.
        split: half of the full affine library to draw from (Heldout): ``train``, ``test`` or ``all``.
        schedule: law of the time between switches: ``geometric`` (a switch with probability ``hazard`` a step),
            ``periodic`` (every ``period`` steps), ``minimum-dwell`` (``min_dwell`` steps, then geometric),
            ``cyclic`` (periodic, and the rules take turns in order).
        hazard: probability of a switch per step, in [0.001, 1].
        period: steps between switches of ``periodic`` and ``cyclic``, at least 1.
        min_dwell: steps that a rule surely lasts in ``minimum-dwell``, at least 0.
        agreement: a new rule agrees with the old one for at least this many steps from the current token (Alias).
        noise: probability that a token is drawn uniformly instead of by the rule, in [0, 0.9].
        feedback: what the agent is shown of the answer (see the environment's documentation).
        history: tokens shown, ``H``, at least 1.
        first_token: inclusive range of the first token, or ``None`` for the whole vocabulary.
        reward_right: reward of a right answer.
        reward_wrong: reward of a wrong answer; a float32 value.
        flat: observations are one float32 vector instead of a dictionary.
        max_episode_steps: steps until truncation, or ``None``.  ``gym.make`` truncates by ``TimeLimit``
            instead; the vector and functional faces read this field.
    """

    tier: str = "Switch"
    family: str = "arithmetic"
    vocabulary: int = 100
    num_rules: int = 8
    active_rules: int = 0
    library: int = 0
    split: str = "all"
    schedule: str = "geometric"
    hazard: float = 1 / 30
    period: int = 30
    min_dwell: int = 10
    agreement: int = 0
    noise: float = 0.0
    feedback: str = "reveal"
    history: int = 64
    first_token: tuple[int, int] | None = None
    reward_right: float = 1.0
    reward_wrong: float = 0.0
    flat: bool = False
    max_episode_steps: int | None = 1000

    def __post_init__(self) -> None:
        """Refuse what no environment can be built from."""
        _among("feedback", self.feedback, FEEDBACKS)
        _among("schedule", self.schedule, SCHEDULES)
        _among("split", self.split, SPLITS)
        within("hazard", self.hazard, 0.001, 1.0)
        within("noise", self.noise, 0.0, 0.9)
        for name, low, high in (
            ("period", 1, 1_000_000),
            ("min_dwell", 0, 1_000_000),
            ("history", 1, 4096),
            ("library", 0, 2**32 - 1),
            ("agreement", 0, 16),
            ("active_rules", 0, 64),
            ("num_rules", 0, 4096),
        ):
            within(name, getattr(self, name), low, high, integer=True)
        if self.active_rules == 1 or self.num_rules == 1 or 1 < self.num_rules < self.active_rules:
            raise OptionError(
                f"num_rules={self.num_rules} and active_rules={self.active_rules}: a switch needs at least two rules "
                "in use, and no more in use than the library holds (0 means all)"
            )
        if self.first_token is not None:
            self._check_first_token()
        if self.max_episode_steps is not None:
            within("max_episode_steps", self.max_episode_steps, 1, 2**30, integer=True)
        check_flag("flat", self.flat)
        for name in ("reward_right", "reward_wrong"):
            within(name, getattr(self, name), -1.0, 1.0)
        if self.reward_right <= self.reward_wrong:
            raise OptionError(
                f"reward_right must exceed reward_wrong, got {self.reward_right} and {self.reward_wrong}"
            )
        self._check_tier()

    def _check_first_token(self) -> None:
        last = self.vocabulary - 1
        try:
            low, high = self.first_token or (0, last)
        except (TypeError, ValueError):
            low, high = -1, -1
        if not (isinstance(low, int) and isinstance(high, int) and 0 <= low <= high <= last):
            raise OptionError(
                f"first_token must be a range (low, high) within [0, {last}], got {self.first_token!r}"
            )
        object.__setattr__(
            self, "first_token", (low, high)
        )  # hashable, also when JSON brought a list

    def _check_tier(self) -> None:
        if self.agreement and (self.family != "alias" or self.schedule == "cyclic"):
            raise OptionError(
                f"agreement={self.agreement} needs the Alias tier and a schedule other than 'cyclic', "
                f"got family={self.family!r}, schedule={self.schedule!r}"
            )
        drawn = self.family in ("affine", "order2")
        if (self.active_rules and not drawn) or (self.family == "order2" and not self.num_rules):
            raise OptionError(
                f"num_rules={self.num_rules}, active_rules={self.active_rules}: active_rules needs a tier whose "
                "rules are drawn (Affine, Noisy, Fast, Order2, Heldout, Recur), and Order2 at least two rules"
            )
        if self.family == "hop" and (self.noise or self.schedule == "cyclic"):
            raise OptionError(
                "the Hop tier takes neither noise nor schedule='cyclic': its rules are drawn anew"
            )
        if self.family == "hop" and self.history < SYMBOLS + 1:
            raise OptionError(
                f"history must be >= {SYMBOLS + 1} on the Hop tier, got {self.history}"
            )
        if self.family == "order2" and self.history < 2:
            raise OptionError(f"history must be >= 2 on the Order2 tier, got {self.history}")

    @property
    def num_actions(self) -> int:
        """``V``, and one more (PEEK, the last) in ``probe`` mode."""
        return self.vocabulary + (self.feedback == "probe")

    @property
    def dwell(self) -> tuple[int, float]:
        """The schedule as ``(floor, hazard)``: a rule lasts ``floor`` steps plus a geometric number of them."""
        if self.schedule in ("periodic", "cyclic"):
            return self.period - 1, 1.0
        return (self.min_dwell if self.schedule == "minimum-dwell" else 0), self.hazard

    @property
    def rewards(self) -> tuple[float, float, float]:
        """Rewards of a wrong answer, a right answer and a peek."""
        return self.reward_wrong, self.reward_right, PEEK_REWARD


TIERS: dict[str, Params] = {
    "Seed": Params(
        "Seed",
        schedule="cyclic",
        period=30,
        first_token=(1, 9),
        reward_wrong=float(np.float32(-0.1)),
    ),
    "Switch": Params("Switch"),
    "Affine": Params("Affine", "affine", 97, hazard=1 / 40),
    "Noisy": Params("Noisy", "affine", 97, hazard=1 / 40, noise=0.1),
    "Fast": Params("Fast", "affine", 97, hazard=1 / 8),
    "Order2": Params("Order2", "order2", 97, hazard=1 / 40),
    "Heldout": Params("Heldout", "affine", 97, num_rules=0, split="test", hazard=1 / 40),
    "Recur": Params("Recur", "affine", 97, num_rules=32, active_rules=4, hazard=1 / 60),
    "Alias": Params("Alias", "alias", 96, hazard=1 / 40, agreement=8),
    "Hop": Params("Hop", "hop", SYMBOLS, hazard=1 / 10),
}
"""The ten tiers: ``tropism/PatternWorld-<tier>-v0``."""


def make_params(tier: str, **overrides: Any) -> Params:
    """Parameters of ``tier`` with some fields replaced.

    Raises:
        UnknownNameError: if the tier or a field does not exist; the nearest names are suggested.
        OptionError: if a value is out of range.
    """
    if tier not in TIERS:
        raise UnknownNameError("PatternWorld tier", tier, TIERS)
    known = {f.name for f in fields(Params)} - {"tier", "family", "vocabulary"}
    for name in overrides:
        if name not in known:
            raise UnknownNameError("PatternWorld option", name, known)
    return replace(TIERS[tier], **overrides)
