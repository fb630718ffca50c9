"""Settings of adaptation."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from tropism.errors import OptionError

COUNTS = ("rank", "pairs", "window")
POSITIVE = ("learning_rate", "sigma", "position_rate")
LEAST_ZERO = ("directions", "anchor", "position_anchor", "margin", "seed")


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
        for field in fields(self):
            value = getattr(self, field.name)
            whole = field.type == "int"
            if not isinstance(value, int if whole else int | float) or isinstance(value, bool):
                raise OptionError(f"{field.name} is {value!r}; a number expected")
        self._least(COUNTS, 1)
        self._least(LEAST_ZERO, 0)
        self._least(POSITIVE, math.nextafter(0, 1))
        if self.population < 2 or self.population % 2:
            raise OptionError(
                f"population is {self.population}; an even number, 2 or more, expected"
            )

    def _least(self, names: tuple[str, ...], least: float) -> None:
        for name in names:
            if not least <= getattr(self, name) < math.inf:
                raise OptionError(f"{name} is {getattr(self, name)}; a finite number, {least:g} or more, expected")  # fmt: skip
