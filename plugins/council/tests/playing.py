"""Episodes played by a policy, decision by decision."""

from __future__ import annotations

import numpy as np
from gymnasium.vector import AutoresetMode

LANES, STEPS = 4, 25


def play(policy, task, gates=None, steps=STEPS, lanes=LANES, seed=10_000):
    """The decisions of an episode, what was shown before each, and after the last."""
    env = task.make_vec(lanes, autoreset_mode=AutoresetMode.DISABLED)
    observation, info = env.reset(seed=seed)
    policy.reset(np.ones(lanes, np.bool_), np.arange(lanes, dtype=np.uint64))
    decisions, shown = [], [observation]
    for t in range(steps):
        decisions.append(policy.act(observation, info, None if gates is None else gates[:, t]))
        observation, *_, info = env.step(decisions[-1].action)
        shown.append(observation)
    env.close()
    return decisions, shown


def random_gates(share=0.3, seed=0):
    return np.random.default_rng(seed).random((LANES, STEPS)) < share


def over_time(decisions, name):
    return np.stack([decision.diagnostics[name] for decision in decisions], 1)


def heard(monkeypatch, thing, name):
    """What a method returns, and is given first, call by call."""
    calls, method = [], getattr(thing, name)

    def go(*args):
        found = method(*args)
        calls.append((args[0], found))
        return found

    monkeypatch.setattr(thing, name, go)
    return calls
