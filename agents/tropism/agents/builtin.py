"""The built-in plugin: baselines register through the same hooks as everyone else's agents."""

from __future__ import annotations

from collections.abc import Callable

from tropism.agents.hookspecs import hookimpl

_HOME = "tropism.agents.baselines"


@hookimpl
def tropism_register_agents(register: Callable[..., None]) -> None:
    """Register the baselines that environments bring along, ``random`` and the two-mode reference agent."""
    register("random", f"{_HOME}:RandomAgent", "uniform over the action space; runs on every task")
    register("heuristic", f"{_HOME}:HeuristicAgent", "the environment's own rule of thumb")
    register("stay", f"{_HOME}:StayAgent", "never moves: what mere survival is worth")
    register("probe", f"{_HOME}:ProbeAgent", "tries each place once, remembers which did harm")
    register("table", f"{_HOME}:TableAgent", "successor table that never forgets")
    register("cusum", f"{_HOME}:CusumAgent", "successor table, wiped when CUSUM detects a change")
    register(
        "last-difference", f"{_HOME}:LastDifferenceAgent", "repeats the last difference of tokens"
    )
    register("map", f"{_HOME}:MapAgent", "exact filter that commits to its most probable rule")
    register("ideal", f"{_HOME}:IdealAgent", "the exact Bayesian observer: the yardstick")
    register("oracle", f"{_HOME}:OracleAgent", "is told the rule; privileged, never ranked")
    register(
        "two-mode",
        "tropism.agents.two_mode:TwoModeAgent",
        "table, and the exact filter when surprised",
    )
