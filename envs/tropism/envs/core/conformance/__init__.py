"""Checks that an environment keeps Gymnasium's rules and Tropism's promises; for third parties too.

    from tropism.envs.core.conformance import check
    check("my/Env-v0")                               # every rule a single environment must keep
    check("tropism/PatternWorld-Switch-v0", flat=True)  # and, for ids with a vector entry point, bit parity

Sources of the rules: Gymnasium 1.4 (``utils/env_checker.py``, ``tests/envs/test_envs.py``,
``tests/vector/test_vector_env.py``, ``tests/vector/test_autoreset_mode.py``, ``utils/env_match.py``), minigrid
(``test_spec_json_serialization``) and Stable-Baselines3 (``common/env_checker.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tropism.envs.core.conformance.case import Case, strict
from tropism.envs.core.conformance.functional import FUNCTIONAL
from tropism.envs.core.conformance.single import SINGLE
from tropism.envs.core.conformance.tools import TOOLS
from tropism.envs.core.conformance.vector import VECTOR
from tropism.errors import ConformanceError

__all__ = ["CHECKS", "check"]

CHECKS: dict[str, Callable[[Case], None]] = {**SINGLE, **VECTOR, **TOOLS, **FUNCTIONAL}
"""Every check by name, in the order in which they run."""


def check(env_id: str, **kwargs: Any) -> None:
    """Run every check that applies to ``env_id``, with warnings as errors.

    Vector checks apply if the id has a vector entry point, functional ones if
    :func:`tropism.envs.make_functional` knows the id and JAX is installed, those of Stable-Baselines3 if that is
    installed.

    Args:
        env_id: a registered Gymnasium id.
        kwargs: keyword arguments of ``gymnasium.make``; JSON values only.

    Raises:
        ConformanceError: names the id, the check and the rule; the cause is chained.
    """
    case = Case(env_id, kwargs)
    for name, run in CHECKS.items():
        try:
            with strict():
                run(case)
        except Exception as error:
            given = "".join(f", {key}={value!r}" for key, value in kwargs.items())
            reason = (
                f"{type(error).__name__}: {error}"
                if not isinstance(error, AssertionError)
                else str(error)
            )
            raise ConformanceError(f"{env_id}{given} fails the check {name!r}: {reason}") from error
