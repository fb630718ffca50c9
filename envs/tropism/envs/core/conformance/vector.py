"""Checks of the vector environment: the same bits as Gymnasium's ``SyncVectorEnv``, lane by lane.

They apply to ids with a ``vector_entry_point``; without one ``gymnasium.make_vec`` serves ``SyncVectorEnv`` itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import vector as vector_wrappers

from tropism.envs.core.conformance.case import Case, require_error, require_same

LANES = 4
STEPS = 300
LIMIT = 23
"""Steps until truncation: about a dozen auto-resets a lane, at other steps in each after partial resets."""


def _has_vector(case: Case) -> bool:
    return case.spec.vector_entry_point is not None


def _pair(case: Case, mode: AutoresetMode) -> tuple[Any, Any]:
    return case.make_vec(LANES, mode, LIMIT), case.make_sync(LANES, mode, LIMIT)


def _mask(*lanes: int) -> dict[str, Any]:
    mask = np.zeros(LANES, np.bool_)
    mask[list(lanes)] = True
    return {"reset_mask": mask}


def _parity(case: Case, mode: AutoresetMode) -> None:
    if not _has_vector(case):
        return
    ours, sync = _pair(case, mode)
    if ours.metadata.get("autoreset_mode") is not mode:
        raise AssertionError(
            f"metadata['autoreset_mode'] must be {mode}, got {ours.metadata.get('autoreset_mode')}"
        )
    require_same(ours.reset(seed=11), sync.reset(seed=11), f"{mode.name}: reset(seed=11)")
    ours.action_space.seed(0)
    for step in range(STEPS):
        actions = ours.action_space.sample()
        outcome, expected = ours.step(actions), sync.step(actions)
        require_same(outcome, expected, f"{mode.name}: step {step}")
        ended = outcome[2] | outcome[3]
        if step in (5, 9):  # lanes part ways: from here on they end at different steps
            ours_reset, sync_reset = (
                env.reset(options=_mask(step % LANES)) for env in (ours, sync)
            )
            require_same(ours_reset, sync_reset, f"{mode.name}: partial reset at step {step}")
        elif mode is AutoresetMode.DISABLED and ended.any():
            ours_reset, sync_reset = (
                env.reset(options={"reset_mask": ended.copy()}) for env in (ours, sync)
            )
            require_same(
                ours_reset, sync_reset, f"{mode.name}: reset of ended lanes at step {step}"
            )
    for env in (ours, sync):
        env.close()
        env.close()


def vector_parity_next_step(case: Case) -> None:
    """Parity with ``SyncVectorEnv`` in NEXT_STEP mode, auto-resets and partial resets included."""
    _parity(case, AutoresetMode.NEXT_STEP)


def vector_parity_same_step(case: Case) -> None:
    """Parity in SAME_STEP mode: ``final_obs`` and ``final_info`` with their masks too."""
    _parity(case, AutoresetMode.SAME_STEP)


def vector_parity_disabled(case: Case) -> None:
    """Parity in DISABLED mode: ended lanes are reset by mask."""
    _parity(case, AutoresetMode.DISABLED)


def vector_spaces(case: Case) -> None:
    """The spaces are those of ``SyncVectorEnv``, and what is returned lies in them."""
    if not _has_vector(case):
        return
    ours, sync = _pair(case, AutoresetMode.NEXT_STEP)
    for name in (
        "single_observation_space",
        "single_action_space",
        "observation_space",
        "action_space",
    ):
        if getattr(ours, name) != getattr(sync, name):
            raise AssertionError(f"{name} must be {getattr(sync, name)}, got {getattr(ours, name)}")
    observation, _ = ours.reset(seed=0)
    if observation not in ours.observation_space:
        raise AssertionError(
            f"reset() returned {observation!r}, which is not in {ours.observation_space}"
        )


def vector_seeding(case: Case) -> None:
    """Lists of seeds, with gaps, act lane by lane; ``np_random_seed`` names each lane's seed."""
    if not _has_vector(case):
        return
    ours, sync = _pair(case, AutoresetMode.DISABLED)
    for seeds in ([3, 1, 4, 1], [None, 5, None, 9], None):
        require_same(ours.reset(seed=seeds), sync.reset(seed=seeds), f"reset(seed={seeds})")
    require_same(ours.np_random_seed, sync.np_random_seed, "np_random_seed")
    one, other = (env.reset(seed=[7] * LANES, options=_mask(2)) for env in (ours, sync))
    require_same(one, other, "reset(seed=[7, 7, 7, 7]) of one lane")
    require_error(
        lambda: ours.reset(seed=[1] * (LANES + 1)), ValueError, "a seed list of the wrong length"
    )


