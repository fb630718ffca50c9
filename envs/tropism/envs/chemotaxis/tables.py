"""Look-up tables that the reference and the kernel share, made once in NumPy.

Every float an agent sees comes out of one of them: XLA turns a division by a constant into a multiplication and
fuses ``a * b + c``, so arithmetic on floats would not give every face the same bits.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.development import Development, Ramp
from tropism.envs.chemotaxis.params import FAMILY, UNIT, Params, units
from tropism.envs.chemotaxis.streams import chance

Table = npt.NDArray[np.float32]
Units = npt.NDArray[np.int32]

NOISE_BITS = 12
"""Leading bits of a word that choose one of 4096 values of noise."""


@lru_cache(maxsize=1)
def level_table() -> Table:
    """What is felt of a need, ``float32[6401]`` in [0, 1], by its units."""
    return np.arange(UNIT + 1, dtype=np.float32) / np.float32(UNIT)


@lru_cache(maxsize=32)
def gradient_table(extent: int, development: Development | None, steps: int) -> Table:
    """What is felt of a source, ``float32[rows, 2 * extent - 1]``, by row and by ``distance + extent - 1``.

    The distance in cells is divided by ``max(extent - 1, 1)``, rounded to the bins of the row and multiplied by its
    gain.  There is one row a step where the gradient develops, else one.
    """
    grown = development or Development()
    ramps = grown.gradient_gain, grown.gradient_bins
    rows = steps if any(ramps) else 1
    gain = (grown.gradient_gain or Ramp(1.0, 1.0)).values(rows)[:, None]
    bins = (grown.gradient_bins or Ramp(0.0, 0.0)).values(rows)[:, None]
    share = np.arange(1 - extent, extent) / max(extent - 1, 1)
    binned = np.round(share * bins) / np.where(bins > 0, bins, 1.0)
    return (np.where(bins > 0, binned, share) * gain + 0.0).astype(np.float32)


@lru_cache(maxsize=8)
def noise_table(sigma: float) -> Table:
    """Normal noise ``float32[4096]``: the quantiles ``(i + 1/2) / 4096`` times ``sigma``."""
    count = 1 << NOISE_BITS
    normal = NormalDist()
    return np.array([sigma * normal.inv_cdf((i + 0.5) / count) for i in range(count)], np.float32)


@lru_cache(maxsize=64)
def harmful_sets(num_sources: int, num_harmful: int) -> tuple[int, ...]:
    """Every subset of ``num_harmful`` of the sources, as bit masks: a draw picks one."""
    chosen = combinations(range(num_sources), num_harmful)
    return tuple(sum(1 << k for k in subset) for subset in chosen)


class Growth(NamedTuple):
    """What develops, by row: a row a step, or one row for an organism that does not grow.

    Attributes:
        energy_gain, hydration_gain: units that a good source gives, ``int32[rows]``.
        harm: units that a harmful one takes, ``int32[worlds, rows]``, a line for each harm of the family.
        zone_drain, storm_drain: units a step, ``int32[rows]``.
        motor: threshold of carrying out a move, ``uint32[rows]``.
    """

    energy_gain: Units
    hydration_gain: Units
    harm: Units
    zone_drain: Units
    storm_drain: Units
    motor: npt.NDArray[np.uint32]


@lru_cache(maxsize=64)
def growth(params: Params) -> Growth:
    """The tables of a world."""
    grown = params.development or Development()
    rows = params.steps if params.development else 1

    def factor(ramp: Ramp | None) -> npt.NDArray[np.float64]:
        return (ramp or Ramp(1.0, 1.0)).values(rows)

    def scaled(value: float, ramp: Ramp | None) -> Units:
        return np.rint(units(value) * factor(ramp)).astype(np.int32)

    harms = FAMILY["harm"] if params.family else (params.harm,)
    return Growth(
        scaled(params.energy_gain, grown.resources),
        scaled(params.hydration_gain, grown.resources),
        np.stack([scaled(harm, grown.hazards) for harm in harms]),
        scaled(params.zone_drain, grown.hazards),
        scaled(params.storm_drain, grown.hazards),
        np.array([chance(p) for p in factor(grown.motor)], np.uint32),
    )


@lru_cache(maxsize=64)
def wall_columns(params: Params) -> Units:
    """Columns where each wall may stand, ``int32[walls, choices]``.

    Each wall has a stripe of its own, whose last column stays free, so that no two stand side by side; nor does any
    on the border or where the organism starts.
    """
    stripe, (start, _) = (params.width - 2) // params.walls, params.start
    columns = 1 + stripe * np.arange(params.walls)[:, None] + np.arange(stripe - 1)
    beside = np.where(columns[:, :1] < start, start - 1, start + 1)
    return np.where(columns == start, beside, columns).astype(np.int32)


@lru_cache(maxsize=64)
def harmful_choices(params: Params) -> tuple[Units, Units, Units]:
    """Sets of harmful sources, as bit masks: all of them, where those of each world begin, and how many it has."""
    numbers = FAMILY["num_harmful"] if params.family else (params.num_harmful,)
    sets = [harmful_sets(params.total_sources, int(n)) for n in numbers]
    sizes = np.array([len(masks) for masks in sets], np.int32)
    first = (np.cumsum(sizes) - sizes).astype(np.int32)
    return np.array([mask for masks in sets for mask in masks], np.int32), first, sizes


def storm_thresholds(params: Params) -> tuple[int, int]:
    """Thresholds of a word's upper 31 bits: a false cue below the first, an unannounced storm below the second."""
    false = params.false_cue_probability
    return chance(false), chance(false + (1 - false) * (1 - params.cue_probability))


@lru_cache(maxsize=1)
def family_values() -> list[Units]:
    """The choices of the family of worlds as integers: number, probability in 1/1000, steps, units of integrity."""
    scales = {"gradient_dropout": 1000, "harm": UNIT}
    rows = {name: np.array(values) * scales.get(name, 1) for name, values in FAMILY.items()}
    return [np.rint(row).astype(np.int32) for row in rows.values()]
