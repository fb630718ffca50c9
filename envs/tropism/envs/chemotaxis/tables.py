"""Look-up tables that the reference and the kernel share, made once in NumPy.

Every float an agent sees comes out of one of them: XLA turns a division by a constant into a multiplication and
fuses ``a * b + c``, so arithmetic on floats would not give every face the same bits.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.development import Development, Ramp
from tropism.envs.chemotaxis.params import UNIT

Table = npt.NDArray[np.float32]

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
