"""What all checks share: how to make the environment, play it, and compare what comes back."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, SyncVectorEnv

STEPS = 120
"""Steps of a rollout: several episodes of a short task, a part of a long one."""
ALLOWED_WARNINGS = (
    # Gymnasium's own tests allow these two: they are advice on spaces, not rules.
    r"[\s\S]*A Box (observation|action) space (minimum|maximum) value is -?infinity",
    r"[\s\S]*we recommend using a symmetric and normalized space",
)


@contextmanager
def strict() -> Iterator[None]:
    """Turn every warning into an error but :data:`ALLOWED_WARNINGS`; open no window."""
    display = os.environ.get("SDL_VIDEODRIVER")
    os.environ["SDL_VIDEODRIVER"] = "dummy"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for message in ALLOWED_WARNINGS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        del os.environ["SDL_VIDEODRIVER"]
        if display is not None:
            os.environ["SDL_VIDEODRIVER"] = display


@dataclass(frozen=True)
class Case:
    """One id with the arguments it is checked with.

    Attributes:
        env_id: registered id.
        kwargs: arguments of ``gymnasium.make``.
    """

    env_id: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> EnvSpec:
        """The registered specification."""
        return gymnasium.spec(self.env_id)

    def make(self, **overrides: Any) -> gymnasium.Env[Any, Any]:
        """One environment with Gymnasium's default wrappers."""
        return gymnasium.make(self.env_id, **{**self.kwargs, **overrides})

    def make_vec(self, num_envs: int, mode: AutoresetMode, limit: int) -> Any:
        """The id's own vector environment, truncated after ``limit`` steps."""
        kwargs = {**self.kwargs, "autoreset_mode": mode, "max_episode_steps": limit}
        return gymnasium.make_vec(self.env_id, num_envs, **kwargs)

    def make_sync(self, num_envs: int, mode: AutoresetMode, limit: int) -> Any:
        """The same lanes in Gymnasium's ``SyncVectorEnv``: the yardstick."""
        return SyncVectorEnv(
            [lambda: self.make(max_episode_steps=limit)] * num_envs, autoreset_mode=mode
        )


def rollout(env: Any, steps: int, *, seed: int | None, action_seed: int = 0) -> list[Any]:
    """Everything ``env`` returns over ``steps`` steps of seeded random actions, unseeded resets included.

    The values are deep copies, so that a reused buffer shows up as a difference.
    """
    env.action_space.seed(action_seed)
    trace: list[Any] = [deepcopy(env.reset(seed=seed))]
    for _ in range(steps):
        outcome = env.step(env.action_space.sample())
        trace.append(deepcopy(outcome))
        if outcome[2] or outcome[3]:
            trace.append(deepcopy(env.reset()))
    return trace


def differences(a: Any, b: Any, path: str = "") -> str | None:
    """Where two returned values differ in type, dtype, shape or value, or ``None``; exact, NaN equal to NaN."""
    if type(a) is not type(b):
        return f"{path or 'value'}: {type(a).__name__} and {type(b).__name__}"
    if isinstance(a, dict):
        if a.keys() != b.keys():
            return f"{path or 'keys'}: keys {sorted(a)} and {sorted(b)}"
        pairs = [(f"{path}[{name!r}]", a[name], b[name]) for name in a]
    elif isinstance(a, (tuple, list)) or (isinstance(a, np.ndarray) and a.dtype == object):
        if len(a) != len(b):
            return f"{path or 'length'}: {len(a)} and {len(b)} entries"
        pairs = [(f"{path}[{n}]", x, y) for n, (x, y) in enumerate(zip(a, b, strict=True))]
    else:
        return _leaf_difference(a, b, path or "value")
    return next((found for where, x, y in pairs if (found := differences(x, y, where))), None)


def _leaf_difference(a: Any, b: Any, path: str) -> str | None:
    x, y = np.asarray(a), np.asarray(b)
    if x.dtype != y.dtype or x.shape != y.shape:
        return f"{path}: {x.dtype}{x.shape} and {y.dtype}{y.shape}"
    equal_nan = x.dtype.kind in "fc"
    return None if np.array_equal(x, y, equal_nan=equal_nan) else f"{path}: {a!r} and {b!r}"


def require_same(a: Any, b: Any, what: str) -> None:
    """Raise ``AssertionError`` naming the first difference between ``a`` and ``b``."""
    found = differences(a, b)
    if found:
        raise AssertionError(f"{what} differ at {found}")


def require_error(
    call: Any, expected: type[Exception] | tuple[type[Exception], ...], what: str
) -> None:
    """Raise ``AssertionError`` unless ``call()`` raises ``expected``."""
    names = " or ".join(
        e.__name__ for e in (expected if isinstance(expected, tuple) else (expected,))
    )
    try:
        call()
    except expected:
        return
    except Exception as error:
        raise AssertionError(
            f"{what} must raise {names}, raised {type(error).__name__}: {error}"
        ) from error
    raise AssertionError(f"{what} must raise {names}, and raised nothing")
