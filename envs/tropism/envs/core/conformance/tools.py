"""Checks with Gymnasium's own tools: what they expect of an environment beyond its interface.

One tool is left out: ``RecordVideo`` needs MoviePy, which brings FFmpeg along; the frames it would write are those
that ``rendering`` checks.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import pprint_registry
from gymnasium.utils.env_match import check_environments_match
from gymnasium.utils.performance import (
    benchmark_init,
    benchmark_render,
    benchmark_step,
    benchmark_vector_step,
)
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

from tropism.envs.core.conformance.case import STEPS, Case, require_same

LANES = 2
LIMIT = 5
ROUNDS = 14
"""Steps of a vector: two auto-resets a lane and some."""
INSTANT: Any = 0.005
"""Seconds each of Gymnasium's benchmarks runs; they take fractions, though typed as whole numbers."""


def registry_listing(case: Case) -> None:
    """``gymnasium.pprint_registry`` lists the id."""
    if case.env_id not in (pprint_registry(disable_print=True) or "").split():
        raise AssertionError("gymnasium.pprint_registry() does not list it")


def environments_match(case: Case) -> None:
    """``check_environments_match`` finds two instances alike: spaces, returned values, text frames."""
    text = {"render_mode": "ansi"} if "ansi" in case.make().metadata["render_modes"] else {}
    check_environments_match(case.make(**text), case.make(**text), STEPS, seed=3)


def benchmarks(case: Case) -> None:
    """``gymnasium.utils.performance`` can measure it: construction, steps, frames and the vector environment."""
    env = case.make()
    rates = [benchmark_step(env, INSTANT, seed=0), benchmark_init(case.make, INSTANT)]
    if "rgb_array" in env.metadata["render_modes"]:
        drawn = case.make(render_mode="rgb_array")
        drawn.reset(seed=0)
        rates.append(benchmark_render(drawn, INSTANT))
    if case.spec.vector_entry_point is not None:
        vectors = [case.make_vec(LANES, mode, LIMIT) for mode in AutoresetMode]
        rates += [benchmark_vector_step(vector, INSTANT, seed=0) for vector in vectors]
    if not min(rates) > 0:
        raise AssertionError(f"gymnasium.utils.performance measured rates of {rates} a second")


def async_parity(case: Case) -> None:
    """Lanes in processes of their own (``AsyncVectorEnv``) return what lanes in this process return.

    On Linux, where a process can be forked: elsewhere a new process runs the caller's main module again, which a
    check must not ask of a script.  The children run the NumPy face only, so threads of JAX do not matter.
    """
    if sys.platform != "linux":
        return
    lane = [lambda: case.make(max_episode_steps=LIMIT)] * LANES
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"[\s\S]*fork\(\)")
        apart = AsyncVectorEnv(lane, context="fork")
    try:
        together = case.make_sync(LANES, AutoresetMode.NEXT_STEP, LIMIT)
        require_same(apart.reset(seed=6), together.reset(seed=6), "AsyncVectorEnv: reset")
        apart.action_space.seed(0)
        for step in range(ROUNDS):
            actions = apart.action_space.sample()
            outcome, expected = apart.step(actions), together.step(actions)
            require_same(outcome, expected, f"AsyncVectorEnv: step {step}")
    finally:
        apart.close(terminate=True)


def array_conversion(case: Case) -> None:
    """Gymnasium's two ``NumpyToTorch`` wrappers change the kind of arrays and not the numbers.

    They are tried where array-api-compat and torch are installed.  ``JaxToNumpy`` is not: it is made for
    environments that take JAX arrays as actions.
    """
    if find_spec("array_api_compat") is not None and find_spec("torch") is not None:
        import torch

        wrapped = gymnasium.wrappers.NumpyToTorch(case.make(max_episode_steps=LIMIT))
        _require_same_numbers(wrapped, case.make(max_episode_steps=LIMIT), torch.as_tensor)
        if case.spec.vector_entry_point is not None:
            first, second = (case.make_vec(LANES, AutoresetMode.NEXT_STEP, LIMIT) for _ in range(2))
            to_torch = gymnasium.wrappers.vector.NumpyToTorch(first)
            _require_same_numbers(to_torch, second, torch.as_tensor)


def _require_same_numbers(wrapped: Any, plain: Any, convert: Callable[[Any], Any]) -> None:
    plain.action_space.seed(0)
    wrapped.reset(seed=0)
    plain.reset(seed=0)
    for step in range(LIMIT):  # up to the end of the episode
        action = plain.action_space.sample()
        found, expected = wrapped.step(convert(np.asarray(action))), plain.step(action)
        name = f"{type(wrapped).__name__}: step {step}"
        require_same(_arrays(found[:4]), _arrays(expected[:4]), name)
        if np.any(expected[2]):
            return


def _arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _arrays(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_arrays(part) for part in value)
    return np.asarray(value)


TOOLS: dict[str, Callable[[Case], None]] = {
    check.__name__: check
    for check in (registry_listing, environments_match, benchmarks, async_parity, array_conversion)
}
