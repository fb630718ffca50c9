"""Every environment id, as one table of strings: importing it loads no environment."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import gymnasium
from gymnasium.error import DependencyNotInstalled

from tropism.errors import UnknownNameError

_SANITY = "tropism.envs.sanity"
SANITY: tuple[tuple[str, str, int | None, float], ...] = (
    ("tropism/Sanity-Memory-v0", f"{_SANITY}.memory:MemoryEnv", None, 0.95),
    ("tropism/Sanity-Credit-v0", f"{_SANITY}.credit:CreditEnv", None, 0.9),
    ("tropism/Sanity-Stochastic-v0", f"{_SANITY}.stochastic:StochasticEnv", 32, 13.0),
    ("tropism/Sanity-Continuous-v0", f"{_SANITY}.continuous:ContinuousEnv", 16, 14.0),
    ("tropism/Sanity-Dict-v0", f"{_SANITY}.dictionary:DictEnv", 16, 15.0),
    ("tropism/Sanity-MultiDiscrete-v0", f"{_SANITY}.multidiscrete:MultiDiscreteEnv", 16, 15.0),
)
"""``(id, entry point, max_episode_steps, reward_threshold)``; thresholds lie a little below the oracle."""


_PATTERNWORLD = "tropism.envs.patternworld"
PATTERNWORLD: tuple[tuple[str, float], ...] = (
    ("Seed", 950.0),
    ("Switch", 950.0),
    ("Affine", 950.0),
    ("Noisy", 850.0),
    ("Fast", 850.0),
    ("Order2", 950.0),
    ("Heldout", 900.0),
    ("Recur", 950.0),
    ("Alias", 900.0),
    ("Hop", 990.0),
)
"""``(tier, reward_threshold)`` of ``tropism/PatternWorld-<tier>-v0``: a little below the ideal observer."""


_CHEMOTAXIS = "tropism.envs.chemotaxis"
CHEMOTAXIS: tuple[tuple[str, int, float], ...] = (
    ("L0.0", 128, 205.0),
    ("L0.1", 128, 207.0),
    ("L0.2", 128, 207.0),
    ("L0.2-Informed", 128, 207.0),
    ("L1.0", 128, 180.0),
    ("L1.1", 128, 180.0),
    ("L1.2", 128, 182.0),
    ("L2.0", 256, 310.0),
    ("L2.1", 256, 385.0),
    ("L2.2", 128, 195.0),
    ("L3.0", 128, 183.0),
    ("L3.1", 128, 181.0),
    ("L3.2", 128, 182.0),
    ("L4.0", 512, 620.0),
    ("L4.1", 128, 184.0),
    ("L4.2", 128, 308.0),
    ("L5.0", 128, 185.0),
)
"""``(level, max_episode_steps, reward_threshold)`` of ``tropism/Chemotaxis-<level>-v0``: a little below the oracle."""


PARALLEL: dict[str, str] = {"tropism/Chemotaxis-Shared-v0": f"{_CHEMOTAXIS}.parallel"}
"""Module of each environment for several agents, by id: it has ``parallel_env`` and PettingZoo's conversion ``env``."""


TRAINING: dict[str, dict[str, Any]] = {"tropism/PatternWorld-Heldout-v0": {"split": "train"}}
"""Arguments laid over an id's own while an agent trains, so that it is judged on what it never met."""


def register_all() -> None:
    """Register every id with Gymnasium; a second call does nothing."""
    for env_id, entry_point, max_episode_steps, reward_threshold in SANITY:
        if env_id not in gymnasium.registry:
            gymnasium.register(
                env_id,
                entry_point,
                reward_threshold=reward_threshold,
                max_episode_steps=max_episode_steps,
            )
    for tier, reward_threshold in PATTERNWORLD:
        env_id = f"tropism/PatternWorld-{tier}-v0"
        if env_id not in gymnasium.registry:
            gymnasium.register(
                env_id,
                f"{_PATTERNWORLD}.env:PatternWorldEnv",
                reward_threshold=reward_threshold,
                order_enforce=False,  # they refuse by themselves, without the cost of a wrapper
                max_episode_steps=1000,
                vector_entry_point=f"{_PATTERNWORLD}.vector:make_vector",
                kwargs={"tier": tier},
            )
    for level, steps, reward_threshold in CHEMOTAXIS:
        env_id = f"tropism/Chemotaxis-{level}-v0"
        if env_id not in gymnasium.registry:
            gymnasium.register(
                env_id,
                f"{_CHEMOTAXIS}.env:ChemotaxisEnv",
                reward_threshold=reward_threshold,
                order_enforce=False,  # they refuse by themselves, without the cost of a wrapper
                max_episode_steps=steps,
                vector_entry_point=f"{_CHEMOTAXIS}.vector:make_vector",
                kwargs={"level": level},
            )


def environment_ids() -> list[str]:
    """Every id registered here, in order.

    ``tropism/Bridge-v0``, which ``import tropism.bridges`` adds to Gymnasium's registry, is not among them: it is nothing
    without a game.
    """
    ours = "tropism.envs."
    return [
        name for name, spec in gymnasium.registry.items() if str(spec.entry_point).startswith(ours)
    ]


def make_parallel(env_id: str, **kwargs: Any) -> Any:
    """Make an environment for several agents, a PettingZoo ``ParallelEnv``.

    ``import tropism.envs.parallel`` registers the same ids with PettingZoo, for ``pettingzoo.make``.

    Args:
        env_id: an id of :data:`PARALLEL`; they are not registered with Gymnasium, which knows single agents only.
        kwargs: of the environment.

    Raises:
        UnknownNameError: if the id is no environment for several agents; near names are suggested.
    """
    if env_id not in PARALLEL:
        raise UnknownNameError("environment for several agents", env_id, PARALLEL)
    return import_module(PARALLEL[env_id]).parallel_env(**kwargs)


def make_functional(env_id: str, **kwargs: Any) -> Any:
    """Return the JAX face of an id and its parameters: pure functions, safe under jit, vmap and scan.

    Args:
        env_id: an id with a kernel.
        kwargs: as for ``gym.make``.

    Raises:
        UnknownNameError: if the id has no functional face; near names are suggested.
        gymnasium.error.DependencyNotInstalled: without JAX.
    """
    faces = {f"tropism/PatternWorld-{tier}-v0": (_PATTERNWORLD, tier) for tier, _ in PATTERNWORLD}
    faces |= {f"tropism/Chemotaxis-{row[0]}-v0": (_CHEMOTAXIS, row[0]) for row in CHEMOTAXIS}
    if env_id not in faces:
        raise UnknownNameError("environment with a functional face", env_id, faces)
    package, variant = faces[env_id]
    try:
        return import_module(f"{package}.functional").make_functional(variant, **kwargs)
    except ModuleNotFoundError as error:
        if error.name != "jax":
            raise
        message = 'JAX is not installed; the functional face needs it: pip install "tropism[jax]"'
        raise DependencyNotInstalled(message) from error
