"""The reference players of the shared world: each organism is played like one that is alone.

They are those of the single world but for ``probe``, whose reckoning begins in the middle of the grid.  None heeds
the others, so the distance between ``greedy`` and a learner is what heeding them brings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tropism.envs.chemotaxis.baselines import baseline_names, make_baseline
from tropism.envs.chemotaxis.params import Params
from tropism.envs.chemotaxis.shared_senses import alone
from tropism.errors import UnknownNameError

if TYPE_CHECKING:
    from tropism.envs.chemotaxis.parallel import SharedChemotaxis


def shared_baseline_names(params: Params) -> tuple[str, ...]:
    """Baselines that can play all organisms of a world."""
    return tuple(name for name in baseline_names(params) if name != "probe")


class Players:
    """A baseline that plays every organism of a world.

    Args:
        env: the world.
        name: of the baseline.

    Raises:
        UnknownNameError: if there is no such baseline; the nearest names are suggested.
    """

    def __init__(self, env: SharedChemotaxis, name: str) -> None:
        if name not in env.baselines:
            raise UnknownNameError("baseline of the shared world", name, env.baselines)
        self._params, self._names = env.params, tuple(env.possible_agents)
        self._baseline = make_baseline(name, env.params, len(self._names))
        self._seen: dict[str, Any] = {}
        self._told: dict[str, Mapping[str, Any]] = {}

    def reset(self, seed: int) -> None:
        """Begin an episode."""
        lanes = len(self._names)
        seeds = np.arange(lanes, dtype=np.uint64) + np.uint64(seed * lanes)
        self._baseline.reset(np.ones(lanes, bool), seeds)

    def act(
        self, observations: Mapping[str, Any], infos: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, int]:
        """An action for each organism, the dead included, who keep to what they saw last."""
        self._seen |= observations
        self._told |= infos
        seen = alone(self._params, np.stack([self._seen[name] for name in self._names]))
        labels = self._told[self._names[0]]
        told = {n: np.stack([self._told[name][n] for name in self._names]) for n in labels}
        actions, _ = self._baseline.act(seen, told)
        return dict(zip(self._names, actions.tolist(), strict=True))


class Score(NamedTuple):
    """How the organisms of some episodes fared.

    Attributes:
        fitness: mean over organisms and episodes.
        error: standard error of it over episodes.
        alive: mean steps lived.
        best, worst: mean fitness of the best and of the worst organism of an episode.
    """

    fitness: float
    error: float
    alive: float
    best: float
    worst: float


def play(env: SharedChemotaxis, name: str, seed: int) -> dict[str, dict[str, Any]]:
    """Play an episode with the baseline ``name``; return the last info of each organism."""
    players, last = Players(env, name), {}
    players.reset(seed)
    observations, infos = env.reset(seed=seed)
    while env.agents:
        actions = players.act(observations, infos)
        observations, _, _, _, infos = env.step({agent: actions[agent] for agent in env.agents})
        last |= infos
    return last


def score(env: SharedChemotaxis, name: str, seeds: Iterable[int]) -> Score:
    """How the baseline ``name`` does, an episode for each of ``seeds``."""
    episodes = [list(play(env, name, seed).values()) for seed in seeds]
    fitness = np.array([[info["fitness"] for info in infos] for infos in episodes])
    alive = np.mean([[info["t_alive"] for info in infos] for infos in episodes])
    means = fitness.mean(1)
    error = means.std(ddof=1) / len(means) ** 0.5 if len(means) > 1 else 0.0
    values = means.mean(), error, alive, fitness.max(1).mean(), fitness.min(1).mean()
    return Score(*map(float, values))
