"""Development ("nursing"): faculties and dangers that grow over a life, as smoothstep ramps of its phase.

The phase of step ``t`` (counted from 0) is ``t / (steps - 1)``; the observation after the step has the same one.
Shapes never change: only values do.  Provenance: koki2 (K. Kis, 2025), https://github.com/Krisztiaan/koki2, whose
gradient ramps these are; motor, resource and hazard ramps it describes and leaves open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.errors import OptionError, UnknownNameError


@dataclass(frozen=True)
class Ramp:
    """A value that goes from ``low`` to ``high`` while the phase goes from ``start`` to ``end``.

    Attributes:
        low: value before ``start``.
        high: value from ``end`` on; also before, if ``end == start``.
        start: phase in [0, 1].
        end: phase in [``start``, 1].
    """

    low: float
    high: float
    start: float = 0.0
    end: float = 1.0

    def values(self, steps: int) -> npt.NDArray[np.float64]:
        """The value at each of ``steps`` steps, ``float64[steps]``: ``low + (3 x^2 - 2 x^3)(high - low)``."""
        if self.end == self.start:
            return np.full(steps, self.high, np.float64)
        phase = np.arange(steps) / max(steps - 1, 1)
        x = np.clip((phase - self.start) / (self.end - self.start), 0.0, 1.0)
        return self.low + x * x * (3.0 - 2.0 * x) * (self.high - self.low)


_LIMITS = {
    "gradient_gain": 10.0,
    "gradient_bins": 1024.0,
    "motor": 1.0,
    "resources": 10.0,
    "hazards": 10.0,
}


@dataclass(frozen=True)
class Development:
    """The ramps of a life; ``None`` leaves a faculty adult from birth.

    Attributes:
        gradient_gain: factor on the gradient channels, in [0, 10].
        gradient_bins: steps per unit that the gradient is rounded to, in [0, 1024]; 0 does not round.
        motor: probability that a move is carried out, in [0, 1].
        resources: factor on what a good source gives, in [0, 10].
        hazards: factor on harm and drains, in [0, 10].
    """

    gradient_gain: Ramp | None = None
    gradient_bins: Ramp | None = None
    motor: Ramp | None = None
    resources: Ramp | None = None
    hazards: Ramp | None = None

    def __post_init__(self) -> None:
        """Read ``(low, high, start, end)`` as ramps, and refuse what is out of range."""
        for name, limit in _LIMITS.items():
            object.__setattr__(self, name, _ramp(name, getattr(self, name), limit))

    @property
    def adult(self) -> Development:
        """The same with every ramp at its end value from the first step on."""
        ramps = {f.name: getattr(self, f.name) for f in fields(self)}
        grown = {n: r and Ramp(r.high, r.high, 0.0, 0.0) for n, r in ramps.items()}
        return replace(self, **grown)


def make_development(given: Any) -> Development | None:
    """A :class:`Development` from one, from a mapping of its fields, or ``None``.

    Raises:
        UnknownNameError: for a field it does not have.
        OptionError: for a ramp that is no ramp or out of range.
    """
    if given is None or isinstance(given, Development):
        return given
    if not isinstance(given, Mapping):
        raise OptionError(
            f"development must be a mapping of ramps (low, high, start, end), got {given!r}"
        )
    for name in given:
        if name not in _LIMITS:
            raise UnknownNameError("development ramp", name, _LIMITS)
    return Development(**given)


def _ramp(name: str, given: Any, limit: float) -> Ramp | None:
    """``given`` as a checked ramp."""
    if given is None:
        return None
    if isinstance(given, Sequence) and not isinstance(given, str) and 2 <= len(given) <= 4:
        given = Ramp(*given)
    numbers = [*vars(given).values()] if isinstance(given, Ramp) else []
    if not numbers or any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in numbers):
        raise OptionError(
            f"development ramp {name!r} must be (low, high, start, end), got {given!r}"
        )
    ramp = Ramp(*map(float, numbers))
    if not (0.0 <= ramp.low <= limit and 0.0 <= ramp.high <= limit):
        raise OptionError(
            f"development ramp {name!r} must have low and high in [0, {limit:g}], got {ramp}"
        )
    if not 0.0 <= ramp.start <= ramp.end <= 1.0:
        raise OptionError(f"development ramp {name!r} must have 0 <= start <= end <= 1, got {ramp}")
    return ramp
