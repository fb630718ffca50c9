"""Experts that move at play towards what they are chosen for, of each lane its own: online k-means on the torus."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tropism.agents.contract import BoolArray
from tropism_moe.config import BLOCK
from tropism_moe.lattice import Indices, fold
from tropism_moe.serving import Served
from tropism_moe.serving_layers import Floats


class Folding:
    """Positions of ``B`` lanes.  Nothing says whether a move is good; the experts follow the latents.

    Args:
        served: the model.
        rate: part of the way that an expert goes, in [0, 1].
        lanes: ``B``.

    Attributes:
        positions: ``float64[blocks, 3, B, E, 3]``, of three layers a block.
    """

    def __init__(self, served: Served, rate: float, lanes: int) -> None:
        self._served, self._rate = served, rate
        self._start = np.stack([block.tables.positions for block in served.blocks])[:, :, None]
        self.positions = self._start.repeat(lanes, 2)

    @property
    def size(self) -> int:
        """Coordinates of a lane."""
        return self._start.size

    def reset(self, mask: BoolArray) -> None:
        """Episodes begin in the lanes of ``mask``."""
        self.positions[:, :, mask] = self._start

    def choose(self, z: Floats, positions: Floats, layers: Sequence[int]) -> Indices:  # noqa: ARG002  each lane has its own
        """The nearest experts, which are drawn to what chose them."""
        block, first = divmod(layers[0], BLOCK)
        mine = self.positions[block, first : first + len(layers)]  # [L, B, E, 3]
        found = self._served.nearest(z, mine.swapaxes(0, 1), layers)
        begins = np.arange(found.size).reshape(found.T.shape) * mine.shape[-2]
        fold(mine.reshape(-1, 3), z.swapaxes(0, 1), begins + found.T, self._rate)
        return found
