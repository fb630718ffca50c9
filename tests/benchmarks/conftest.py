"""Hand-made episodes for the tests of metrics and boards."""

from __future__ import annotations

import numpy as np
import pytest


def make_episode(right, switches=(), *, seed=10_000, rule=None, stale=None, compute=None, **more):
    """An episode whose target is 7, answered rightly where ``right`` is 1 and with 3 where it is 0."""
    from tropism.agents.evaluate import Episode

    right = np.array(right)
    n = len(right)
    switched = np.zeros(n, bool)
    switched[list(switches)] = True
    labels = {
        "target": np.full(n, 7),
        "switched": switched,
        "rule": np.cumsum(switched) if rule is None else np.array(rule),
        "stale_target": np.full(n, -1) if stale is None else np.array(stale),
        **more.pop("labels", {}),
    }
    fields = {
        "reward": right.astype(np.float64),
        "action": np.where(right, 7, 3),
        "compute": np.ones(n, np.int64) if compute is None else np.array(compute),
        "gated": None,
        "target_log_prob": None,
        "action_log_prob": None,
        "terminated": False,
        "lanes": 1,
        "wall_us": 1.0,
        "action_hash": "",
    }
    return Episode(seed=seed, labels=labels, **{**fields, **more})


@pytest.fixture(scope="session")
def episode():
    return make_episode
