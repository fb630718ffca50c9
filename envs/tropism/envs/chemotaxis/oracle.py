"""The oracle of a level: exact where sources stand still, elsewhere a planner.

Both read the labels in ``info``, and so know what the organism has to find out.
"""

from __future__ import annotations

from tropism.envs.chemotaxis.oracle_exact import ExactOracle
from tropism.envs.chemotaxis.oracle_planner import Planner
from tropism.envs.chemotaxis.params import Params
from tropism.envs.core.baselines import Baseline


def is_exact(params: Params) -> bool:
    """Whether the oracle of ``params`` plays the best life there is (see :class:`ExactOracle` for the small print)."""
    return not params.deplete


def make_oracle(params: Params, num_lanes: int) -> Baseline:
    """The oracle of ``params`` for ``num_lanes`` lanes."""
    return (ExactOracle if is_exact(params) else Planner)(params, num_lanes)
