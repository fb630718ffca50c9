"""Settings of adaptation."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tropism.errors import OptionError
from tropism.limits import Limits, check_fields

_LIMITS: dict[str, Limits] = {
    "rank": (1, math.inf),
    "directions": (0, math.inf),
    "learning_rate": (math.nextafter(0, 1), math.inf),
    "anchor": (0.0, math.inf),
    "pairs": (1, math.inf),
    "window": (1, math.inf),
    "margin": (0.0, math.inf),
    "population": (2, math.inf),
    "sigma": (math.nextafter(0, 1), math.inf),
    "position_rate": (math.nextafter(0, 1), math.inf),
    "position_anchor": (0.0, math.inf),
    "seed": (0, math.inf),
}


@dataclass(frozen=True)
class AdaptationConfig:
    """How a head and positions of experts adapt.

    Attributes:
        rank: ``r`` of the head's LoRA, 1 or more (seed 002: 4).
        directions: ``K`` of a forward gradient (seed 002: 8); 0 takes the gradient itself, by reverse mode, which for a head alone
            costs less than one direction.
        learning_rate: of the head, greater than 0, as if gradients were exact: a step along an estimate over ``n`` parameters
            is ``K / (n + K + 1)`` times as long, by as much as its square is too long.
        anchor: weight of the head's square distance from its start, 0 or more.
        pairs: the latest, that a step learns from, 1 or more.
        window: losses between verdicts of a rollback, 1 or more.
        margin: share by which a loss may be higher than the snapshot's, 0 or more.
        population: ``M`` of the evolution strategy, even, 2 or more (seed 002: 16).
        sigma: of its perturbations, greater than 0, in sides of the torus (seed 002: .01).
        position_rate: its learning rate, greater than 0 (seed 002: .001).
        position_anchor: weight of the positions' square distance from their start, 0 or more (seed 002: .1).
        seed: of everything that is drawn, 0 or more.

    Raises:
        OptionError: a value out of range.
    """

    rank: int = 4
    directions: int = 8
    learning_rate: float = 0.1
    anchor: float = 1e-5
    pairs: int = 64
    window: int = 100
    margin: float = 0.1
    population: int = 16
    sigma: float = 0.01
    position_rate: float = 0.001
    position_anchor: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, _LIMITS)
        if self.population % 2:
            raise OptionError(f"population must be even, got {self.population}")
