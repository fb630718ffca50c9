"""A life of Chemotaxis in the hands of a person, whatever shows it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import gymnasium
import numpy as np

from tropism.envs.chemotaxis.env import ChemotaxisEnv
from tropism.envs.chemotaxis.params import Params
from tropism.envs.chemotaxis.recording import Recording, View
from tropism.errors import UnsupportedTaskError

RIVALS = ("greedy", "oracle")
"""Players whose fitness on the same seed is told at the end."""


@dataclass(frozen=True)
class PlayResult:
    """How a game ended.

    Attributes:
        env_id: what was played.
        seed: plays the same game again.
        steps: steps lived.
        fate: how the life ended; empty if the player quit.
        good: visits that fed.
        bad: visits that did harm.
        fitness: sum of rewards.
        rivals: fitness of some baselines in a whole life on the same seed, by name.
    """

    env_id: str
    seed: int
    steps: int
    fate: str
    good: int
    bad: int
    fitness: float
    rivals: dict[str, float]

    def __str__(self) -> str:
        others = ", ".join(f"{name} {score:.1f}" for name, score in self.rivals.items())
        return (
            f"{self.env_id}, seed {self.seed}: {self.fate or 'stopped'} after {self.steps} steps, "
            f"{self.good} good and {self.bad} harmful visits; fitness {self.fitness:.1f}"
            f"{f' ({others})' if others else ''}."
        )


class Game:
    """One episode played by hand.

    Args:
        env_id: a Chemotaxis id.
        seed: of the episode; ``None`` draws one.
        steps: most steps; ``None`` plays to the end of the life.

    Attributes:
        over: the life or the game has ended.
        truth: whether the player is shown what the organism cannot know.

    Raises:
        UnsupportedTaskError: if ``env_id`` is no Chemotaxis.
    """

    def __init__(self, env_id: str, seed: int | None = None, steps: int | None = None) -> None:
        self.env = _make(env_id)
        self.env_id, self._steps = env_id, steps
        self.seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        self.over = self.truth = False
        self._life = Recording(self.params)
        observation, info = self.env.reset(seed=self.seed)
        self._life.note(observation, info, self._world.reference.timers)

    @property
    def params(self) -> Params:
        """The world."""
        return self._world.params

    @property
    def view(self) -> View:
        """The life until now."""
        return self._life.at()

    @property
    def _world(self) -> ChemotaxisEnv:
        return cast("ChemotaxisEnv", self.env.unwrapped)

    def act(self, action: int) -> None:
        """Take a step."""
        observation, _, terminated, truncated, info = self.env.step(action)
        self._life.note(observation, info, self._world.reference.timers)
        self.over = terminated or truncated or self.view.t == self._steps

    def result(self) -> PlayResult:
        """How it stands."""
        view = self.view
        good, bad = int(view.fact("good_arrivals")), int(view.fact("bad_arrivals"))
        score = float(view.fact("fitness"))
        numbers = view.t, view.fate, good, bad, score
        return PlayResult(self.env_id, self.seed, *numbers, self._rivals)

    @cached_property
    def _rivals(self) -> dict[str, float]:
        names = [name for name in RIVALS if name in self._world.baselines]
        return {name: _live(self.env_id, name, self.seed) for name in names}

    def close(self) -> None:
        """Close the environment."""
        self.env.close()


def _live(env_id: str, name: str, seed: int) -> float:
    """Fitness of a baseline's life."""
    env = gymnasium.make(env_id)
    player = cast("ChemotaxisEnv", env.unwrapped).make_baseline(name, 1)
    player.reset(np.ones(1, bool), np.array([seed], np.uint64))
    observation, info = env.reset(seed=seed)
    over = False
    while not over:
        action, _ = player.act(observation[None], _batch(info))
        observation, reward, terminated, truncated, info = env.step(int(action[0]))
        flags = np.array([terminated]), np.array([truncated])
        player.observe(action, observation[None], np.array([reward]), *flags, _batch(info))
        over = terminated or truncated
    env.close()
    return float(info["fitness"])


def _batch(info: dict[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(value)[None] for name, value in info.items()}


def _make(env_id: str) -> gymnasium.Env[Any, Any]:
    import tropism.envs  # noqa: F401  registers the ids

    if "Chemotaxis" not in gymnasium.spec(env_id).id:
        raise UnsupportedTaskError(f"play() is for the Chemotaxis ids, got {env_id!r}")
    return gymnasium.make(env_id)
