"""Which stream of random words serves which purpose (:mod:`tropism.envs.core.random`).

Counters: ``k`` (source) for what is drawn once an episode, ``t * K + k`` for what is drawn for each of ``K``
sources in a step, ``t`` for what is drawn once a step, ``t * n + c`` for each of ``n`` channels.
"""

from __future__ import annotations

POSITION = 1
"""Where source ``k`` is at the beginning."""
HARMFUL = 2
"""Which sources do harm."""
RESPAWN = 3
"""Where a source appears again."""
DEPLETE = 4
"""Whether a harmful source that was visited goes away."""
DROPOUT = 5
"""Whether the gradient is missing from an observation."""
NOISE = 6
"""Noise of each channel."""
MOTOR = 7
"""Whether a young organism carries out its move."""
WALL = 8
"""In which column wall ``i`` stands."""
GAP = 9
"""In which row its gap is."""
ZONE = 10
"""Where zone ``i`` is."""
SHELTER = 11
"""Where the shelter is."""
STORM_GAP = 12
"""Steps until cue ``n``."""
STORM_KIND = 13
"""Whether storm ``n`` comes, and whether it is announced."""
SWITCH_SIDE = 14
"""Which season or goal comes first."""
SWITCH_TIME = 15
"""Steps until change ``n``."""
QUADRANT = 16
"""Where all sources are for some episodes."""
FAMILY_DRAW = 17
"""Which world of the family an episode is, property ``i``."""
BIRTHPLACE = 18
"""Where organism ``i`` of several begins."""
TURN = 19
"""Whose turn comes first among several, ``t * n + i``."""
OTHER_NOISE = 20
"""Noise of what is sensed of another organism."""


def chance(p: float) -> int:
    """The threshold of a random event: it happens with probability ``p`` where ``word >> 1`` is less.

    31 bits, so that ``p = 1`` is a 32-bit word too.
    """
    return int(p * 2**31)
