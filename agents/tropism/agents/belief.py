"""What the ideal observer believed during recorded episodes: worked out afterwards, off the hot path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tropism.agents.contract import Task
from tropism.agents.episodes import Episode
from tropism.errors import OptionError

RECORDED = ("ideal_log_prob", "belief_kl", "rule_target")
"""Measures added to an episode's labels, ``[T]``: the ideal observer's log-probability of the target and what
the last observation told it about the rule (both in nats), and what the rule itself answers, noise left out."""


def add_belief(episodes: Sequence[Episode], task: Task) -> list[Episode]:
    """The episodes with the ideal observer's belief among their labels.

    Environments offer it through ``replay_belief(seeds, actions)``; episodes of others, and of tasks whose exact
    belief is not computable, come back as they are.

    Args:
        episodes: played on ``task``.
        task: where.
    """
    env = task.make()
    try:
        replay = getattr(env.unwrapped, "replay_belief", None)
        if replay is None:
            return list(episodes)
        done: list[Episode] = list(episodes)
        for length in {len(episode) for episode in episodes}:
            places = [n for n, episode in enumerate(episodes) if len(episode) == length]
            belief = replay(
                [episodes[n].seed for n in places], np.stack([episodes[n].action for n in places])
            )
            for row, n in enumerate(places):
                labels = {name: belief[name][row] for name in RECORDED}
                done[n] = replace(episodes[n], labels=episodes[n].labels | labels)
        return done
    except OptionError:  # the environment says that there is no exact belief here
        return list(episodes)
    finally:
        env.close()
