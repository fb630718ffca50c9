"""Distance fields: what it costs to reach the nearest of some cells from every cell of a grid, for many lanes.

Arrays have the lanes last, ``[H, W, B]``, so that a row or column of all lanes is one operation.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.observation import MOVES

FAR = 1.0e6
"""Cost of what cannot be reached, or must not."""
Field = npt.NDArray[np.float64]


def distances(targets: npt.NDArray[np.bool_], entry: Field) -> Field:
    """Cost of the cheapest path from each cell to a cell of ``targets``, ``float64[H, W, B]``; ``FAR`` if none.

    Sweeps left, right, up and down carry costs along whole lines until nothing changes (fast sweeping: H. Zhao,
    "A fast sweeping method for Eikonal equations", Mathematics of Computation 74, 2005).

    Args:
        targets: cells to reach, ``bool[H, W, B]``.
        entry: cost of moving onto a cell, at least 1 (a step), ``[H, W, B]``.
    """
    field = np.where(targets, 0.0, FAR)
    while True:
        before = field.copy()
        _sweep(field, entry)
        _sweep(field.transpose(1, 0, 2), entry.transpose(1, 0, 2))
        if np.array_equal(field, before):
            return np.minimum(field, FAR)


def _sweep(field: Field, entry: Field) -> None:
    """Carry costs up and down the first axis, in place."""
    last = len(field) - 1
    for i in range(last, 0, -1):
        np.minimum(field[i - 1], field[i] + entry[i], out=field[i - 1])
    for i in range(last):
        np.minimum(field[i + 1], field[i] + entry[i], out=field[i + 1])


def cost_of_moves(
    field: Field, entry: Field, x: npt.NDArray[np.integer], y: npt.NDArray[np.integer]
) -> Field:
    """Cost of reaching a target by way of each action, ``float64[5, B]``; staying and pushing the border: ``FAR``."""
    height, width, lanes = field.shape
    costs = np.full((len(MOVES), lanes), FAR)
    every = np.arange(lanes)
    for action, (dx, dy) in enumerate(MOVES):
        u, v = np.clip(x + dx, 0, width - 1), np.clip(y + dy, 0, height - 1)
        through = field[v, u, every] + entry[v, u, every]
        costs[action] = np.where((u != x) | (v != y), through, FAR)
    return np.minimum(costs, FAR)