def vector_reset_mask(case: Case) -> None:
    """A wrong ``reset_mask`` raises ``TypeError`` or ``ValueError``, as in ``SyncVectorEnv``."""
    if not _has_vector(case):
        return
    env = case.make_vec(LANES, AutoresetMode.DISABLED, LIMIT)
    env.reset(seed=0)
    wrong = (
        ([True] * LANES, TypeError),
        (np.ones(LANES, np.int64), TypeError),
        (np.ones(LANES + 1, np.bool_), ValueError),
        (np.zeros(LANES, np.bool_), ValueError),
    )
    for mask, error in wrong:
        options = {"reset_mask": mask}
        require_error(
            lambda options=options: env.reset(options=options), error, f"reset_mask={mask!r}"
        )


def vector_typed_errors(case: Case) -> None:
    """A step too early or too late raises ``ResetNeeded``; wrong actions ``InvalidAction`` or ``ValueError``."""
    if not _has_vector(case):
        return
    env = case.make_vec(LANES, AutoresetMode.DISABLED, LIMIT)
    actions = env.action_space.sample()
    require_error(lambda: env.step(actions), ResetNeeded, "step() before reset()")
    env.reset(seed=0)
    for wrong in (actions[:-1], np.concatenate([actions, actions])):
        require_error(
            lambda wrong=wrong: env.step(wrong), (InvalidAction, ValueError), f"step({wrong!r})"
        )
    for _ in range(LIMIT):
        _, _, terminated, truncated, _ = env.step(actions)
        if (terminated | truncated).any():
            require_error(lambda: env.step(actions), ResetNeeded, "step() of an ended lane")
            return
    raise AssertionError(f"no lane ended within max_episode_steps={LIMIT}")


def vector_fresh_arrays(case: Case) -> None:
    """Every call returns new arrays: those returned before never change."""
    if not _has_vector(case):
        return
    env = case.make_vec(LANES, AutoresetMode.NEXT_STEP, LIMIT)
    env.action_space.seed(0)
    held: list[np.ndarray[Any, Any]] = []
    outcomes: list[Any] = [env.reset(seed=0)]
    outcomes += [env.step(env.action_space.sample()) for _ in range(3)]
    for outcome in outcomes:
        arrays = list(_arrays(outcome))
        if any(np.shares_memory(new, old) for new in arrays for old in held):
            raise AssertionError("two calls returned arrays that share memory")
        held += arrays


def _arrays(value: Any) -> list[np.ndarray[Any, Any]]:
    if isinstance(value, np.ndarray):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()
    return [array for part in parts for array in _arrays(part)]


def vector_wrapping(case: Case) -> None:
    """Gymnasium's vector wrappers work on it as on ``SyncVectorEnv``."""
    if not _has_vector(case):
        return
    wrappers: list[Any] = [vector_wrappers.RecordEpisodeStatistics, vector_wrappers.DictInfoToList]
    if isinstance(case.make().observation_space, gymnasium.spaces.Box):
        wrappers.append(vector_wrappers.NormalizeObservation)
    for wrapper in wrappers:
        ours, sync = (wrapper(env) for env in _pair(case, AutoresetMode.NEXT_STEP))
        ours.action_space.seed(0)
        require_same(ours.reset(seed=2), sync.reset(seed=2), f"{wrapper.__name__}: reset")
        for step in range(LIMIT + 5):
            actions = ours.action_space.sample()
            one, other = (_timeless(env.step(actions)) for env in (ours, sync))
            require_same(one, other, f"{wrapper.__name__}: step {step}")


def _timeless(outcome: tuple[Any, ...]) -> tuple[Any, ...]:
    """Without the wall time that ``RecordEpisodeStatistics`` writes into ``info["episode"]["t"]``."""
    if isinstance(outcome[4], dict) and "episode" in outcome[4]:
        outcome[4]["episode"].pop("t")
    return outcome


VECTOR: dict[str, Callable[[Case], None]] = {
    check.__name__: check
    for check in (
        vector_spaces,
        vector_parity_next_step,
        vector_parity_same_step,
        vector_parity_disabled,
        vector_seeding,
        vector_reset_mask,
        vector_typed_errors,
        vector_fresh_arrays,
        vector_wrapping,
    )
}
