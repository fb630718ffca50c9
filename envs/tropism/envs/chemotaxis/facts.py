"""What ``info`` tells of an organism: its labels."""

from __future__ import annotations

from typing import Any

from tropism.envs.chemotaxis.observation import LABELS
from tropism.envs.chemotaxis.params import POINT
from tropism.envs.chemotaxis.reference import Reference


def facts(world: Reference) -> dict[str, Any]:
    """The labels of :func:`~tropism.envs.chemotaxis.observation.labels` by name, fresh."""
    if world.told is None:
        world.told = _seldom(world)
    found = world.told.copy()
    found["x"], found["y"] = world.place[world.cell]
    found["energy_units"] = world.energy
    found["t_alive"] = world.t
    found["drive"] = world.drive()
    found["event"] = world.event
    found["fitness"] = world.score / POINT
    found["sources"] = world.sources()
    if world.passing:
        world.tell_passing(found)
    for name, copies in world.still:
        found[name] = next(copies)
    return found


def _seldom(world: Reference) -> dict[str, Any]:
    """All labels of every level in their order, those set that change in few steps."""
    return dict.fromkeys(LABELS) | {
        "integrity_units": world.integrity,
        "energy_gained": world.energy_gained,
        "good_arrivals": world.good_arrivals,
        "bad_arrivals": world.bad_arrivals,
        "reached": world.reached,
        "integrity_lost": world.integrity_lost,
        "integrity_min": world.integrity_min,
    }
