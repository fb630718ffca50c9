"""What the study of the streamed mixture of experts compares, as data: see ``benchmarks/study_moe.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Arm:
    """One configuration of the agent on one task.

    Attributes:
        env_id: of the task.
        env_steps: budget of training.
        config: fields of the agent's settings that differ from the defaults.
        agent: who learns.
    """

    env_id: str
    env_steps: int
    config: Mapping[str, Any] = field(default_factory=dict)
    agent: str = "moe"


SWITCH, AFFINE = "tropism/PatternWorld-Switch-v0", "tropism/PatternWorld-Affine-v0"
LEVEL, STEADY = "tropism/Chemotaxis-L3.0-v0", "tropism/Chemotaxis-L0.2-Informed-v0"
"""In the first, sources move when they were visited; in the second, two observations are seven of ten once the source is found."""
ORACLE = {"teacher": "oracle", "balance": 1.0}
"""Who sees the sources.  Experts are chosen by what is seen now, which differs less from step to step than tokens do."""
PROBE = {"teacher": "probe"}
"""Who plays the second best of those who are told nothing: .99 of the way from random to the oracle."""
AHEAD = {"gated_ahead": 2}
"""As the large presets are."""
ONE = {"lattice": (1, 1, 1)}
"""As many weights at work a step, and no others."""
FULL, SHORT = 2_000_000, 1_000_000

ARMS: dict[str, Arm] = {
    "switch": Arm(SWITCH, FULL),
    "affine": Arm(AFFINE, FULL),
    "chemotaxis": Arm(LEVEL, 2 * FULL, ORACLE),
    "steady": Arm(STEADY, FULL, PROBE),
    "switch, one expert": Arm(SWITCH, FULL, ONE),
    "affine, one expert": Arm(AFFINE, FULL, ONE),
    "affine, slack": Arm(AFFINE, FULL, {"slack": 0.3}),
    "switch, gated at each layer": Arm(SWITCH, FULL, {"pre_gated": False}),
    "switch, gated ahead": Arm(SWITCH, FULL, AHEAD),
    "affine, gated ahead": Arm(AFFINE, FULL, AHEAD),
    "chemotaxis, gated ahead": Arm(LEVEL, 2 * FULL, {**ORACLE, **AHEAD}),
    "switch, tokens alone": Arm(SWITCH, FULL, {"tokens": True}),
    "chemotaxis, ppo": Arm(LEVEL, FULL // 4, agent="ppo"),
    "steady, ppo": Arm(STEADY, FULL // 4, agent="ppo"),
}
"""Arms that the promises are about."""

ABLATIONS: dict[str, Arm] = {
    "all": Arm(SWITCH, SHORT),
    "no balance": Arm(SWITCH, SHORT, {"balance": 0.0}),
    "no distillation": Arm(SWITCH, SHORT, {"distillation": 0.0}),
}
"""What parts of the training are worth, with half of the steps."""
