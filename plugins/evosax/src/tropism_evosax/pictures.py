"""The life of a champion, as a picture or a film."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.params import Params
from tropism.envs.chemotaxis.recording import Recording
from tropism.envs.chemotaxis.render import draw_life, film_life
from tropism.errors import OptionError, UnsupportedTaskError
from tropism.limits import check_number
from tropism_evosax.config import EvoConfig
from tropism_evosax.evolution import Evolution
from tropism_evosax.face import Face, keys_of_seeds
from tropism_evosax.heldout import FIRST_SEED
from tropism_evosax.records import read_champion
from tropism_evosax.senses import Senses

DRAWN = {".png": draw_life, ".gif": film_life}


def draw_champion(directory: Path, config: EvoConfig, episode: int, path: Path) -> str:
    """Let the best genome of a run live a held-out episode, and write it to ``path``.

    Args:
        directory: of a finished run.
        config: of the run.
        episode: number of the held-out episode.
        path: ``*.png``: the whole way in one picture; ``*.gif``: a film.

    Returns:
        How the life went, in a few words.

    Raises:
        OptionError: for another format, or an episode below 0.
        UnsupportedTaskError: if the environment is none of the Chemotaxis ladder.
    """
    check_number("episode", episode, 0, 1_000_000, integer=True)
    if path.suffix.lower() not in DRAWN:
        raise OptionError(f"render must end in {' or '.join(DRAWN)}, got {str(path)!r}")
    evolution = Evolution(config)
    if not isinstance(evolution.face.params, Params):
        raise UnsupportedTaskError(
            f"lives are drawn on the Chemotaxis ladder, not on {config.env_id}"
        )
    genome = read_champion(directory, evolution.encoding.spec())
    life = record_life(evolution.face, evolution.encoding, genome, FIRST_SEED + episode)
    DRAWN[path.suffix.lower()](life, path)
    facts = life.at().now.facts
    return f"fitness {float(facts['fitness']):.1f}, {life.at().fate or 'still alive'}"


def record_life(face: Face, encoding: Any, genome: npt.NDArray[np.float32], seed: int) -> Recording:
    """The life of ``genome`` in the episode of ``env.reset(seed=seed)``, moment by moment."""
    controller, senses = encoding.controller, Senses.of(face.params)
    weights = encoding.develop(jnp.asarray(genome))

    def step(life: Any, _: None) -> Any:
        memory, observation, state = life
        memory, action, _ = controller.act(weights, memory, observation)
        outcome = face.step(state, action)
        felt = senses.feel(observation, outcome.reward, outcome.observation)
        memory, _ = controller.learn(weights, memory, felt)
        moment = outcome.observation, outcome.labels
        return (memory, outcome.observation, outcome.state), moment

    def live(key: jax.Array) -> Any:
        observation, state, labels = face.reset(key)
        newborn = controller.initial(weights, key), observation, state
        _, moments = jax.lax.scan(step, newborn, length=face.steps)
        first = observation, labels
        return jax.tree.map(lambda a, b: jnp.concatenate([jnp.asarray(a)[None], b]), first, moments)

    observations, labels = jax.jit(live)(keys_of_seeds(jnp.uint32(seed)))
    return Recording.from_columns(face.params, observations, labels)
