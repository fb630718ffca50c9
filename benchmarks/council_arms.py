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
    "ponder_steps": 8,
    "ponder_prior": 0.1,
    "stretch": 32,
    "lanes": 32,
    "questions": 16,
    "slots": 0,
}
_RECUR = {"slots": 512, "window": 64}
_RECUR_TASK = {"train": {**UNSEEN, "split": "train"}, "test": {**UNSEEN, "split": "test"}}
_FULL = 2_000_000
_QUARTER = _FULL // 4

ARMS: dict[str, Arm] = {
    "switch": Arm("Switch", _FULL),
    "affine": Arm("Affine", _FULL),
    "hop": Arm("Hop", 3_000_000, _HOP),
    "hop, one pass": Arm("Hop", 3_000_000, {**_HOP, "ponder_steps": 1}),
    "recur": Arm("Recur", _FULL, _RECUR, **_RECUR_TASK),
    "recur, no memory": Arm("Recur", _FULL, {**_RECUR, "slots": 0}, **_RECUR_TASK),
}
"""Arms of five seeds."""

ABLATIONS: dict[str, Arm] = {
    "all": Arm("Affine", _QUARTER),
    "one voice": Arm("Affine", _QUARTER, {"voices": 1}),
    "no teacher": Arm("Affine", _QUARTER, {"distil_weight": 0.0}),
    "no memory": Arm("Affine", _QUARTER, {"slots": 0}),
    "gate: entropy alone": Arm("Affine", _QUARTER, {"signals": "entropy"}),
    "gate: surprises alone": Arm("Affine", _QUARTER, {"signals": "surprise"}),
}
"""Arms of three seeds and a quarter of the budget."""
