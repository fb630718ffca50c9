"""The players that Chemotaxis brings along: chance, so far."""

from __future__ import annotations

from tropism.envs.chemotaxis.observation import action_space
from tropism.envs.chemotaxis.params import Params
from tropism.envs.core.baselines import Baseline
from tropism.envs.core.uniform import UniformBaseline
from tropism.errors import UnknownNameError


def baseline_names(params: Params) -> tuple[str, ...]:
    """The baselines of a level."""
    del params
    return ("random",)


def make_baseline(name: str, params: Params, num_lanes: int) -> Baseline:
    """The baseline ``name`` for ``num_lanes`` lanes.

    Raises:
        UnknownNameError: for a baseline the level does not have.
    """
    known = baseline_names(params)
    if name not in known:
        raise UnknownNameError(f"baseline of Chemotaxis {params.level}", name, known)
    return UniformBaseline(num_lanes, action_space(params))
