"""The oracle of a level: exact where sources stand still, elsewhere a planner.

All of them read the labels in ``info``, and so know what the organism has to find out.
"""

from __future__ import annotations

from tropism.envs.chemotaxis.oracle_exact import ExactOracle
from tropism.envs.chemotaxis.oracle_needs import NeedsPlanner
from tropism.envs.chemotaxis.oracle_planner import Planner, SeasonPlanner
from tropism.envs.chemotaxis.oracle_storms import StormPlanner
from tropism.envs.chemotaxis.params import Params, units
from tropism.envs.core.baselines import Baseline


def is_exact(params: Params) -> bool:
    """Whether the oracle plays the best life there is: sources stand still, and energy lasts until the last step."""
    lasts = params.energy_decay_units * (params.steps - 1) < units(params.energy_init)
    return stands_still(params) and lasts


def stands_still(params: Params) -> bool:
    """Whether nothing but the organism ever moves."""
    return params.plain and not params.deplete


def make_oracle(params: Params, num_lanes: int) -> Baseline:
    """The oracle of ``params`` for ``num_lanes`` lanes."""
    if stands_still(params):
        return ExactOracle(params, num_lanes)
    if params.thirsty:
        return NeedsPlanner(params, num_lanes)
    if params.storms:
        return StormPlanner(params, num_lanes)
    return (SeasonPlanner if params.switch else Planner)(params, num_lanes)
