"""Where an agent loses against the ideal observer: after switches, by clinging, by false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tropism.benchmarks.metrics.episodes import WINDOW, correct, label, paired, since_switch

if TYPE_CHECKING:
    from tropism.agents.evaluate import Episode


def regret_curve(
    episodes: Sequence[Episode], ideal: Sequence[Episode], window: int = WINDOW
) -> NDArray[np.float64]:
    """Lost accuracy by steps since the switch: R(l) = E[c_ideal - c | l steps since a switch].

    Returns:
        Shape (window + 1,), l = 0 .. window, each in [-1, 1]; NaN where no step is that far from a switch.
    """
    totals, counts = np.zeros(window + 1), np.zeros(window + 1)
    for episode, best in paired(episodes, ideal):
        since = since_switch(episode)
        kept = (since >= 0) & (since <= window)
        lost = correct(best)[kept].astype(float) - correct(episode)[kept]
        totals += np.bincount(since[kept], weights=lost, minlength=window + 1)
        counts += np.bincount(since[kept], minlength=window + 1)
    return np.divide(totals, counts, out=np.full(window + 1, np.nan), where=counts > 0)


def perseveration(episodes: Sequence[Episode]) -> float:
    """Share of answers that follow the old rule where the new one disagrees, 1 to W steps after a switch.

    P(a = stale target | 1 <= since <= W, stale target != rule target), as perseverative errors in the
    Wisconsin card sorting test.  The step of the switch itself is left out: nobody could know.  What the
    new rule answers is the label ``rule_target``, recorded beside the ideal observer's belief; without it
    the target stands for it, which noise can change.

    Returns:
        A share in [0, 1]; NaN if the rules never disagreed there.
    """
    clung, chances = 0, 0
    for episode in episodes:
        since, stale = since_switch(episode), label(episode, "stale_target")
        chance = (since >= 1) & (since <= WINDOW) & (stale >= 0)
        chance &= stale != label(
            episode, "rule_target" if "rule_target" in episode.labels else "target"
        )
        clung += int(np.sum(np.asarray(episode.action)[chance] == stale[chance]))
        chances += int(np.sum(chance))
    return clung / chances if chances else float("nan")


def false_alarms(episodes: Sequence[Episode], ideal: Sequence[Episode]) -> float:
    """Errors without cause: wrong answers on stable steps where the ideal observer is right.

    A step is stable more than W steps after a switch.  Noise that fools the ideal observer too is no
    alarm, so what is counted is knowledge that the agent threw away, or never had.

    Returns:
        False alarms per 100 stable steps, in [0, 100]; NaN without stable steps.
    """
    alarms, steps = 0, 0
    for episode, best in paired(episodes, ideal):
        stable = since_switch(episode) > WINDOW
        alarms += int(np.sum(stable & ~correct(episode) & correct(best)))
        steps += int(np.sum(stable))
    return 100.0 * alarms / steps if steps else float("nan")
