"""The players that fix the scale of a task: random is 0, and the ideal observer (else the oracle) is 1."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tropism.agents.plugins import default_host

if TYPE_CHECKING:
    from tropism.agents.contract import Task
    from tropism.agents.episodes import Episode

BEST = ("ideal", "oracle")
"""Who stands for the best possible play, the first that the task supports."""


def scale(players: Mapping[str, Sequence[Episode]]) -> dict[str, Sequence[Episode]]:
    """The references among recorded players, as the metrics call them: ``random`` and ``ideal``."""
    best = next((players[name] for name in BEST if name in players), None)
    found = {"random": players.get("random"), "ideal": best}
    return {name: episodes for name, episodes in found.items() if episodes is not None}


def play_references(task: Task, seeds: Sequence[int]) -> dict[str, Sequence[Episode]]:
    """Play the references that ``task`` supports on ``seeds``."""
    from tropism.agents.contract import Budget
    from tropism.agents.evaluate import evaluate
    from tropism.agents.runs import Run

    players: dict[str, Sequence[Episode]] = {}
    for name in ("random", *BEST):
        agent = default_host().make_agent(name)
        if agent.supports(task) is not None or scale(players).keys() == {"random", "ideal"}:
            continue
        with tempfile.TemporaryDirectory() as scratch, Run(scratch, {"agent": name}) as run:
            policy = agent.train(task, Budget(), run)
        players[name] = evaluate(policy, task, seeds, privileged=agent.privileged)
    return scale(players)
