"""A game of PatternWorld between a person and the ideal observer, whatever shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import gymnasium
import numpy as np

from tropism.envs.patternworld.env import PatternWorldEnv
from tropism.envs.patternworld.observation import read
from tropism.envs.patternworld.params import Params
from tropism.errors import UnsupportedTaskError


@dataclass(frozen=True)
class PlayResult:
    """How a game ended.

    Attributes:
        env_id: what was played.
        seed: plays the same game again.
        steps: answers given.
        right: right ones among them.
        score: sum of rewards.
        ideal: what the ideal observer earned on the same seed in as many steps; ``None`` where it is
            not computable.
    """

    env_id: str
    seed: int
    steps: int
    right: int
    score: float
    ideal: float | None

    def __str__(self) -> str:
        ideal = "" if self.ideal is None else f", the ideal observer {self.ideal:.6g}"
        return (
            f"{self.env_id}, seed {self.seed}: {self.right} of {self.steps} answers right; "
            f"you scored {self.score:.6g}{ideal}."
        )


@dataclass(frozen=True)
class Outcome:
    """What one answer led to: ``right``, ``peeked``, and the right token if it may be shown, else ``None``."""

    right: bool
    peeked: bool
    token: int | None


class Game:
    """One episode played by hand, and by the ideal observer beside it.

    Args:
        env_id: a PatternWorld id.
        seed: of the episode; ``None`` draws one.
        feedback: ``None`` takes the default of the id.
        steps: most answers; ``None`` plays to the end of the episode.
        render_mode: as for ``gymnasium.make``.

    Raises:
        UnsupportedTaskError: if ``env_id`` is no PatternWorld.
    """

    def __init__(
        self,
        env_id: str,
        seed: int | None = None,
        feedback: str | None = None,
        steps: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        options = {} if feedback is None else {"feedback": feedback}
        self.env_id, self._steps = env_id, steps
        self.env = _make(env_id, render_mode=render_mode, **options)
        self.world = _world(self.env)
        self.seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        self.observation, self._info = self.env.reset(seed=self.seed)
        self.rival = _Rival(_make(env_id, **options), self.seed)
        self.score, self.answers, self.right = 0.0, 0, 0
        self.over = steps == 0

    @property
    def params(self) -> Params:
        """The task."""
        return self.world.params

    @property
    def tokens(self) -> list[int | None]:
        """The tokens shown so far, oldest first; ``None`` for each one hidden, and in front of the first."""
        seen = read({name: np.asarray(part)[None] for name, part in self.observation.items()})
        return [
            None if token == self.params.vocabulary else token for token in seen.history[0].tolist()
        ]

    @property
    def query(self) -> int:
        """Hops asked for (Hop only, else 0)."""
        return int(self.observation["query_k"])

    def answer(self, action: int) -> Outcome:
        """Give an answer and take its consequences."""
        target = self._info["target"]
        self.observation, reward, terminated, truncated, self._info = self.env.step(action)
        peeked = action == self.params.vocabulary
        shown = peeked or self.params.feedback == "reveal"
        self.score += float(reward)
        self.answers += 1
        self.right += action == target
        self.rival.step()
        self.over = terminated or truncated or self.answers == self._steps
        return Outcome(action == target, peeked, target if shown else None)

    def result(self) -> PlayResult:
        """How it stands."""
        return PlayResult(
            self.env_id, self.seed, self.answers, self.right, self.score, self.rival.score
        )

    def close(self) -> None:
        """Close the environments."""
        self.env.close()
        self.rival.env.close()


class _Rival:
    """The ideal observer on a copy of the episode; ``score`` stays ``None`` where it cannot be computed."""

    def __init__(self, env: gymnasium.Env[Any, Any], seed: int) -> None:
        world = _world(env)
        self.env, self.score = env, None
        self._observation, _ = env.reset(seed=seed)
        if "ideal" in world.baselines:
            self.score: float | None = 0.0
            self._player = world.make_baseline("ideal", 1)
            self._player.reset(np.ones(1, bool), np.array([seed], np.uint64))

    def step(self) -> None:
        if self.score is None:
            return
        action, _ = self._player.act(_batch(self._observation), {})
        following, reward, terminated, truncated, _ = self.env.step(int(action[0]))
        flags = np.array([terminated]), np.array([truncated])
        self._player.observe(action, _batch(following), np.array([float(reward)]), *flags, {})
        self._observation = following
        self.score += float(reward)


def _make(env_id: str, **options: Any) -> gymnasium.Env[Any, Any]:
    import tropism.envs  # noqa: F401  registers the ids

    spec = gymnasium.spec(env_id)
    if "PatternWorld" not in spec.id:
        raise UnsupportedTaskError(f"play() is for the PatternWorld ids, got {env_id!r}")
    return gymnasium.make(env_id, **options)


def _world(env: gymnasium.Env[Any, Any]) -> PatternWorldEnv:
    return cast("PatternWorldEnv", env.unwrapped)


def _batch(observation: dict[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(part)[None] for name, part in observation.items()}
