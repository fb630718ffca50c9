"""What a plastic network is told about a step: what its organism feels itself, and nothing else.

Labels would be easier to read, but a policy that plays where labels are hidden has none, and some of them tell
secrets (on L4.2 the drive knows the hidden goal).  So evolution and policy both ask this module, which sees two
observations and the reward between them.  Levels come back as the integers they were made from, hence without
observation noise the signals are exact, and the same bits wherever they are computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from tropism.envs.chemotaxis.observation import channels
from tropism.envs.chemotaxis.params import POINT, UNIT, Params, points
from tropism_evosax.networks.contract import Array, Signals

PER_UNIT, PER_SQUARE = np.float32(1 / UNIT), np.float32(1 / UNIT**2)
"""Factors, because a division by a constant has other last bits under XLA than in NumPy."""
_NEEDS = ("energy", "hydration", "integrity")


@dataclass(frozen=True)
class Senses:
    """Where the body is in the observation, and what the reward is made of; static under ``jit``.

    Attributes:
        needs: channels that hold a level which should be full; none where the environment has no body: then
            the drive never changes and the reward is the event.
        integrity: the channel among them that only harm lowers, or -1.
        alive_points: reward of a step, in 1/128.
        reach_points: of the first good source of a life.
        gain: ``(numerator, denominator)``: a gain of ``n`` units, 1/6400 each, pays ``n * numerator // denominator``.
    """

    needs: tuple[int, ...] = ()
    integrity: int = -1
    alive_points: int = 0
    reach_points: int = 0
    gain: tuple[int, int] = (0, 1)

    @classmethod
    def of(cls, params: Any) -> Senses:
        """The senses of an environment with ``params``."""
        if not isinstance(params, Params):
            return cls()
        names = channels(params)
        return cls(
            needs=tuple(names.index(name) for name in _NEEDS if name in names),
            integrity=names.index("integrity"),
            alive_points=points(params.alive_weight),
            reach_points=points(params.reach_weight),
            gain=params.gain_points,
        )

    def feel(self, before: Array, reward: Array, after: Array) -> Signals:
        """What a step did.

        Args:
            before: observation that the action answered, float32[num_inputs].
            reward: of the step, float32.
            after: the next observation.
        """
        if not self.needs:
            return Signals(jnp.zeros_like(reward), reward)
        drive = self._drive(before) - self._drive(after)
        lost = _units(before[self.integrity]) - _units(after[self.integrity])
        event = self._gained(reward) - lost
        return Signals(drive.astype(jnp.float32) * PER_SQUARE, event.astype(jnp.float32) * PER_UNIT)

    def _drive(self, observation: Array) -> Array:
        """Sum of the squared distances of the needs from full, in squared units."""
        distances = (UNIT - _units(observation[channel]) for channel in self.needs)
        return sum(distance * distance for distance in distances)

    def _gained(self, reward: Array) -> Array:
        """Units that the reward pays for; a reward as large as that of the first good source contains it."""
        numerator, denominator = self.gain
        if not numerator:
            return jnp.int32(0)
        paid = jnp.round(reward * POINT).astype(jnp.int32) - self.alive_points
        paid = paid - jnp.where(paid >= self.reach_points, self.reach_points, 0)
        return paid * denominator // numerator


def _units(level: Array) -> Array:
    """The integer that ``level`` was made from."""
    return jnp.round(level * UNIT).astype(jnp.int32)
