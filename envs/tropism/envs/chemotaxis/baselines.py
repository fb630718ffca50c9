"""The reference players of Chemotaxis, from chance to an oracle.

============= ================================================================================================
``random``    uniform over the five actions
``stay``      never moves
``greedy``    memoryless: follows what it senses; also called ``heuristic``
``probe``     remembers what did harm and camps at what did good; where food may do harm
``oracle``    is told the layout and the hidden state (privileged): exact where sources stand still (L0), elsewhere
              a planner, whose score is a lower bound of the best
============= ================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tropism.envs.chemotaxis.baselines_probe import Probe
from tropism.envs.chemotaxis.baselines_reactive import Greedy, Stay
from tropism.envs.chemotaxis.observation import action_space
from tropism.envs.chemotaxis.oracle import make_oracle
from tropism.envs.chemotaxis.params import Params
from tropism.envs.core.baselines import Baseline
from tropism.envs.core.uniform import UniformBaseline
from tropism.errors import OptionError, UnknownNameError


def _random(params: Params, num_lanes: int) -> Baseline:
    return UniformBaseline(num_lanes, action_space(params))


BASELINES: Mapping[str, Callable[[Params, int], Baseline]] = {
    "random": _random,
    "stay": Stay,
    "greedy": Greedy,
    "heuristic": Greedy,
    "probe": Probe,
    "oracle": make_oracle,
}
"""Name to maker ``(params, num_lanes) -> Baseline``."""


def baseline_names(params: Params) -> tuple[str, ...]:
    """Baselines that can play ``params``: all, but ``probe`` only where food may do harm."""
    harm = params.kinds == ("food",) and (params.num_harmful or params.family)
    return tuple(name for name in BASELINES if name != "probe" or harm)


def make_baseline(name: str, params: Params, num_lanes: int) -> Baseline:
    """The baseline ``name`` of ``params`` for ``num_lanes`` lanes.

    Raises:
        UnknownNameError: if there is no such baseline; the nearest names are suggested.
        OptionError: for ``probe`` where no food does harm.
    """
    if name not in BASELINES:
        raise UnknownNameError("Chemotaxis baseline", name, BASELINES)
    if name not in baseline_names(params):
        raise OptionError(
            f"baseline {name!r} needs food that may do harm (num_harmful >= 1, one kind of sources), "
            f"got num_harmful={params.num_harmful} and kinds={params.kinds} on {params.level}"
        )
    return BASELINES[name](params, num_lanes)
