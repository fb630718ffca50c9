"""What an organism senses that is not alone: all that it would sense alone, and the way to the nearest other one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from tropism.envs.chemotaxis.observation import channels, gradients, observation_space
from tropism.envs.chemotaxis.params import Params
from tropism.envs.chemotaxis.senses import Row
from tropism.envs.chemotaxis.senses_worlds import WorldSenses
from tropism.envs.chemotaxis.streams import OTHER_NOISE
from tropism.envs.chemotaxis.tables import NOISE_BITS
from tropism.envs.core.random import bits

if TYPE_CHECKING:
    from tropism.envs.chemotaxis.shared_world import Organism

OTHER = ("other_x", "other_y")
"""The channels that come after the other gradients."""


def shared_channels(params: Params) -> tuple[str, ...]:
    """Names of the entries of an observation, in order."""
    names, first = channels(params), len(gradients(params))
    return (*names[:first], *OTHER, *names[first:])


def shared_space(params: Params) -> spaces.Box:
    """The observation space of an organism: the way to another one is bounded as that to a source."""
    alone, first = observation_space(params), len(gradients(params))
    low, high = (np.insert(bound, first, bound[:2]) for bound in (alone.low, alone.high))
    return spaces.Box(low, high, dtype=np.float32)


def alone(params: Params, observation: Any) -> Any:
    """An observation ``[..., channels]`` without what it says of others, as in a world of one's own."""
    first = len(gradients(params))
    return np.delete(observation, (first, first + 1), -1)


class SharedSenses(WorldSenses):
    """The senses of one of several organisms.

    The way to another one is smelt like a source: as far, as finely, with the same gain, and missing in the same
    steps.
    """

    def observe(self, world: Any) -> Row:
        """A fresh observation, ``float32[channels]``."""
        own, first = super().observe(world), self._smelt
        row = np.empty(len(own) + len(OTHER), np.float32)
        row[:first] = own[:first]
        row[first : first + 2] = self._company(world)
        row[first + 2 :] = own[first:]
        return row

    def _company(self, world: Organism) -> list[np.float32]:
        """Both components of the way to the nearest other organism."""
        felt = [np.float32(0.0)] * 2
        if not (self.dropout and self._is_dark(world)):
            nth = min(max(world.t - 1, 0), self._last_row)
            ways = zip(self._tables, self._way_to_other(world), self.params.size, strict=True)
            felt = [table[nth, way + size - 1] for table, way, size in ways]
        if self._noise is not None:
            words = [bits(world.key, world.t * 2 + axis, OTHER_NOISE) for axis in range(2)]
            noise = self._noise[[word >> (32 - NOISE_BITS) for word in words]]
            felt = [felt[axis] + noise[axis] for axis in range(2)]
        return felt

    def _way_to_other(self, world: Organism) -> tuple[int, int]:
        """Cells along x and y to the nearest other one alive, the first of equally near ones; 0 if none is sensed."""
        found, least = (0, 0), self._range2 + 1
        y, x = divmod(world.cell, self.params.width)
        for other in world.ground.living:
            dy, dx = other.cell // self.params.width - y, other.cell % self.params.width - x
            if other is not world and dx * dx + dy * dy < least:
                found, least = (dx, dy), dx * dx + dy * dy
        return found
