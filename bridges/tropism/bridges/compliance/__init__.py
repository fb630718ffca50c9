"""Does a game speak the bridge protocol?  More than ninety checks that play the agent, honestly and not.

    with_game = Launched(["./my-game"])
    for result in run_checks(with_game):
        print(result.outcome, result.name, result.expected, result.got)

On the command line: `tropism bridge check -- ./my-game`.
"""

from tropism.bridges.compliance.registry import Check, Fail, Result, Skip
from tropism.bridges.compliance.runner import all_checks, run_checks, select
from tropism.bridges.compliance.target import Dialled, Launched, Target

__all__ = [
    "Check",
    "Dialled",
    "Fail",
    "Launched",
    "Result",
    "Skip",
    "Target",
    "all_checks",
    "run_checks",
    "select",
]
