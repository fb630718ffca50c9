"""What ``info`` tells of an organism: its labels."""

from __future__ import annotations

from typing import Any

from tropism.envs.chemotaxis.params import POINT
from tropism.envs.chemotaxis.reference import Reference


def facts(world: Reference) -> dict[str, Any]:
    """The labels of :func:`~tropism.envs.chemotaxis.observation.labels` by name, fresh."""
    x, y = world.place[world.cell]
    found = {
        "x": x,
        "y": y,
        "energy_units": world.energy,
        "integrity_units": world.integrity,
        "t_alive": world.t,
        "energy_gained": world.energy_gained,
        "good_arrivals": world.good_arrivals,
        "bad_arrivals": world.bad_arrivals,
        "reached": world.reached,
        "integrity_lost": world.integrity_lost,
        "integrity_min": world.integrity_min,
        "drive": world.drive(),
        "event": world.event,
        "fitness": world.score / POINT,
        "sources": world.sources(),
    }
    if world.mechanisms:
        found.update(world.more_labels())
    return found
