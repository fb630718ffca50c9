"""What the studies of the council compare, as data: see ``benchmarks/study_council.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

UNSEEN = {"num_rules": 0, "active_rules": 4}
"""Recur with every affine rule of a half of the library, four in each episode."""


@dataclass(frozen=True)
class Arm:
    """One configuration of the council on one task.

    Attributes:
        tier: of PatternWorld.
        env_steps: budget of training.
        config: fields of ``CouncilConfig`` that differ from the defaults.
        train: arguments of the environment in training.
        test: those at the test; None: the same.
    """

    tier: str
    env_steps: int
    config: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    test: Mapping[str, Any] | None = None


_HOP = {
    "voices": 1,  # so that what pondering gains is not what voting does
    "ponder_steps": 10,
    "ponder_prior": 0.1,
    "ponder_weight": 0.02,
    "ponder_loss": "likelihood",  # by expectation, tried with one seed, .86 of eight hops were right
    "patience": 0.2,  # beyond it answers change no more
    "lanes": 32,
    "stretch": 32,
    "questions": 32,
    "window": 96,  # of two or ten tokens a step
    "slots": 0,
    "learning_rate": 3e-3,
    "distil_weight": 0.0,
    "share": 0.5,
    "optimism": 0.0,  # gains are great, and doubtful ones no better
}
_RECUR = {
    "voices": 1,
    "ponder_steps": 2,
    "ponder_prior": 0.5,
    "heads": 2,
    "lanes": 32,
    "questions": 32,
    "window": 16,  # too short for a regime, so that only the memory reaches the one before
    "slots": 512,
    "share": 0.5,
    "optimism": 0.0,  # gains are great, and doubtful ones no better
}
_RECUR_TASK = {"train": {**UNSEEN, "split": "train"}, "test": {**UNSEEN, "split": "test"}}
_FULL = 1_200_000
_QUARTER = 600_000
"""A quarter of what ten minutes on two cores would do."""

ARMS: dict[str, Arm] = {
    "switch": Arm("Switch", _FULL),
    "affine": Arm("Affine", _FULL),
    "hop": Arm("Hop", 3_000_000, _HOP),
    "hop, one pass": Arm("Hop", 3_000_000, {**_HOP, "ponder_steps": 1}),
    "recur": Arm("Recur", 1_000_000, _RECUR, **_RECUR_TASK),
    "recur, no memory": Arm("Recur", 1_000_000, {**_RECUR, "slots": 0}, **_RECUR_TASK),
}
"""Arms of five seeds."""

ABLATIONS: dict[str, Arm] = {
    "all": Arm("Switch", _QUARTER),
    "one voice": Arm("Switch", _QUARTER, {"voices": 1}),
    "no teacher": Arm("Switch", _QUARTER, {"distil_weight": 0.0}),
    "no memory": Arm("Switch", _QUARTER, {"slots": 0}),
    "with the editor": Arm("Switch", _QUARTER, {"online": True}),
    "gate: entropy alone": Arm("Switch", _QUARTER, {"signals": "entropy"}),
    "gate: surprises alone": Arm("Switch", _QUARTER, {"signals": "surprise"}),
}
"""Arms of three seeds and half of the steps."""
