"""What an organism senses and what ``info`` tells: channels, spaces, labels."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from tropism.envs.chemotaxis.params import POINT, Params
from tropism.envs.chemotaxis.tables import gradient_table, growth, noise_table

STAY, UP, DOWN, LEFT, RIGHT = range(5)
"""The actions."""
MOVES = ((0, 0), (0, -1), (0, 1), (-1, 0), (1, 0))
"""``(dx, dy)`` of each action."""

LABELS = (
    "x",
    "y",
    "energy_units",
    "integrity_units",
    "t_alive",
    "energy_gained",
    "good_arrivals",
    "bad_arrivals",
    "reached",
    "integrity_lost",
    "integrity_min",
    "drive",
    "event",
    "fitness",
    "sources",
)
"""Keys of ``info`` on every level; :func:`labels` adds those of mechanisms."""


def labels(params: Params) -> tuple[str, ...]:
    """Keys of ``info`` that tell the hidden truth; ``HideLabels`` removes them."""
    more = {
        "hydration_units": params.thirsty,
        "walls": params.walls,
        "zones": params.zones,
        "shelter": params.storms,
        "storm_in": params.storms,
        "storm_left": params.storms,
        params.switch: params.switch,
        "switch_in": params.switch,
        "quadrant": params.layout_period,
        "family": params.family,
    }
    return (*LABELS, *(name for name, there in more.items() if there))


def channels(params: Params) -> tuple[str, ...]:
    """Names of the entries of an observation, in order: what is smelt, what is seen, what is needed."""
    around = ("up", "down", "left", "right")
    names = [*gradients(params)]
    names += [f"blocked_{side}" for side in around] * bool(params.walls)
    names += [f"zone_{side}" for side in ("here", *around)] * bool(params.zones)
    names += ["cue", "storm"] * params.storms
    names += ["payoff"] * (params.switch == "goal")
    return (*names, "energy", *(["hydration"] * params.thirsty), "integrity")


def gradients(params: Params) -> tuple[str, ...]:
    """Names of the first channels, directions that may be missing from an observation."""
    targets = (*params.kinds, *(["shelter"] * params.storms))
    return tuple(f"{target}_{axis}" for target in targets for axis in "xy")


def observation_space(params: Params) -> spaces.Box:
    """One float32 vector, a number a channel."""
    bounds = np.array([_bounds(params, name) for name in channels(params)], np.float32)
    if params.obs_noise:
        bounds += np.abs(noise_table(params.obs_noise)).max() * np.array([-1, 1], np.float32)
    return spaces.Box(bounds[:, 0], bounds[:, 1], dtype=np.float32)


def action_space(params: Params) -> spaces.Discrete:
    """Stay, or one cell up, down, left or right."""
    del params
    return spaces.Discrete(len(MOVES))


def _bounds(params: Params, channel: str) -> tuple[float, float]:
    """Least and greatest value of a channel, without noise."""
    if channel == "payoff":
        most = params.total_sources * max(
            growth(params).energy_gain.max(), growth(params).hydration_gain.max()
        )
        numerator, denominator = params.gain_points
        return 0.0, (int(most) * numerator // denominator + 1) / POINT or 1.0
    if channel not in gradients(params):
        return 0.0, 1.0
    tables = [gradient_table(n, params.development, params.steps) for n in params.size]
    most = max(float(np.abs(table).max()) for table in tables) or 1.0
    return -most, most
