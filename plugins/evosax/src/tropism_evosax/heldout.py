"""Held-out episodes: whoever plays meets the same ones, and what came of each is told alike.

Genomes live in evolution's own evaluator, baselines play the vector environment; both are the same worlds, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    from tropism_evosax.tally import Lives

FIRST_SEED = 424_242
"""Reset seed of the first held-out episode, as in koki2; evolution draws from others."""
EPISODES = 512
LANES = 512
METRICS = {"fitness": 1, "success": 3, "bad_arrivals": 2, "t_alive": 1, "integrity_lost": 3}
"""What is told of an episode, and with how many digits; success is having reached a good source.

Of an environment that does not label these facts, fitness (the return) and the steps are told.
"""
_LABELS = {"success": "reached", "bad_arrivals": "bad_arrivals", "integrity_lost": "integrity_lost"}
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
        found[name] = {metric: values[0] for metric, values in of_lives(lives, face.params).items()}
    return found


def of_lives(lives: Lives, params: Any) -> Outcomes:
    """Metrics ``[P, E]`` of evolution's lives in an environment with ``params``."""
    from tropism_evosax.senses import Senses

    names = {"t_alive": "steps", **_LABELS}
    told = [metric for metric in METRICS if metric not in _LABELS or Senses.of(params).needs]
    return {metric: np.asarray(getattr(lives, names.get(metric, metric))) for metric in told}


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
    going, told = np.ones(len(seeds), np.bool_), _blank(len(seeds), info)
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


def _blank(count: int, info: Mapping[str, Any]) -> Outcomes:
    """Nothing told yet, of what there is to tell."""
    told = [metric for metric in METRICS if _LABELS.get(metric, "") in {"", *info}]
    return {m: np.zeros(count, np.bool_ if m == "success" else np.float64) for m in told}


def _tell(
    told: Outcomes, going: Any, ended: Any, reward: Any, info: Mapping[str, npt.NDArray[Any]]
) -> None:
    """Count a step, and read the labels of the lives that it ended."""
    told["fitness"] += np.where(going, reward, 0.0)
    told["t_alive"] += going
    last = going & ended
    for metric in _LABELS.keys() & told.keys():
        value = info[_LABELS[metric]][last]
        told[metric][last] = value / UNIT if metric == "integrity_lost" else value


def summary(outcomes: Outcomes) -> dict[str, Interval]:
    """Mean and interval of every metric."""
    return {metric: mean_interval(values) for metric, values in outcomes.items()}
