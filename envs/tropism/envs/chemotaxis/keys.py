"""Which keys mean which actions."""

from __future__ import annotations

from tropism.envs.chemotaxis.observation import DOWN, LEFT, RIGHT, STAY, UP

_ARROW = 1 << 30
KEYS_TO_ACTION: dict[tuple[int, ...], int] = {
    (ord(" "),): STAY,
    (_ARROW | 82,): UP,
    (_ARROW | 81,): DOWN,
    (_ARROW | 80,): LEFT,
    (_ARROW | 79,): RIGHT,
}
"""Key codes of pygame (``K_UP`` and so on, SDL's scan codes with bit 30 set), without importing it."""

TYPED: dict[str, int] = {
    " ": STAY,
    ".": STAY,
    "\x1b[A": UP,
    "\x1b[B": DOWN,
    "\x1b[D": LEFT,
    "\x1b[C": RIGHT,
    "\x1bOA": UP,
    "\x1bOB": DOWN,
    "\x1bOD": LEFT,
    "\x1bOC": RIGHT,
    "w": UP,
    "s": DOWN,
    "a": LEFT,
    "d": RIGHT,
}
"""What a terminal sends: arrows in both of its modes, or letters, which can be typed as lines too."""
