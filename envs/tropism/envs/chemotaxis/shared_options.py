"""Reset options of a shared world: those of the sources for all, those of bodies for each organism."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tropism.envs.chemotaxis.options import read_options
from tropism.envs.chemotaxis.params import Params

OWN = ("position", "energy", "hydration", "integrity")
"""Options that each organism has for itself."""
Options = dict[str, Any]


def read_shared_options(
    params: Params, given: Mapping[str, Any], organisms: int
) -> tuple[Options, list[Options]]:
    """Options of the ground, and those of each organism, as integers.

    An option of bodies has one value for all, or a leading axis with a value for each of them.

    Raises:
        UnknownNameError: for an option the level does not have.
        OptionError: for a value of the wrong type, shape or range.
    """
    # PettingZoo's own tests reset every environment with {"options": 1}, to see that the argument is there.
    given = {name: value for name, value in given.items() if name != "options"}
    shared = {name: value for name, value in given.items() if name not in OWN}
    ground = read_options(params, shared)
    own = read_options(params, {name: given[name] for name in OWN if name in given}, organisms)
    each = [{name: value[i].tolist() for name, value in own.items()} for i in range(organisms)]
    return {name: value.tolist() for name, value in ground.items()}, each
