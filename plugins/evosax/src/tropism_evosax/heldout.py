"""Held-out episodes: whoever plays meets the same ones, and what came of each is told alike.

Genomes live in evolution's own evaluator, baselines play the vector environment; both are the same worlds, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from tropism.agents.baselines import BaselinePolicy
from tropism.agents.contract import Policy, Task
from tropism.agents.recording import merge_info
from tropism.envs.core.wrappers import hidden_keys, visible
from tropism.errors import OptionError
from tropism_evosax.intervals import Interval, mean_interval

if TYPE_CHECKING:
    from tropism_evosax.config import EvoConfig
    from tropism_evosax.evolution import Evolution

FIRST_SEED = 424_242
"""Reset seed of the first held-out episode, as in koki2; evolution draws from others."""
EPISODES = 512
LANES = 512
METRICS = {"fitness": 1, "success": 3, "bad_arrivals": 2, "t_alive": 1, "integrity_lost": 3}
"""What is told of an episode, and with how many digits; success is having reached a good source."""
UNIT = 6400
PRIVILEGED = "oracle"

Outcomes = dict[str, npt.NDArray[Any]]
"""Metric -> one value an episode."""


def check_seeds(config: EvoConfig, seeds: range) -> None:
    """Refuse held-out episodes that evolution may have met.

    Raises:
        OptionError: naming both ranges.
    """
    first, stop = config.train_seeds
    if seeds.start < stop and first < seeds.stop:
        raise OptionError(
            f"first-seed must lie outside the training seeds [{first}, {stop}) of the run, got "
            f"[{seeds.start}, {seeds.stop})"
        )


def live(evolution: Evolution, genome: Any, seeds: range, *, adult: bool) -> dict[str, Outcomes]:
    """What becomes of ``genome``, with learning as evolved and, if there is any, without and with verdicts shuffled.

    Args:
        evolution: of the run.
        genome: float32[D].
        seeds: of the episodes.
        adult: with development at its end values.
    """
    import jax.numpy as jnp
    from jax import jit

    from tropism_evosax.evaluation import make_evaluator
    from tropism_evosax.face import Face, keys_of_seeds

    config, encoding = evolution.config, cast(Any, evolution.encoding)
    face = Face(config.env_id, config.env_kwargs, adult=adult)
    keys = keys_of_seeds(jnp.asarray(np.array(seeds, np.uint32)))
    found = {}
    for name, controller in _controllers(evolution.controller).items():
        changed = replace(encoding, controller=controller)
        lives = jit(make_evaluator(face, changed, steps=config.steps))(
            jnp.asarray(genome)[None], keys
        )
        names = {"t_alive": "steps", "success": "reached"}
        found[name] = {m: np.asarray(getattr(lives, names.get(m, m)))[0] for m in METRICS}
    return found


def _controllers(evolved: Any) -> dict[str, Any]:
    """The evolved controller and the controls of what it learns."""
    if not evolved.plastic:
        return {"": evolved}
    shuffled = replace(evolved, plasticity=replace(evolved.plasticity, control="shuffled"))
    return {"": evolved, "eta = 0": evolved.fixed(), "shuffled": shuffled}


def baselines(task: Task) -> list[str]:
    """Baselines that the environment offers, each under one name."""
    env = task.make()
    names = getattr(env.unwrapped, "baselines", ("random",))
    env.close()
    return [name for name in names if not (name == "heuristic" and "greedy" in names)]


def play(name: str, task: Task, seeds: Sequence[int]) -> Outcomes:
    """What becomes of the baseline ``name``."""
    policy = BaselinePolicy(task, name)
    parts = [
        _play(policy, task, seeds[first : first + LANES], privileged=name == PRIVILEGED)
        for first in range(0, len(seeds), LANES)
    ]
    return {metric: np.concatenate([part[metric] for part in parts]) for metric in parts[0]}


def _play(policy: Policy, task: Task, seeds: Sequence[int], *, privileged: bool) -> Outcomes:
    """One episode a lane; a lane that has ended plays on unrecorded."""
    env: Any = task.make_vec(len(seeds), autoreset_mode=AutoresetMode.DISABLED)
    hidden = frozenset() if privileged else hidden_keys(env)
    words = np.array(seeds, np.uint64)
    observation, info = env.reset(seed=list(seeds))
    policy.reset(np.ones(len(seeds), np.bool_), words)
    going, told = np.ones(len(seeds), np.bool_), _blank(len(seeds))
    while going.any():
        action = policy.act(observation, visible(info, hidden)).action
        observation, reward, terminated, truncated, info = env.step(action)
        policy.observe(action, observation, reward, terminated, truncated, visible(info, hidden))
        ended = terminated | truncated
        _tell(told, going, ended, reward, info)
        going &= ~ended
        if ended.any() and going.any():
            options = {"reset_mask": ended.copy()}
            observation, fresh = env.reset(seed=list(seeds), options=options)
            info = merge_info(info, fresh, ended)
            policy.reset(ended.copy(), words)
    env.close()
    return told


def _blank(count: int) -> Outcomes:
    zeros: Callable[[Any], npt.NDArray[Any]] = lambda kind: np.zeros(count, kind)  # noqa: E731
    return {m: zeros(np.bool_ if m == "success" else np.float64) for m in METRICS}


def _tell(
    told: Outcomes, going: Any, ended: Any, reward: Any, info: Mapping[str, npt.NDArray[Any]]
) -> None:
    """Count a step, and read the labels of the lives that it ended."""
    told["fitness"] += np.where(going, reward, 0.0)
    told["t_alive"] += going
    last = going & ended
    for metric, label in (("success", "reached"), ("bad_arrivals", "bad_arrivals")):
        if label in info:
            told[metric][last] = info[label][last]
    if "integrity_lost" in info:
        told["integrity_lost"][last] = info["integrity_lost"][last] / UNIT


def summary(outcomes: Outcomes) -> dict[str, Interval]:
    """Mean and interval of every metric."""
    return {metric: mean_interval(values) for metric, values in outcomes.items()}
