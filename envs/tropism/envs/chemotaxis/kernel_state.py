"""The state of a batch of Chemotaxis worlds."""

from __future__ import annotations

from typing import Any, NamedTuple


class State(NamedTuple):
    """Everything about a batch; int32 unless said, shapes follow the batch shape ``...``; energies in units.

    ``K`` is the number of sources, ``W`` of walls, ``Z`` of zones.  What a level does not use has length 0 along an
    additional last axis, and costs nothing.
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
    harmful: Any  # bool[..., K], by nature
    active: Any  # bool[..., K]
    timer: Any  # [..., K], steps until an inactive source appears again
    good_arrivals: Any
    bad_arrivals: Any
    reached: Any  # bool, ever
    energy_gained: Any  # total, of all needs
    integrity_lost: Any  # total
    event: Any  # gained minus lost in the last step
    score: Any  # points, total
    points: Any  # of the last step
    hydration: Any  # where it is a need
    wall_x: Any  # [..., W]
    wall_gap: Any  # [..., W], row
    zone_x: Any  # [..., Z], left column
    zone_y: Any  # [..., Z], upper row
    shelter: Any  # [..., 2], left column and upper row
    quadrant: Any  # [..., 1]
    family: Any  # [..., 4], number of the choice
    side: Any  # season or goal
    switch_at: Any  # step at which it changes
    switch_number: Any
    storm_at: Any  # step at which the cue of this cycle begins
    storm_kind: Any  # announced, false cue, silent
    storm_number: Any
    paid: Any  # units gained that were paid for, total
    payoff: Any  # points of gain of the last step
