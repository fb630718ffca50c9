"""What ``info`` tells of the mechanisms of a reference world beyond L1.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.tables import family_values

if TYPE_CHECKING:
    from tropism.envs.chemotaxis.reference_worlds import WorldReference


def still_facts(world: WorldReference) -> dict[str, npt.NDArray[np.int64]]:
    """Labels that hold for the whole episode."""
    params = world.params
    found: dict[str, Any] = {}
    if params.walls:
        found["walls"] = world.walls
    if params.zones:
        found["zones"] = [(*zone, *params.zone_size) for zone in world.zones]
    if params.storms:
        found["shelter"] = (*world.shelter, *params.shelter_size)
    if params.family:
        values = zip(family_values(), world.family, strict=True)
        found["family"] = [row[n] for row, n in values]
    return {name: np.array(rows, np.int64) for name, rows in found.items()}


def passing_facts(world: WorldReference) -> dict[str, Any]:
    """Labels that change from step to step, or from life to life."""
    params = world.params
    found: dict[str, Any] = {}
    if world.thirsty:
        found["hydration_units"] = world.hydration
    if params.storms:
        found["storm_in"] = world.storms.starts_in(world.t)
        found["storm_left"] = world.storms.left(world.t)
    if params.switch:
        found[params.switch] = world.switch.side
        found["switch_in"] = world.switch.at - world.t
    if params.layout_period:
        found["quadrant"] = world.quadrant
    return found
