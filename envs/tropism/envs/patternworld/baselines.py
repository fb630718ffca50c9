"""The reference players of PatternWorld: from uniform guessing to the exact ideal observer.

================== ==========================================================================================
``random``          uniform over the actions (PEEK among them in ``probe`` mode)
``last-difference`` adds the last difference of tokens once more
``table``           remembers which token followed which; also called ``heuristic``
``cusum``           the same, but forgets the old regime when errors pile up
``map``             exact belief, answers by the single most probable hypothesis
``ideal``           exact belief, answers the most probable token
``oracle``          is told the rule (privileged): what noise alone leaves to lose
================== ==========================================================================================

In ``probe`` mode the table players peek whenever they have lost sight of the last token, ``map`` and ``ideal``
whenever their answer is less probable than not; in the other modes everyone just answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tropism.envs.core.baselines import Baseline
from tropism.envs.core.uniform import UniformBaseline
from tropism.envs.patternworld.baselines_belief import Ideal, MostProbable, Oracle
from tropism.envs.patternworld.baselines_table import CusumTable, LastDifference, SuccessorTable
from tropism.envs.patternworld.observation import action_space
from tropism.envs.patternworld.observer import not_computable
from tropism.envs.patternworld.params import Params
from tropism.errors import UnknownNameError


def _random(params: Params, num_lanes: int) -> Baseline:
    return UniformBaseline(num_lanes, action_space(params))


BASELINES: Mapping[str, Callable[[Params, int], Baseline]] = {
    "random": _random,
    "last-difference": LastDifference,
    "table": SuccessorTable,
    "cusum": CusumTable,
    "heuristic": SuccessorTable,
    "map": MostProbable,
    "ideal": Ideal,
    "oracle": Oracle,
}
"""Name to maker ``(params, num_lanes) -> Baseline``."""


def baseline_names(params: Params) -> tuple[str, ...]:
    """Baselines that can play ``params``: all, but ``map`` and ``ideal`` where no exact belief is computable."""
    if not_computable(params):
        return tuple(name for name in BASELINES if name not in ("map", "ideal"))
    return tuple(BASELINES)


def make_baseline(name: str, params: Params, num_lanes: int) -> Baseline:
    """The baseline ``name`` of ``params`` for ``num_lanes`` lanes.

    Raises:
        UnknownNameError: if there is no such baseline; the nearest names are suggested.
        OptionError: if it needs a belief that is not computable; the message says why.
    """
    if name not in BASELINES:
        raise UnknownNameError("PatternWorld baseline", name, BASELINES)
    return BASELINES[name](params, num_lanes)
