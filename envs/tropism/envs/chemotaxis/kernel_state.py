"""The state of a batch of Chemotaxis worlds."""

from __future__ import annotations

from typing import Any, NamedTuple


class State(NamedTuple):
    """Everything about a batch; int32 unless said, shapes follow the batch shape ``...``; energies in units.

    ``K`` is the number of sources.  What a level does not use is of length 0 and costs nothing.
    """

    key: Any  # uint32[..., 2] of the lane
    episode: Any
    draw: Any  # uint32[..., 2], key of the episode
    t: Any  # steps lived
    x: Any
    y: Any
    energy: Any
    integrity: Any
    integrity_min: Any
    source_x: Any  # [..., K]
    source_y: Any  # [..., K]
    harmful: Any  # bool[..., K]
    active: Any  # bool[..., K]
    timer: Any  # [..., K], steps until an inactive source appears again
    good_arrivals: Any
    bad_arrivals: Any
    reached: Any  # bool, ever
    energy_gained: Any  # total
    integrity_lost: Any  # total
    event: Any  # gained minus lost in the last step
    score: Any  # points, total
    points: Any  # of the last step
