"""Checks of the functional face: the jitted JAX rollout gives the bits of the vector environment."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from tropism.envs.core.conformance.case import Case, require_same
from tropism.envs.core.random import seed_key
from tropism.envs.registration import make_functional
from tropism.errors import UnknownNameError

LANES = 3
STEPS = 60
LIMIT = 23


def functional_parity(case: Case) -> None:
    """The functional face under ``jit`` and ``vmap`` follows the lanes of the SAME_STEP vector environment.

    It applies to ids that :func:`tropism.envs.make_functional` knows.  Compared exactly: observations, rewards,
    flags, labels and last observations, auto-resets included.  JAX has 32-bit numbers by default, so its arrays are
    first widened to the dtypes of the vector environment.
    """
    if find_spec("jax") is None:
        return
    import jax

    try:
        functional, params = make_functional(case.env_id, **case.kwargs, max_episode_steps=LIMIT)
    except UnknownNameError:
        return
    step = jax.jit(jax.vmap(lambda state, action: functional.step(None, state, action, params)))
    keys = np.array([seed_key(seed) for seed in range(LANES)], np.uint32)
    observation, state = jax.jit(jax.vmap(lambda key: functional.reset(key, params)))(keys)
    vector = case.make_sync(LANES, AutoresetMode.SAME_STEP, LIMIT)
    expected, _ = vector.reset(seed=0)
    require_same(_as(observation, expected), expected, "functional reset")
    vector.action_space.seed(0)
    for t in range(STEPS):
        actions = vector.action_space.sample()
        observation, state, *rest, info = step(state, actions)
        *outcome, expected_info = vector.step(actions)
        labels = {name: expected_info[name] for name in vector.metadata.get("labels", ())}
        expected = (*outcome, labels)
        require_same(_as((observation, *rest, info), expected), expected, f"functional step {t}")
        for lane in np.flatnonzero(outcome[2] | outcome[3]):
            last = expected_info["final_obs"][lane]
            found = jax.tree.map(lambda part, lane=lane: part[lane], info["final_observation"])
            require_same(_as(found, last), last, f"functional final observation of step {t}")


def _as(value: Any, like: Any) -> Any:
    """``value`` as NumPy arrays of the dtypes of ``like``; only widening keeps the comparison exact."""
    if isinstance(like, dict):
        return {name: _as(value[name], part) for name, part in like.items()}
    if isinstance(like, tuple):
        return tuple(_as(v, part) for v, part in zip(value, like, strict=True))
    array = np.asarray(value).astype(like.dtype, casting="safe")
    return array if isinstance(like, np.ndarray) else array[()]


FUNCTIONAL: dict[str, Callable[[Case], None]] = {functional_parity.__name__: functional_parity}
