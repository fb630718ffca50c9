"""Where things stand in one episode of a reference world: walls, zones, shelter, quadrant, and which world it is."""

from __future__ import annotations

from tropism.envs.chemotaxis.params import FAMILY, Params
from tropism.envs.chemotaxis.streams import FAMILY_DRAW, GAP, QUADRANT, SHELTER, WALL, ZONE
from tropism.envs.core.random import Key, below, bits, episode_key

Corner = tuple[int, int]
OUTSIDE = -1
"""What stands for every cell beyond the border."""


def draw_walls(key: Key, params: Params, choices: list[list[int]]) -> list[tuple[int, int]]:
    """``(column, row of the gap)`` of each wall; ``choices`` are the columns where each may stand."""
    return [
        (
            columns[below(bits(key, i, WALL), len(columns))],
            below(bits(key, i, GAP), params.height),
        )
        for i, columns in enumerate(choices)
    ]


def walled(walls: list[tuple[int, int]], params: Params) -> set[int]:
    """Where nobody can go: cells inside walls, and :data:`OUTSIDE`."""
    width = params.width
    columns = [range(x, width * params.height, width) for x, _ in walls]
    return {OUTSIDE}.union(*columns).difference([gap * width + x for x, gap in walls])


def draw_zones(key: Key, params: Params) -> list[Corner]:
    """Upper left corner of each zone."""
    words = [bits(key, i, ZONE) for i in range(params.zones)]
    return [_corner(word, params, params.zone_size) for word in words]


def inside(zones: list[Corner], params: Params) -> set[int]:
    """Cells inside zones."""
    width, (wide, high) = params.width, params.zone_size
    rows = [
        range(y * width + left, y * width + left + wide)
        for left, top in zones
        for y in range(top, top + high)
    ]
    return set().union(*rows)


def draw_shelter(key: Key, params: Params) -> Corner:
    """Upper left corner of the shelter."""
    return _corner(bits(key, 0, SHELTER), params, params.shelter_size)


def _corner(word: int, params: Params, size: tuple[int, int]) -> Corner:
    """Where a rectangle of ``size`` is, uniformly inside the grid."""
    wide, high = params.width - size[0] + 1, params.height - size[1] + 1
    y, x = divmod(below(word, wide * high), wide)
    return x, y


def draw_quadrant(key: Key, episode: int, params: Params) -> int:
    """Quadrant of the sources, 0 to 3, of the lane with ``key``: it lasts for ``layout_period`` episodes."""
    return below(bits(episode_key(key, episode // params.layout_period), 0, QUADRANT), 4)


def draw_family(key: Key) -> tuple[int, ...]:
    """Number of the choice for each property of the family of worlds."""
    choices = enumerate(FAMILY.values())
    return tuple(below(bits(key, i, FAMILY_DRAW), len(values)) for i, values in choices)
